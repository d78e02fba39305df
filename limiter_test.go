package ringfile

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLimiterBound(t *testing.T) {
	l := newLimiter(4, 4)
	var now, most atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := range 300 {
				l.acquire()
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if i%10 == 0 { // long enough for others to come
					time.Sleep(time.Microsecond)
				}
				now.Add(-1)
				l.release()
			}
		})
	}
	wg.Wait()
	if most.Load() > 4 {
		t.Errorf("%d calls ran at once, want 4 at most", most.Load())
	}
	over := make(chan struct{})
	close(over)
	for i := range 4 {
		if !l.acquireUntil(over, nil) {
			t.Errorf("call %d was not admitted, want 4 at once", i)
		}
	}
	if l.acquireUntil(over, nil) {
		t.Error("a fifth call was admitted")
	}
	for range 4 {
		l.release()
	}
	if l.drain(0) != 0 {
		t.Errorf("state %#x is left", l.state.Load())
	}
}

// TestLimiterStuck has calls that wait for one another: all places are taken by calls that only
// end when a later one has run. Afterwards the bound is what it was.
func TestLimiterStuck(t *testing.T) {
	l := newLimiter(2, 8)
	l.patience = 5 * time.Millisecond
	release := make(chan struct{})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			l.acquire()
			<-release
			l.release()
		})
	}
	for l.holders() < 5 {
		time.Sleep(time.Millisecond)
	}
	l.acquire()
	close(release)
	wg.Wait()
	l.release()
	if l.drain(0) != 0 {
		t.Errorf("state %#x is left", l.state.Load())
	}
	// The hard bound holds: three of eleven cannot overtake.
	release = make(chan struct{})
	for range 11 {
		wg.Go(func() {
			l.acquire()
			<-release
			l.release()
		})
	}
	for l.drain(0) < 11 || l.holders() < 8 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * l.patience)
	if l.holders() != 8 {
		t.Errorf("%d calls run at once, want the hard bound of 8", l.holders())
	}
	close(release)
	wg.Wait()
	if l.drain(0) != 0 {
		t.Errorf("state %#x is left", l.state.Load())
	}
}

// TestLimiterStop has those who wait give up at any moment of a grant: no place is lost or doubled.
func TestLimiterStop(t *testing.T) {
	l := newLimiter(1, 1)
	l.acquire()
	stop := make(chan struct{})
	close(stop)
	if l.acquireUntil(stop, nil) || l.acquireUntil(nil, stop) {
		t.Error("got a place that there is not")
	}
	l.release()
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 200 {
				stop := make(chan struct{})
				timer := time.AfterFunc(time.Duration(g*i%50)*time.Microsecond, func() { close(stop) })
				if l.acquireUntil(stop, nil) {
					l.release()
				}
				timer.Stop()
			}
		})
	}
	wg.Wait()
	if l.drain(0) != 0 || l.queue.len() != 0 {
		t.Errorf("state %#x and %d waiting are left", l.state.Load(), l.queue.len())
	}
}

// TestLimiterDrain has a caller on its way from the queue to the place that has become free: it is
// seen there.
func TestLimiterDrain(t *testing.T) {
	l := newLimiter(1, 1)
	l.acquire()
	admitted := make(chan struct{})
	go func() {
		l.acquire()
		close(admitted)
	}()
	for waiting(l.state.Load()) != 1 {
		time.Sleep(time.Millisecond)
	}
	l.mu.Lock() // the caller cannot arrive
	l.state.Add(minusOneRunning)
	l.wake()
	if n := l.drain(0); n != 1 {
		t.Errorf("%d calls are left, want the one that has been woken up", n)
	}
	l.mu.Unlock()
	<-admitted
	l.release()
	if l.drain(0) != 0 {
		t.Errorf("state %#x is left", l.state.Load())
	}
}

func TestSlabLookup(t *testing.T) {
	var s slab
	if err := s.init(nil, 16); err != nil {
		t.Fatal(err)
	}
	for i := range s.slots {
		req := &s.slots[i]
		if s.request(s.id(req)) != req {
			t.Fatalf("slot %d is not found by its id", i)
		}
		if s.current(req, s.id(req)) {
			t.Errorf("idle slot %d is taken for one in flight", i)
		}
		req.phase.Store(uint32(submitted))
		old := s.id(req)
		if !s.current(req, old) {
			t.Errorf("slot %d in flight is not recognised", i)
		}
		req.gen.Add(1)
		if s.current(req, old) {
			t.Errorf("slot %d: the id of an earlier life is taken for the present one", i)
		}
		req.gen.Store(1<<16 - 1)
		req.gen.Add(1) // wraps within the 16 bits
		if s.request(s.id(req)) != req || !s.current(req, s.id(req)) {
			t.Errorf("slot %d is lost when the generation wraps", i)
		}
	}
	base := uint64(s.base)
	for _, id := range []uint64{0, idCancel, base - 1, base + 1, base - uint64(slotSize),
		base + 16*uint64(slotSize), ^uint64(0), base + uint64(slotSize)/2} {
		if req := s.request(id); req != nil {
			t.Errorf("id %#x leads to a slot", id)
		}
	}
}
