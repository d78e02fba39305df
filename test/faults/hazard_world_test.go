package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/faults"
)

// asleepFor is how long a call sleeps whose disk hangs.
const asleepFor = 800 * time.Millisecond

// worldLimit is how long the world may take to stop, whatever a disk does, on a machine that is busy.
const worldLimit = 50 * time.Millisecond

// asleep is a call that sleeps in the kernel for long: begin starts it on a file of o, in its goroutine,
// and returns a function that waits for its end and says how long it took.
type asleep struct {
	name  string
	begin func(t *testing.T, o opener) (end func() time.Duration)
}

// inBackground starts a call, and waits a moment for it to fall asleep.
func inBackground(do func()) (end func() time.Duration) {
	took := make(chan time.Duration, 1)
	go func() {
		start := time.Now()
		do()
		took <- time.Since(start)
	}()
	time.Sleep(20 * time.Millisecond)
	return func() time.Duration { return <-took }
}

var sleepers = []asleep{
	{"read-ahead on a full queue", sleepsAtReadahead},
	{"access time behind a commit", sleepsAtAccessTime},
	{"lock of the position", sleepsAtPosition},
	{"fault on the caller's buffer", sleepsAtFault},
}

// sleepsAtReadahead reads what is not in the page cache: to start reading ahead, a call that promises
// not to wait waits for a place in the queue.
func sleepsAtReadahead(t *testing.T, o opener) func() time.Duration {
	d := narrowDisk(t)
	name := makeFile(t, d.Mount, "cold", 1<<20)
	f := o.must(t, name, os.O_RDONLY)
	p := make([]byte, blockSize)
	f.ReadAt(p, 0) // what it is, and what its file system can, is known from here on
	f.ReadAt(p, 0)
	chill(t, f)
	release := fill(t, d, asleepFor)
	end := inBackground(func() { f.ReadAt(p, 512<<10) })
	return func() time.Duration {
		took := end()
		release()
		f.Close()
		return took
	}
}

// sleepsAtAccessTime reads what is in the page cache, whose access time is to be changed while the
// journal, which is being written, has the old one.
func sleepsAtAccessTime(t *testing.T, o opener) func() time.Duration {
	d := newDisk(t, faults.Config{FS: "ext4"})
	accessTimes(t, d, unix.MS_RELATIME)
	f := o.must(t, makeFile(t, d.Mount, "cached", 1<<16), os.O_RDWR)
	commit := duringCommit(t, d, f)
	end := inBackground(func() { f.ReadAt(make([]byte, blockSize), 0) })
	return func() time.Duration {
		took := end()
		commit()
		f.Close()
		return took
	}
}

// duringCommit returns while a slow disk writes its journal, in which the inode of f is. All of f is in
// the page cache, and a read will want to change its access time. The returned function waits for the end.
func duringCommit(t *testing.T, d *faults.Disk, f file) (wait func()) {
	t.Helper()
	st, err := f.(interface{ Stat() (os.FileInfo, error) }).Stat()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]byte, st.Size())
	f.ReadAt(all, 0)
	f.ReadAt(all, 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the clock of inodes is coarse
	if _, err := f.WriteAt(all[:blockSize], 2*blockSize); err != nil {
		t.Fatal(err)
	}
	commit := hangs(faults.Write, asleepFor)
	commit.Skip = 1 // the data goes first
	set(t, d, commit)
	synced := make(chan struct{})
	other, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0) // not by the engine
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		other.Sync()
		other.Close()
		close(synced)
	}()
	await(func() bool { return counts(t, d).Hanging > 0 })
	return func() {
		set(t, d)
		<-synced
	}
}

// sleepsAtPosition reads at the position while the kernel holds its lock for an append.
func sleepsAtPosition(t *testing.T, o opener) func() time.Duration {
	d := newDisk(t, faults.Config{FS: "ext4"})
	f := o.must(t, makeFile(t, d.Mount, "log", 1<<16), os.O_RDWR|os.O_APPEND|unix.O_DSYNC)
	p := make([]byte, blockSize)
	f.Read(p)
	set(t, d, hangs(faults.Write, asleepFor))
	var append func() time.Duration
	if r, ok := f.(*ringfile.File); ok {
		append = inBackground(func() {
			within(func(ctx context.Context) error { _, err := r.WriteContext(ctx, p[:100]); return err })
		})
		append() // has been given up, but not by the kernel
	} else {
		append = inBackground(func() { f.Write(p[:100]) })
		time.Sleep(patience)
	}
	end := inBackground(func() { f.Read(p) })
	return func() time.Duration {
		took := end()
		set(t, d)
		f.Close()
		return took
	}
}

