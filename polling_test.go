package ringfile_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// withSQPoll returns c with a polling thread that often falls asleep.
func withSQPoll(c ringfile.Config) ringfile.Config {
	c.SQPoll = &ringfile.SQPollConfig{Idle: time.Millisecond}
	return c
}

// newSQPoll makes an engine in SQPOLL mode. Where io_uring works, that must, too.
func newSQPoll(t *testing.T, c ringfile.Config) *ringfile.Engine {
	t.Helper()
	t.Setenv("RINGFILE_BACKEND", "")
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	e, err := ringfile.New(withSQPoll(c))
	if err != nil {
		if os.Geteuid() != 0 && errors.Is(err, syscall.EPERM) {
			t.Skip(err) // as before Linux 5.13
		}
		t.Fatal(err)
	}
	t.Cleanup(testutil.Watchdog(t, time.Minute))
	return e
}

func openDirect(t *testing.T, e *ringfile.Engine) *ringfile.File {
	t.Helper()
	f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDWR|oDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	return f
}

// needRing skips the test if transfers of f do not go through a ring, as on file systems in memory.
func needRing(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
	t.Helper()
	readDirect(t, f, 0)
	if readDirect(t, f, 0); e.Stats().Ring == 0 {
		t.Skip("needs a file system that knows RWF_NOWAIT: set TMPDIR")
	}
}

func readDirect(t *testing.T, f *ringfile.File, off int64) {
	t.Helper()
	buf := ringfile.AlignedBuffer(4096, 4096)
	if n, err := f.ReadAt(buf, off); n != 4096 || err != nil || testutil.CheckPattern(buf, off) >= 0 {
		t.Errorf("ReadAt(%d) = %d, %v, or wrong data", off, n, err)
	}
}

// pollThreads counts the kernel threads of rings that this process has.
func pollThreads(t *testing.T) (n int) {
	t.Helper()
	names, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skip(err)
	}
	for _, name := range names {
		comm, _ := os.ReadFile("/proc/self/task/" + name.Name() + "/comm")
		if bytes.HasPrefix(comm, []byte("iou-sqp-")) {
			n++
		}
	}
	return n
}

