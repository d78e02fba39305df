package faults_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

// The tests named TestHazard hold the package to this: nothing that a device does can hold up the
// program. Each brings about one situation in which system calls sleep, and measures who waits. This
// file has what they share.

const (
	// tags is how many requests a narrow disk takes at a time; whoever submits the next sleeps.
	tags = 4
	// promised is within which a call with a limit of patience, or without any wait, returns.
	promised = 300 * time.Millisecond
	// givenUp is when a test stops waiting for what should have returned long before.
	givenUp = 1500 * time.Millisecond
	// hungFor is after which a hanging disk lets go by itself.
	hungFor = 2 * givenUp
	// statsLimit is within which Engine.Stats returns, at any moment.
	statsLimit = 10 * time.Millisecond
)

// engineKinds are the engines on which every hazard is tried.
var engineKinds = []struct {
	name    string
	backend ringfile.Backend
	sqpoll  bool
}{
	{"ring", ringfile.BackendURing, false},
	{"sqpoll", ringfile.BackendURing, true},
	{"blocking", ringfile.BackendBlocking, false},
}

// engines runs test on an engine of each kind that can be had. Engine.Stats is called all the time,
// and must return at once. The test lets its disks go before it returns.
func engines(t *testing.T, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
	for _, kind := range engineKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", kind.backend.String())
			c := c
			if kind.sqpoll {
				c.SQPoll = &ringfile.SQPollConfig{}
			}
			e, err := ringfile.New(c)
			if err != nil {
				t.Skipf("no %s engine: %v", kind.name, err)
			}
			defer testutil.Watchdog(t, 2*time.Minute)()
			stop := watchStats(t, e)
			test(t, e)
			stop()
			settle(t, e)
			var left *ringfile.CloseError
			if err := e.Close(); err != nil && !errors.As(err, &left) {
				t.Errorf("Engine.Close: %v", err)
			}
		})
	}
}

