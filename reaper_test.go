package ringfile

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// hookedEngine makes an engine with one ring for each device, whose io_uring_enter is hook.
func hookedEngine(t *testing.T, hook uring.EnterHook) *Engine {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 64, CloseTimeout: 5 * time.Second})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(testutil.Watchdog(t, time.Minute))
	e.devices.rings.spare.SetEnterHook(hook) // of the ring that the first device will have
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
	throughRing(t, f)
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

// TestBrokenBesideReaper has the submitter be the one who finds that the ring is broken, while the reaper waits in the
// kernel for what the submitter was about to submit: nothing would complete.
func TestBrokenBesideReaper(t *testing.T) {
	waits := make(chan struct{}, 1)
	var broken atomic.Bool
	e := hookedEngine(t, func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		switch {
		case broken.Load():
			return 0, syscall.EBADF, true
		case minComplete > 0 && toSubmit == 0: // the reaper
			select {
			case waits <- struct{}{}:
			default:
			}
		case minComplete == 0: // the submitter
			select {
			case <-waits: // of earlier
			default:
			}
			select {
			case <-waits:
				time.Sleep(5 * time.Millisecond)
				broken.Store(true)
				return 0, syscall.EBADF, true
			case <-time.After(time.Millisecond):
			}
		}
		return 0, 0, false
	})
	for end := time.Now().Add(30 * time.Second); !broken.Load() && time.Now().Before(end); {
		readEverywhere(t, e)
	}
	if s := e.Stats(); s.Broken != 1 || s.Blocking == 0 || s.InFlight != 0 {
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
	if s := e.Stats(); s.Broken != 0 || s.Busy == 0 || s.Unknown != 0 || s.InFlight != 0 || s.Blocking != 0 {
		t.Errorf("stats: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
