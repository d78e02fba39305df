package ringfile

import (
	"errors"
	"testing"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// fakeChainRing gives an engine of fakeEngine a ring for chains, with a kernel of its own.
func fakeChainRing(t *testing.T, e *Engine) (*ring, *fakeKernel) {
	t.Helper()
	k := newFakeKernel(t, 2*chainDepth)
	r, err := newRing(e, k.ring, chainDepth)
	if err != nil {
		t.Fatal(err)
	}
	r.whole = &whole{turn: make(chan struct{}, 1)}
	e.chains.Store(r)
	return r, k
}

// TestPoolCloseSeesRequests closes a pool whose memory a request still uses, against the rules: the
// memory stays, whatever kind of request it is.
func TestPoolCloseSeesRequests(t *testing.T) {
	cases := []struct {
		name  string
		start func(t *testing.T, f *File, p []byte) (wait func())
	}{
		{"vector", func(t *testing.T, f *File, p []byte) func() {
			future := f.StartReadvAt([][]byte{make([]byte, 512), p}, 0)
			return func() { future.Await() }
		}},
		{"chain", func(t *testing.T, f *File, p []byte) func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				var c Chain
				c.ReadAt(f, p, 0)
				c.Run()
			}()
			return func() { <-done }
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, k := fakeEngine(t)
			if c.name == "chain" {
				_, k = fakeChainRing(t, e)
			}
			f := fakeFile(t, e)
			m, err := newFixedMemory(1, 4096)
			if err != nil {
				t.Fatal(err)
			}
			m.engine = e
			start := address(m.mem)
			e.fixed.ended = true // a fake has no table that could be emptied
			e.fixed.used[0] = true
			e.fixed.table.Store(newFixedTable([]fixedRange{{start, start + uintptr(len(m.mem)), 0}}))
			k.hold = func(*uring.SQE) bool { return true }
			p := m.get()
			wait := c.start(t, f, p)
			k.wait(1)
			m.put(p)
			var left *CloseError
			if err := m.close(); !errors.As(err, &left) || left.InFlight != 1 {
				t.Errorf("close = %v, want a *CloseError with 1 in flight", err)
			}
			k.finish(func(int) int { return 0 })
			wait()
		})
	}
}

// TestLeaderMeetsDeadline has a batch that leads find the lock of a deadline taken, as while it fires:
// the requests that it then cancels, and those of others, may need somebody who reaps.
func TestLeaderMeetsDeadline(t *testing.T) {
	e, k := fakeEngine(t)
	f, g := fakeFile(t, e), fakeFile(t, e)
	f.SetReadDeadline(time.Now().Add(time.Hour))
	locked := make(chan struct{})
	k.hold = func(*uring.SQE) bool {
		k.hold = nil
		f.readBy.mu.Lock() // by whoever submits, after it has looked at the deadline
		close(locked)
		return false
	}
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
	f.readBy.mu.Unlock()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