// watchStats calls Engine.Stats until the returned function is called, and fails the test if it does
// not return at once. That this process now and then has to wait for a processor is allowed for: of
// all calls one in a hundred may take longer, but none as long as one that waits for a disk that hangs.
func watchStats(t *testing.T, e *ringfile.Engine) (stop func()) {
	var end atomic.Bool
	done := make(chan struct{})
	var took []time.Duration
	go func() {
		defer close(done)
		for !end.Load() {
			start := time.Now()
			e.Stats()
			took = append(took, time.Since(start))
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() {
		end.Store(true)
		select {
		case <-done:
		case <-time.After(givenUp):
			t.Errorf("Engine.Stats has not returned after %v", givenUp)
			return
		}
		late := 0
		for _, d := range took {
			if d >= statsLimit {
				late++
			}
		}
		if worst := slices.Max(took); late > 2+len(took)/100 || worst >= givenUp {
			t.Errorf("Engine.Stats took %v once, and %d of %d times more than %v", worst, late, len(took), statsLimit)
		}
	}
}

// settle waits until the kernel has nothing of e.
func settle(t *testing.T, e *ringfile.Engine) {
	t.Helper()
	quiet := make(chan struct{})
	go func() {
		awaitQuiet(e)
		close(quiet)
	}()
	select {
	case <-quiet:
	case <-time.After(20 * time.Second):
		t.Errorf("the disk works again, but 20 s later there are still requests: %+v", e.Stats())
	}
}

// narrowDisk makes an ext4 disk whose queue is full with tags requests.
func narrowDisk(t *testing.T) *faults.Disk {
	t.Helper()
	d := newDisk(t, faults.Config{FS: "ext4", Size: 64 << 20})
	setting := filepath.Join("/sys/block", filepath.Base(d.Device), "queue/nr_requests")
	if err := os.WriteFile(setting, []byte(strconv.Itoa(tags)), 0); err != nil {
		t.Fatalf("the queue of the disk cannot be made small: %v", err)
	}
	t.Cleanup(func() {
		d.Set()                                                         // the queue must be empty to be changed
		if err := os.WriteFile(setting, []byte("128"), 0); err != nil { // what a loop device has
			t.Error(err)
		}
	})
	return d
}

// accessTimes mounts the disk again with the given way to keep access times: MS_RELATIME, MS_STRICTATIME.
func accessTimes(t *testing.T, d *faults.Disk, flag uintptr) {
	t.Helper()
	if err := unix.Mount(d.Device, d.Mount, "", unix.MS_REMOUNT|flag, ""); err != nil {
		t.Fatal(err)
	}
}

// hangs is the rule of a disk that hangs for so long. It must let go by itself: on a bad day not even
// a timer of this process fires.
func hangs(kind faults.Kind, length time.Duration) faults.Rule {
	return faults.Rule{Effect: faults.Hang, Kind: kind, Delay: length}
}

// fill has a narrow disk hang, no longer than length, with its queue full of requests of somebody else,
// and returns a function that lets it go.
func fill(t *testing.T, d *faults.Disk, length time.Duration) (release func()) {
	t.Helper()
	f, err := os.OpenFile(d.Device, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	set(t, d, hangs(faults.Any, length))
	var wg sync.WaitGroup
	for i := range 2 * tags {
		p := aligned(t, blockSize)
		wg.Go(func() { f.ReadAt(p, int64(i)*blockSize) })
	}
	inFlight := filepath.Join("/sys/block", filepath.Base(d.Device), "inflight")
	var b []byte
	for end := time.Now().Add(length / 4); ; time.Sleep(time.Millisecond) {
		if b, err = os.ReadFile(inFlight); err != nil {
			t.Fatal(err)
		}
		var reads, writes int
		if fmt.Sscan(string(b), &reads, &writes); reads+writes >= tags {
			break
		}
		if time.Now().After(end) {
			t.Errorf("the queue of the disk does not become full: %s", b)
			break
		}
	}
	return sync.OnceFunc(func() {
		d.Set()
		wg.Wait()
		f.Close()
	})
}

// makeFile makes a file of n bytes of testutil.Pattern, on the disk, and returns its name.
func makeFile(t *testing.T, dir, name string, n int) string {
	t.Helper()
	name = filepath.Join(dir, name)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, n)
	testutil.Pattern(p, 0)
	if _, err := f.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	chill(t, f)
	return name
}

// chill takes the file's data out of the page cache; f must have been synced.
func chill(t *testing.T, f interface{ Fd() uintptr }) {
	t.Helper()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// file is what an os.File and a ringfile.File have in common, as far as the tests need it.
type file interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Fd() uintptr
}

// opener opens a file by one of the two packages.
type opener struct {
	name string
	open func(name string, flag int) (file, error)
}

// openers are os and e: the same calls made by the first are what the second is measured by.
func openers(e *ringfile.Engine) []opener {
	return []opener{
		{"os", func(name string, flag int) (file, error) {
			f, err := os.OpenFile(name, flag, 0)
			return f, err
		}},
		{"ringfile", func(name string, flag int) (file, error) {
			f, err := e.OpenFile(name, flag, 0)
			return f, err
		}},
	}
}

// must opens a file, or ends the test.
func (o opener) must(t *testing.T, name string, flag int) file {
	t.Helper()
	f, err := o.open(name, flag)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// pause returns how long it takes to stop the world.
func pause() time.Duration {
	var m runtime.MemStats
	start := time.Now()
	runtime.ReadMemStats(&m)
	return time.Since(start)
}

// pauses stops the world every few milliseconds for a while, and returns how long each took, sorted.
func pauses(length time.Duration) (all []time.Duration) {
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		all = append(all, pause())
	}
	slices.Sort(all)
	return all
}

// quantile returns the q-quantile of sorted durations.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*q))]
}

// atOnce has n goroutines make a call each and returns how long each took, sorted. If some have not
// returned after givenUp it calls release and waits for them.
func atOnce(n int, release func(), do func(i int)) []time.Duration {
	took := make([]time.Duration, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			start := time.Now()
			do(i)
			took[i] = time.Since(start)
		})
	}
	late := time.AfterFunc(givenUp, release)
	wg.Wait()
	late.Stop()
	slices.Sort(took)
	return took
}

// tries repeats what fails, up to n times, since this machine may have been busy with something else.
// It fails the test with the last error.
func tries(t *testing.T, n int, try func() error) {
	t.Helper()
	var err error
	for range n {
		if err = try(); err == nil {
			return
		}
		if errors.Is(err, errHung) {
			break // not for the lack of a processor
		}
		t.Logf("once more, as %v", err)
	}
	t.Error(err)
}

// errHung is in the error of a try that found a call that does not return at all.
var errHung = errors.New("hangs")

// threads returns how many OS threads this process has: those of Go, and those that the kernel made for
// its rings.
func threads() (ours, kernels int) {
	entries, _ := os.ReadDir("/proc/self/task")
	for _, e := range entries {
		name, err := os.ReadFile("/proc/self/task/" + e.Name() + "/comm")
		switch {
		case err != nil: // it has ended
		case strings.HasPrefix(string(name), "iou-"):
			kernels++
		default:
			ours++
		}
	}
	return ours, kernels
}

// sample is how long the calls of one kind took.
type sample struct {
	name string
	took []time.Duration // sorted
	hung bool            // one has not returned
	err  error           // of the first that failed
}

func (s sample) String() string {
	if s.hung {
		return s.name + ": hangs"
	}
	return fmt.Sprintf("%s: p99 %v, max %v of %d", s.name, quantile(s.took, 0.99), s.took[len(s.took)-1], len(s.took))
}
