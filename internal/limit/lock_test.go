package limit

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// waiters returns how many wait for l.
func (l *Lock) waiters() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := l.queue.first(); w != nil; w = w.next {
		n++
	}
	return n
}

func checkFree(t *testing.T, l *Lock) {
	t.Helper()
	if s := l.state.Load(); s != 0 || l.waiters() != 0 {
		t.Errorf("state %#x, and %d wait", s, l.waiters())
	}
}

// TestLockOrder has callers queue up behind one that has the lock: they get it in the order in which they came,
// those next to one another together if they share it, and nobody overtakes.
func TestLockOrder(t *testing.T) {
	var l Lock
	var mu sync.Mutex
	var order []int
	var sharing peak
	var wg sync.WaitGroup
	l.Lock(nil, nil)
	groups := []struct {
		shared bool
		n      int
	}{{true, 3}, {false, 1}, {false, 1}, {true, 2}, {false, 1}, {true, 1}}
	waiting := 0
	for i, group := range groups {
		var together sync.WaitGroup
		together.Add(group.n)
		for range group.n {
			wg.Go(func() {
				if group.shared {
					l.RLock()
				} else if !l.Lock(nil, nil) {
					t.Error("a Lock that cannot be given up fails")
				}
				sharing.enter()
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				together.Done()
				together.Wait() // in vain unless all of the group have it
				sharing.leave()
				if group.shared {
					l.RUnlock()
				} else {
					l.Unlock()
				}
			})
			waiting++
			eventually(t, func() bool { return l.waiters() == waiting })
		}
	}
	l.Unlock()
	wg.Wait()
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Errorf("the lock went to the groups in the order %d", order)
		}
	}
	if n := sharing.most.Load(); n != 3 {
		t.Errorf("%d had the lock at once at most, want 3", n)
	}
	checkFree(t, &l)
}

// TestLockFast has nobody in the way.
func TestLockFast(t *testing.T) {
	var l Lock
	for range 3 {
		l.RLock()
		l.RLock()
		if l.Lock(over, nil) {
			t.Error("the lock is had by one alone and by others")
		}
		l.RLock() // the one that gave up is in nobody's way
		for range 3 {
			l.RUnlock()
		}
		if !l.Lock(nil, over) { // it need not wait
			t.Error("a free lock is not to be had")
		}
		if l.Lock(nil, over) {
			t.Error("two have the lock alone")
		}
		l.Unlock()
	}
	checkFree(t, &l)
}

// TestLockGiveUp has one give up that others wait behind, who may share the lock with those that have it.
func TestLockGiveUp(t *testing.T) {
	for _, late := range []bool{false, true} {
		var l Lock
		l.RLock()
		end := make(chan struct{})
		gave := make(chan bool)
		go func() {
			if late {
				gave <- l.Lock(nil, end)
			} else {
				gave <- l.Lock(end, nil)
			}
		}()
		eventually(t, func() bool { return l.waiters() == 1 })
		shared := make(chan struct{})
		go func() {
			l.RLock()
			close(shared)
		}()
		eventually(t, func() bool { return l.waiters() == 2 })
		close(end)
		if <-gave {
			t.Error("one that gave up has the lock")
		}
		select {
		case <-shared:
		case <-time.After(20 * time.Second):
			t.Fatal("who waited behind the one that gave up waits for ever")
		}
		l.RUnlock()
		l.RUnlock()
		checkFree(t, &l)
	}
}

// TestLockFreeAgain has a lock become free just before somebody joins the queue, whom nobody will wake.
func TestLockFreeAgain(t *testing.T) {
	for _, shared := range []bool{false, true} {
		var l Lock
		done := make(chan struct{})
		go func() {
			l.wait(shared, nil, nil)
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("waits for a lock that is free")
		}
		if shared {
			l.RUnlock()
		} else {
			l.Unlock()
		}
		checkFree(t, &l)
	}
}

// TestLockStorm has many take the lock in all ways, and give up at any moment: one alone is alone, and nobody
// waits for ever.
func TestLockStorm(t *testing.T) {
	var l Lock
	var readers, writers atomic.Int64
	var got, gave atomic.Int64
	plain := 0 // the race detector watches it
	check := func(alone bool) {
		if r, w := readers.Load(), writers.Load(); w > 1 || alone && (r != 0 || w != 1) || !alone && w != 0 {
			t.Errorf("alone %v: %d share the lock, %d have it alone", alone, r, w)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		end := time.Now().Add(testutil.StressTime(t))
		for g := range 24 {
			wg.Go(func() {
				for i := g; time.Now().Before(end); i++ {
					switch i % 3 {
					case 0, 1:
						l.RLock()
						readers.Add(1)
						check(false)
						_ = plain
						readers.Add(-1)
						l.RUnlock()
					case 2:
						var stop, late chan struct{}
						if i%4 != 0 {
							end := make(chan struct{})
							if stop = end; i%8 == 1 {
								stop, late = nil, end
							}
							timer := time.AfterFunc(time.Duration(i%30)*time.Microsecond, func() { close(end) })
							defer timer.Stop()
						}
						if !l.Lock(stop, late) {
							gave.Add(1)
							continue
						}
						got.Add(1)
						writers.Add(1)
						check(true)
						plain++
						writers.Add(-1)
						l.Unlock()
					}
					if i%17 == 0 {
						time.Sleep(time.Microsecond)
					}
				}
			})
		}
		wg.Wait()
	}()
	select {
	case <-done:
	case <-time.After(testutil.StressTime(t) + 20*time.Second):
		t.Fatalf("somebody waits for ever: state %#x, %d in line", l.state.Load(), l.waiters())
	}
	checkFree(t, &l)
	if int64(plain) != got.Load() {
		t.Errorf("%d changes under the lock, want %d", plain, got.Load())
	}
	t.Logf("%d had it alone, %d gave up", got.Load(), gave.Load())
}
