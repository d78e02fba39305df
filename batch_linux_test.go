package ringfile

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// TestBatchMeetsDeadline has a batch find the lock of a deadline taken, as while it fires: the requests of
// others complete meanwhile.
func TestBatchMeetsDeadline(t *testing.T) {
	e, k := fakeEngine(t)
	f, g := fakeFile(t, e), fakeFile(t, e)
	f.SetReadDeadline(time.Now().Add(time.Hour))
	locked := make(chan struct{})
	k.set(func() {
		k.hold = func(*uring.SQE) bool {
			k.hold = nil
			f.t.readBy.mu.Lock() // by whoever submits, after the batch has looked at the deadline
			close(locked)
			return false
		}
	})
	ran := make(chan error)
	go func() {
		var b Batch
		for i := range fakeDepth + fakeDepth/2 {
			b.ReadAt(f, make([]byte, 512), int64(i)*512)
		}
		ran <- b.Run()
	}()
	<-locked
	select {
	case <-g.StartReadAt(make([]byte, 512), 0).Done():
	case <-time.After(20 * time.Second):
		t.Error("nobody reaps")
	}
	f.t.readBy.mu.Unlock()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// TestBatchBesideHanging has a batch wait for several completions of a file that hangs: a read of another
// one is not kept waiting.
func TestBatchBesideHanging(t *testing.T) {
	e, k := fakeEngine(t)
	f, g := fakeFile(t, e), fakeFile(t, e)
	k.set(func() { k.hold = func(e *uring.SQE) bool { return int(e.FD) == f.t.FD } })
	ran := make(chan error)
	go func() {
		var b Batch
		for i := range 8 {
			b.ReadAt(f, make([]byte, 512), int64(i)*512)
		}
		ran <- b.Run()
	}()
	k.wait(8)
	select {
	case <-g.StartReadAt(make([]byte, 512), 0).Done():
	case <-time.After(20 * time.Second):
		t.Error("waits for a file that hangs, and is another one")
	}
	k.finish(func(int) int { return 0 })
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// TestResultsWhileOthersHelp adds, within the loop over Results, a read of a device that hangs, while a
// helper makes a blocking call: the result of that comes as soon as it is there.
func TestResultsWhileOthersHelp(t *testing.T) {
	t.Run("plain", func(t *testing.T) { resultsWhileOthersHelp(t, context.Background()) })
	t.Run("context", func(t *testing.T) { resultsWhileOthersHelp(t, t.Context()) })
}

func resultsWhileOthersHelp(t *testing.T, ctx context.Context) {
	e, k := fakeEngine(t)
	f, g := fakeFile(t, e), fakeFile(t, e)
	k.set(func() { k.hold = func(e *uring.SQE) bool { return int(e.FD) == f.t.FD } })
	blocking, err := New(Config{Backend: BackendBlocking, BlockingLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer blocking.Close()
	h, err := blocking.Open(g.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.t.Direct = true                     // so that the page cache is not asked
	giveBack := takeAll(h.t.dev.calls, 4) // the helper waits
	var b Batch
	helped := b.ReadAt(h, make([]byte, 512), 0)
	first := b.ReadAt(g, make([]byte, 512), 0)
	want := []int{first, helped, 2}
	var answered atomic.Bool
	answer := time.AfterFunc(5*time.Second, func() {
		t.Error("the result of the blocking call is kept back, or the read is")
		answered.Store(true)
		giveBack()
		k.set(func() { k.hold = nil })
		k.finish(func(int) int { return 0 })
	})
	for i := range b.Results(ctx) {
		if i != want[0] {
			t.Errorf("result of %d, want that of %d", i, want[0])
		}
		want = want[1:]
		switch i {
		case first:
			awaitIdle(queueOf(t, g))
			b.ReadAt(f, make([]byte, 512), 0)
			go func() {
				k.wait(1)
				if !answered.Load() {
					giveBack()
				}
			}()
		case helped:
			if answer.Stop() {
				k.finish(func(int) int { return 0 })
			}
		}
	}
}
