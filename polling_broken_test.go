package ringfile

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// TestBrokenSQPoll has io_uring_enter fail for good on a ring whose thread takes the requests: what
// it takes completes, and what it will never take, as nobody can wake it, is done by blocking calls.
func TestBrokenSQPoll(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 64, CloseTimeout: 30 * time.Second, SQPoll: &SQPollConfig{Idle: time.Millisecond}})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	var calls atomic.Int64
	r := e.rings[0]
	r.mu.Lock() // nothing is in flight: nobody enters
	r.u.SetEnterHook(func(_, _ uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		if calls.Add(1) > 10 {
			return 0, syscall.EBADF, true
		}
		return 0, 0, false
	})
	r.mu.Unlock()
	readEverywhere(t, e)
	if s := e.Stats(); s.Broken != 1 || s.Ring == 0 || s.Blocking == 0 || s.InFlight != 0 {
		t.Errorf("stats after the break: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestSQPollStranded breaks a ring while its thread sleeps: the request that is queued is withdrawn.
func TestSQPollStranded(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 64, SQPoll: &SQPollConfig{Idle: time.Millisecond}})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY|testDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	buf := AlignedBuffer(4096, 4096)
	f.ReadAt(buf, 0)
	r := e.rings[0]
	r.mu.Lock()
	r.u.SetEnterHook(func(uint32, uint32, uring.EnterFlags) (int, syscall.Errno, bool) {
		return 0, syscall.EOWNERDEAD, true
	})
	r.mu.Unlock()
	for !r.u.NeedWakeup() {
		time.Sleep(time.Millisecond)
	}
	future := f.StartReadAt(buf, 4096)
	if n, err := future.Await(); n != 4096 || err != nil || testutil.CheckPattern(buf, 4096) >= 0 {
		t.Errorf("StartReadAt = %d, %v, or wrong data", n, err)
	}
	if s := e.Stats(); s.Broken != 1 || s.InFlight != 0 {
		t.Errorf("stats: %+v", s)
	}
	f.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestFullSubmissionQueue queues entries while a submission that is going on holds all of them: the
// kernel tells at the end of it that it has taken them.
func TestFullSubmissionQueue(t *testing.T) {
	u, kernel, err := uring.NewFake(4, 4, uring.SetupSQPoll, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	r := &ring{u: u}
	for range 4 {
		r.sqe().PrepNop()
		r.u.Flush()
	}
	got := make(chan *uring.SQE)
	go func() { got <- r.sqe() }()
	for range 100 {
		runtime.Gosched()
		select {
		case <-got:
			t.Fatal("an entry of a full queue")
		default:
		}
	}
	if _, ok := kernel.TakeSQE(); !ok {
		t.Fatal("nothing queued")
	}
	if <-got == nil {
		t.Error("no entry although there is room")
	}
}

// TestIOPollKernelRefuses lets the kernel itself refuse to poll, as it does where /sys says nothing
// about the device.
func TestIOPollKernelRefuses(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{IOPoll: true})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDWR|testDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	f.volume.polled.Store(yes)
	buf := AlignedBuffer(4096, 4096)
	for what, read := range map[string]func() (int, error){
		"ReadAt":        func() (int, error) { return f.ReadAt(buf, 4096) },
		"StartReadAt":   func() (int, error) { return f.StartReadAt(buf, 4096).Await() },
		"ReadAtContext": func() (int, error) { return f.ReadAtContext(t.Context(), buf, 4096) },
	} {
		n, err := read()
		var why *UnavailableError
		switch {
		case n == 4096 && err == nil:
			t.Logf("%s is served", what) // a kernel that waits for an interrupt instead, or a device that polls
		case n == 0 && errors.As(err, &why) && why.Op == "IOPOLL":
		default:
			t.Errorf("%s = %d, %v", what, n, err)
		}
	}
	f.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
