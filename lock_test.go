package ringfile

import (
	"context"
	"errors"
	"testing"
)

// TestLockLeftBehind: a call that hangs is left when its context ends, and calls that come later come after it.
func TestLockLeftBehind(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		begun, hang := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			err := f.t.begin("lock")
			if err == nil {
				_, err = f.lockUntil(ctx, "lock", func() (bool, error) {
					close(begun)
					<-hang
					return true, nil
				})
			}
			left <- err
		}()
		<-begun
		cancel()
		promptly(t, "a call that hangs", func() {
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("a call that hangs: %v", err)
			}
		})
		ctx, cancel = context.WithCancel(t.Context())
		go cancel()
		promptly(t, "a call behind it", func() {
			if err := f.Lock(ctx, 0, 0, LockShared); !errors.Is(err, context.Canceled) {
				t.Errorf("a call behind it: %v", err)
			}
		})
		unlocked := make(chan error, 1)
		go func() { unlocked <- f.Unlock(0, 0) }()
		select {
		case err := <-unlocked:
			t.Errorf("Unlock has overtaken a Lock: %v", err)
		default:
		}
		close(hang)
		if err := <-unlocked; err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	})
}

// TestLockAllocates: a lock that is free is taken and given up without garbage.
func TestLockAllocates(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.TryLock(0, 1, LockExclusive); errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		n := testing.AllocsPerRun(100, func() {
			if ok, err := f.TryLock(0, 1, LockShared); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if err := f.Unlock(0, 1); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 && f.t.FD >= 0 { // otherwise os has the descriptor
			t.Errorf("%v allocations", n)
		}
	})
}
