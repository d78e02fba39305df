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
			_, err := f.lockCall(ctx, "lock", 0, 0, func() (bool, error) {
				close(begun)
				<-hang
				return true, nil
			})
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