// TestSQPollWakeup submits after the thread has gone to sleep, again and again.
func TestSQPollWakeup(t *testing.T) {
	e := newSQPoll(t, ringfile.Config{Rings: 2})
	f := openDirect(t, e)
	defer f.Close()
	needRing(t, e, f)
	for i := range 30 {
		time.Sleep(3 * time.Millisecond) // longer than the thread's idle time: it is asleep as a rule
		if i%2 == 0 {
			readDirect(t, f, int64(i)*4096)
			continue
		}
		buf := ringfile.AlignedBuffer(4096, 4096)
		if n, err := f.StartReadAt(buf, 0).Await(); n != 4096 || err != nil {
			t.Errorf("StartReadAt = %d, %v", n, err)
		}
	}
	if s := e.Stats(); s.Ring < 30 || s.Enters == 0 {
		t.Errorf("not through the ring: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestSQPollThreads counts what an engine in SQPOLL mode has of threads and descriptors, and what it
// leaves behind.
func TestSQPollThreads(t *testing.T) {
	before, fds := pollThreads(t), len(testutil.OpenDescriptors())
	e := newSQPoll(t, ringfile.Config{Rings: 4})
	f := openDirect(t, e)
	readDirect(t, f, 0)
	if got := pollThreads(t) - before; got != 1 && (got != 0 || runtime.GOOS != "linux") {
		// Before Linux 5.12 they are no threads of the process.
		if os.Getenv("KM_GUEST") == "" || got > 1 {
			t.Errorf("%d polling threads for 4 rings, want 1", got)
		}
	}
	f.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	for i := 0; pollThreads(t) > before || len(testutil.OpenDescriptors()) > fds; i++ {
		if i == 1000 {
			t.Fatalf("left behind: %d threads, descriptors %q", pollThreads(t)-before, testutil.OpenDescriptors())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestSQPollOneP runs a crowd with a single P, on which the polling thread has no claim.
func TestSQPollOneP(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	e := newSQPoll(t, ringfile.Config{Depth: 16})
	f := openDirect(t, e)
	defer f.Close()
	needRing(t, e, f)
	var wg sync.WaitGroup
	for g := range 40 {
		wg.Go(func() {
			for i := range 20 {
				readDirect(t, f, int64(g*20+i)%(fileSize/4096)*4096)
			}
		})
	}
	wg.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if s := e.Stats(); s.Unknown != 0 || s.InFlight != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestSQPollCancel gives up reads of every kind, and starts processes meanwhile.
func TestSQPollCancel(t *testing.T) {
	e := newSQPoll(t, ringfile.Config{Depth: 64})
	f := openDirect(t, e)
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		buf := ringfile.AlignedBuffer(4096, 4096)
		future := f.StartReadAt(buf, 0)
		if i%2 == 0 {
			cancel()
		}
		n, err := future.AwaitContext(ctx)
		checkRead(t, n, err, buf, 0)
		n, err = f.ReadAtContext(ctx, buf, 4096)
		checkRead(t, n, err, buf, 4096)
		cancel()
		if i%10 == 0 {
			if err := exec.Command("true").Run(); err != nil && !errors.Is(err, exec.ErrNotFound) {
				t.Error(err)
			}
		}
	}
	f.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestSQPollEnters makes sure that submitting costs no system call while the thread is awake: what
// enters there are only wait.
func TestSQPollEnters(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	// Signals of the runtime end waits on a slow machine: then once more.
	const reads = 800
	enters := uint64(0)
	for range 5 {
		if enters = sqPollEnters(t, reads); enters <= reads+100 {
			return
		}
	}
	t.Errorf("%d system calls for %d reads", enters, reads)
}

// sqPollEnters returns how many calls of io_uring_enter so many reads take.
func sqPollEnters(t *testing.T, reads int) uint64 {
	c := ringfile.Config{SQPoll: &ringfile.SQPollConfig{Idle: 2 * time.Second}}
	e, err := ringfile.New(c)
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	f := openDirect(t, e)
	defer f.Close()
	needRing(t, e, f)
	var futures []*ringfile.Future[int]
	for range 8 {
		for i := range reads / 8 {
			futures = append(futures, f.StartReadAt(ringfile.AlignedBuffer(4096, 4096), int64(i)%256*4096))
		}
		for _, future := range futures {
			if n, err := future.Await(); n != 4096 || err != nil {
				t.Fatalf("StartReadAt = %d, %v", n, err)
			}
		}
		futures = futures[:0]
	}
	s := e.Stats()
	if s.Submissions < uint64(reads) {
		t.Errorf("%d submissions counted for %d reads", s.Submissions, reads)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	// Each wait brings at least one completion, so anything beyond would be a submission. EINTR and
	// wake-ups of the first moment are allowed for.
	return s.Enters
}

// TestPollingConfig asks for ways of polling that cannot be had, and for bad ones.
func TestPollingConfig(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend string
		config  ringfile.Config
		want    string // in the error
		typed   bool
	}{
		{"no such CPU", "", ringfile.Config{SQPoll: &ringfile.SQPollConfig{Pinned: true, CPU: 60000}}, "CPU 60000 is offline", true},
		{"negative CPU", "", ringfile.Config{SQPoll: &ringfile.SQPollConfig{Pinned: true, CPU: -1}}, "which is not a CPU", false},
		{"negative idle time", "", ringfile.Config{SQPoll: &ringfile.SQPollConfig{Idle: -1}}, "negative", false},
		{"long idle time", "", ringfile.Config{SQPoll: &ringfile.SQPollConfig{Idle: 2 * time.Hour}}, "at most an hour", false},
		{"blocking was asked for", "blocking", ringfile.Config{SQPoll: &ringfile.SQPollConfig{}, IOPoll: true}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", c.backend)
			if c.typed && ringfile.Available() != nil {
				t.Skip(ringfile.Available())
			}
			e, err := ringfile.New(c.config)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if e.Backend() != ringfile.BackendBlocking || e.Available() == nil {
					t.Errorf("Backend %v, Available %v", e.Backend(), e.Available())
				}
				e.Close()
				return
			}
			if err == nil {
				e.Close()
				t.Fatal("New succeeds")
			}
			var why *ringfile.UnavailableError
			if !strings.Contains(err.Error(), c.want) || errors.As(err, &why) != c.typed {
				t.Errorf("New: %v", err)
			}
		})
	}
}

// TestSQPollPinned binds the thread to a CPU that the process may use.
func TestSQPollPinned(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	var err error
	for cpu := range 64 { // the first that is ours
		var e *ringfile.Engine
		if e, err = ringfile.New(ringfile.Config{SQPoll: &ringfile.SQPollConfig{Pinned: true, CPU: cpu}}); err == nil {
			f := openDirect(t, e)
			readDirect(t, f, 4096)
			f.Close()
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			return
		}
	}
	if ringfile.Available() == nil {
		t.Errorf("on none of 64 CPUs: %v", err)
	}
}

// newIOPoll makes an engine in IOPOLL mode.
func newIOPoll(t *testing.T, c ringfile.Config) *ringfile.Engine {
	t.Helper()
	t.Setenv("RINGFILE_BACKEND", "")
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	c.IOPoll = true
	e, err := ringfile.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(testutil.Watchdog(t, time.Minute))
	return e
}

// TestIOPollElsewhere uses an engine in IOPOLL mode on whatever device there is: transfers that can
// be polled are, or fail with an explanation, and everything else works.
func TestIOPollElsewhere(t *testing.T) {
	for name, c := range map[string]ringfile.Config{"plain": {}, "sqpoll": withSQPoll(ringfile.Config{})} {
		t.Run(name, func(t *testing.T) {
			e := newIOPoll(t, c)
			direct := openDirect(t, e)
			buf := ringfile.AlignedBuffer(4096, 4096)
			for what, read := range map[string]func() (int, error){
				"ReadAt":        func() (int, error) { return direct.ReadAt(buf, 0) },
				"Read":          func() (int, error) { direct.Seek(0, 0); return direct.Read(buf) },
				"ReadvAt":       func() (int, error) { return direct.ReadvAt([][]byte{buf[:2048], buf[2048:]}, 0) },
				"StartReadAt":   func() (int, error) { return direct.StartReadAt(buf, 0).Await() },
				"ReadAtContext": func() (int, error) { return direct.ReadAtContext(t.Context(), buf, 0) },
			} {
				clear(buf)
				n, err := read()
				var path *fs.PathError
				var why *ringfile.UnavailableError
				switch {
				case err == nil && n == len(buf) && testutil.CheckPattern(buf, 0) < 0:
				case n == 0 && errors.As(err, &path) && path.Op == "read" && errors.As(err, &why) &&
					errors.Is(err, syscall.EOPNOTSUPP) && strings.Contains(err.Error(), "poll queues"):
				default:
					t.Errorf("%s = %d, %v", what, n, err)
				}
			}
			if err := direct.Sync(); err != nil {
				t.Error(err)
			}
			direct.Close()
			unpolled(t, e)
			if s := e.Stats(); s.Broken != 0 || s.Unknown != 0 || s.InFlight != 0 {
				t.Errorf("stats: %+v", s)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// unpolled does what an engine in IOPOLL mode leaves to system calls.
func unpolled(t *testing.T, e *ringfile.Engine) {
	t.Helper()
	ring := e.Stats().Ring
	f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 8192)
	for what, do := range map[string]func() (int, error){
		"ReadAt":         func() (int, error) { return f.ReadAt(buf, 0) },
		"StartReadAt":    func() (int, error) { return f.StartReadAt(buf, 8192).Await() },
		"ReadAtContext":  func() (int, error) { return f.ReadAtContext(t.Context(), buf, 8192) },
		"WriteAt":        func() (int, error) { return f.WriteAt(buf, 8192) },
		"StartWriteAt":   func() (int, error) { return f.StartWriteAt(buf, 8192).Await() },
		"WriteAtContext": func() (int, error) { return f.WriteAtContext(t.Context(), buf, 8192) },
		"Sync":           func() (int, error) { return 8192, f.Sync() },
		"SyncContext":    func() (int, error) { return 8192, f.SyncContext(t.Context()) },
		"StartDatasync": func() (int, error) {
			_, err := f.StartDatasync().Await()
			return 8192, err
		},
		"Allocate": func() (int, error) { return 8192, f.Allocate(0, fileSize, 0) },
		"Advise":   func() (int, error) { return 8192, f.Advise(0, fileSize, ringfile.AdviceWillNeed) },
	} {
		if n, err := do(); n != 8192 || err != nil {
			t.Errorf("%s = %d, %v", what, n, err)
		}
	}
	if got := e.Stats().Ring - ring; got != 0 {
		t.Errorf("%d operations went to a ring that polls", got)
	}
}