// sleepsAtFault reads what is in the page cache into memory that must first be read from a slow disk.
func sleepsAtFault(t *testing.T, o opener) func() time.Duration {
	d := newDisk(t, faults.Config{FS: "ext4"})
	m, err := os.OpenFile(makeFile(t, d.Mount, "mapped", 1<<20), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(int(m.Fd()), 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Madvise(mem, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	f := o.must(t, makeFile(t, t.TempDir(), "hot", 1<<16), os.O_RDONLY)
	p := make([]byte, blockSize)
	f.ReadAt(p, 0)
	f.ReadAt(p, 0)
	set(t, d, hangs(faults.Read, asleepFor))
	end := inBackground(func() { f.ReadAt(mem[2*blockSize:3*blockSize], 0) })
	return func() time.Duration {
		took := end()
		set(t, d)
		f.Close()
		unix.Munmap(mem)
		m.Close()
		return took
	}
}

// TestHazardWorld: the world stops at once while a call sleeps that one hopes does not. That of os.File
// must sleep, too, or the situation is not what the test takes it for.
func TestHazardWorld(t *testing.T) {
	for _, s := range sleepers {
		t.Run(s.name, func(t *testing.T) {
			measure := func(t *testing.T, o opener) (worst time.Duration, err error) {
				end := s.begin(t, o)
				all := pauses(asleepFor / 4)
				worst = all[len(all)-1]
				took := end()
				t.Logf("%s: the call took %v, the world stopped within %v", o.name, took, worst)
				if took < asleepFor/4 {
					err = fmt.Errorf("the call took only %v: it did not sleep", took)
				}
				return worst, err
			}
			control, err := measure(t, openers(nil)[0])
			if err != nil {
				t.Fatalf("os.File: %v", err)
			}
			engines(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				tries(t, 3, func() error {
					worst, _ := measure(t, openers(e)[1])
					return checkWorld(worst, control)
				})
			})
		})
	}
}

// checkWorld compares how long it took to stop the world, on ringfile and on os in the same situation.
func checkWorld(got, os time.Duration) error {
	limit := min(worldLimit, max(5*os, worldLimit/5))
	if got <= limit {
		return nil
	}
	err := fmt.Errorf("the world took %v to stop, with os.File %v: want %v at most", got, os, limit)
	if got > 4*worldLimit {
		err = fmt.Errorf("%w: %w", errHung, err)
	}
	return err
}

// TestHazardWorldColdReaders: a disk that works, and 1,024 goroutines that read from it what is not in
// the page cache. Its queue is full all the time, so that starting to read ahead waits a little, often.
func TestHazardWorldColdReaders(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4", Size: 128 << 20})
	const files, size = 32, 2 << 20
	var names []string
	for i := range files {
		names = append(names, makeFile(t, d.Mount, fmt.Sprint("cold", i), size))
	}
	engines(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		tries(t, 3, func() error {
			p99, worst := map[string]time.Duration{}, map[string]time.Duration{}
			for _, o := range openers(e) {
				stop := readCold(t, o, names, size)
				all := pauses(1500 * time.Millisecond)
				p99[o.name], worst[o.name] = quantile(all, 0.99), all[len(all)-1]
				t.Logf("%s: %d reads; stop-the-world: median %v, p99 %v, max %v of %d",
					o.name, stop(), quantile(all, 0.5), p99[o.name], worst[o.name], len(all))
			}
			// A thread that is to stop may have to wait for a processor first, for a tick (4 ms) and more
			// beside the threads that serve the disk: of two processors, here.
			if limit := max(5*p99["os"], worldLimit/5); p99["ringfile"] > limit {
				return fmt.Errorf("p99 of stopping the world: %v, with os.File %v: want %v at most", p99["ringfile"], p99["os"], limit)
			}
			// The longest is luck, also with os.File, whose 1,024 threads all want to run.
			if limit := max(5*worst["os"], worldLimit); worst["ringfile"] > limit {
				return fmt.Errorf("the world took %v to stop, with os.File %v: want %v at most", worst["ringfile"], worst["os"], limit)
			}
			return nil
		})
	})
}

// readCold has 1,024 goroutines read, by o, and take what they have read out of the page cache. The
// returned function ends that and says how many reads there were.
func readCold(t *testing.T, o opener, names []string, size int64) (stop func() int64) {
	var end atomic.Bool
	var reads atomic.Int64
	var wg sync.WaitGroup
	for range 1024 {
		wg.Go(func() {
			p := make([]byte, blockSize)
			for !end.Load() {
				f, err := o.open(names[rand.IntN(len(names))], os.O_RDONLY)
				if err != nil {
					t.Error(err)
					return
				}
				for range 4 {
					f.ReadAt(p, rand.Int64N(size/blockSize)*blockSize)
					reads.Add(1)
				}
				unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
				f.Close()
			}
		})
	}
	return func() int64 {
		end.Store(true)
		wg.Wait()
		return reads.Load()
	}
}
