package ringfile

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// TestCloseSlotWaiters closes an engine whose device hangs, while callers wait for a slot: they are
// sent away, and Close says what is left.
func TestCloseSlotWaiters(t *testing.T) {
	e, k := fakeEngine(t)
	e.devices.config.CloseTimeout = 50 * time.Millisecond
	f := fakeFile(t, e)
	k.set(func() { k.hold, k.deaf = always, true })
	var held []*Future[int]
	for range fakeDepth {
		held = append(held, f.StartReadAt(make([]byte, 512), 0))
	}
	k.wait(fakeDepth)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if n, err := f.WriteAt(make([]byte, 512), 0); n != 0 || !errors.Is(err, ErrEngineClosed) {
				t.Errorf("WriteAt = %d, %v, want ErrEngineClosed", n, err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if n, err := f.ReadAtContext(ctx, make([]byte, 512), 0); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadAtContext without a slot = %d, %v", n, err)
	}
	eventually(func() bool { return e.Stats().SlotWaits == 9 })
	var left *CloseError
	if err := e.Close(); !errors.As(err, &left) || left.InFlight != fakeDepth {
		t.Errorf("Close = %v, want a *CloseError with %d in flight", err, fakeDepth)
	}
	wg.Wait()
	if n, err := f.StartReadAt(make([]byte, 512), 0).Await(); n != 0 || !errors.Is(err, ErrEngineClosed) {
		t.Errorf("StartReadAt after Close = %d, %v", n, err)
	}
	k.finish(func(int) int { return 0 })
	for _, future := range held { // what Close left for the device to answer
		if n, err := future.Await(); n != 512 || err != nil {
			t.Errorf("future of a read that the device has answered: %d, %v", n, err)
		}
	}
	if n := queueOf(t, f).close(time.Second); n != 0 {
		t.Errorf("%d requests left", n)
	}
}
