package ringfile

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// hookedEngine makes an engine with one home ring, whose io_uring_enter is hook.
func hookedEngine(t *testing.T, hook uring.EnterHook) *Engine {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 64, CloseTimeout: 5 * time.Second})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(testutil.Watchdog(t, time.Minute))
	for _, r := range e.rings {
		r.mu.Lock() // nothing is in flight: nobody enters
		r.u.SetEnterHook(hook)
		r.mu.Unlock()
	}
	return e
}

// readEverywhere reads a file of Pattern from many goroutines, in calls and in futures, and checks
// every byte.
func readEverywhere(t *testing.T, e *Engine) {
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY|testDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			buf := AlignedBuffer(4096, 4096)
			for i := range 50 {
				off := int64((g*50+i)%256) * 4096
				var n int
				var err error
				if i%2 == 0 {
					n, err = f.ReadAt(buf, off)
				} else {
					n, err = f.StartReadAt(buf, off).Await()
				}
				if n != 4096 || err != nil || testutil.CheckPattern(buf, off) >= 0 {
					t.Errorf("read at %d = %d, %v", off, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBrokenRing has io_uring_enter fail for good in the middle of the work. What the kernel had
// taken completes, the rest is done by blocking calls, and everybody gets the right data.
func TestBrokenRing(t *testing.T) {
	var calls atomic.Int64
	e := hookedEngine(t, func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		if calls.Add(1) > 100 {
			return 0, syscall.EBADF, true
		}
		return 0, 0, false
	})
	readEverywhere(t, e)
	s := e.Stats()
	if s.Broken < 1 || s.Ring == 0 || s.Blocking == 0 || s.InFlight != 0 {
		t.Errorf("stats after the break: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestEnterTrouble has io_uring_enter refuse now and then, submit less than it was asked to, and
// return without a completion: nothing is lost or done twice.
func TestEnterTrouble(t *testing.T) {
	var calls atomic.Int64
	e := hookedEngine(t, func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		switch calls.Add(1) % 7 {
		case 0:
			return 0, syscall.EINTR, true
		case 2:
			return 0, syscall.EAGAIN, true
		case 4:
			return 0, syscall.EBUSY, true
		case 5:
			return 0, 0, true // success, and nothing done
		}
		return 0, 0, false
	})
	readEverywhere(t, e)
	if s := e.Stats(); s.Broken != 0 || s.Busy == 0 || s.Strays != 0 || s.InFlight != 0 || s.Blocking != 0 {
		t.Errorf("stats: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// hold takes all free slots of a ring out of circulation until the returned function is called, as
// if a device did not answer.
func hold(r *ring) (release func()) {
	r.mu.Lock()
	held := r.free
	r.free = nil
	r.inFlight.Add(int32(len(held)))
	r.mu.Unlock()
	return func() {
		for _, req := range held {
			r.release(req)
			r.done()
		}
	}
}

// TestCloseSlotWaiters closes an engine whose device hangs, while callers wait for a slot: they are
// sent away, and Close says what is left.
func TestCloseSlotWaiters(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 16, CloseTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDWR|testDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	f.ReadAt(AlignedBuffer(4096, 4096), 0)
	release := hold(e.homes[0])
	for _, solo := range e.homes[0].solos {
		solo.broken.Store(&err) // out of the way
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if n, err := f.WriteAt(AlignedBuffer(4096, 4096), 0); n != 0 || !errors.Is(err, ErrEngineClosed) {
				t.Errorf("WriteAt = %d, %v, want ErrEngineClosed", n, err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if n, err := f.ReadAtContext(ctx, AlignedBuffer(4096, 4096), 0); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadAtContext without a slot = %d, %v", n, err)
	}
	for e.Stats().SlotWaits < 8 { // the reader may have given up before it got that far
		time.Sleep(time.Millisecond)
	}
	var left *CloseError
	if err := e.Close(); !errors.As(err, &left) || left.InFlight != 16 {
		t.Errorf("Close = %v, want a *CloseError with 16 in flight", err)
	}
	wg.Wait()
	release()
	if n := e.homes[0].close(time.Second); n != 0 { // what Close left for the device to answer
		t.Errorf("%d requests left", n)
	}
}

// TestGivenUpCallsLeave has calls with a context wait for a place on the blocking road: when they
// are given up, nothing of them stays.
func TestGivenUpCallsLeave(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking")
	e, err := New(Config{BlockingLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f, err := e.Open(testutil.PatternFile(t, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e.blocking.patience = time.Hour
	e.blocking.acquire()
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if n, err := f.ReadAtContext(ctx, make([]byte, 4096), 0); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadAtContext = %d, %v", n, err)
		}
		cancel()
	}
	for i := 0; e.blocking.drain(0) > 1; i++ {
		if i == 1000 {
			t.Fatalf("%d calls still wait", e.blocking.drain(0)-1)
		}
		time.Sleep(time.Millisecond)
	}
	e.blocking.release()
}
