package limit

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// plenty is a budget that is never used up.
func plenty() *Budget { return NewBudget(1 << 30) }

// over is a channel that is closed: whoever waits gives up at once.
var over = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// peak counts who is inside, and remembers the most.
type peak struct{ now, most atomic.Int64 }

func (p *peak) enter() {
	n := p.now.Add(1)
	for m := p.most.Load(); n > m && !p.most.CompareAndSwap(m, n); m = p.most.Load() {
	}
}

func (p *peak) leave() { p.now.Add(-1) }

// eventually waits until cond holds.
func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

// checkEmpty checks that nothing is left of the calls that came and went.
func checkEmpty(t *testing.T, pools ...*Pool) {
	t.Helper()
	for _, p := range pools {
		if n := p.Present(); n != 0 || p.queue.first() != nil {
			t.Errorf("%d calls are left, one waits: %v", n, p.queue.first() != nil)
		}
		for i := range p.shards {
			if n := p.shards[i].running.Load(); n != 0 {
				t.Errorf("%d permits of shard %d are left", n, i)
			}
		}
		if now := int64(1 << 60); p.Oldest(now) != now {
			t.Error("the note of a call is left that has ended")
		}
		if n := p.budget.used.Load(); n != 0 {
			t.Errorf("%d permits of the budget are left", n)
		}
	}
}

// TestPoolSize takes all permits, in pools of all sizes: there are as many as it says, not one more, and all
// of them come back.
func TestPoolSize(t *testing.T) {
	for size := 1; size < 100; size++ {
		p := NewPool(size, size, plenty())
		var all []Permit
		for range size {
			permit, ok := p.AcquireUntil(over, nil)
			if !ok {
				t.Fatalf("%d permits of %d", len(all), size)
			}
			all = append(all, permit)
		}
		if _, ok := p.AcquireUntil(nil, over); ok {
			t.Errorf("more than %d permits", size)
		}
		if _, ok := p.TryAcquire(); ok {
			t.Errorf("more than %d permits for those who do not wait", size)
		}
		if p.Running() != size || p.Present() != size {
			t.Errorf("%d run, %d are present, want %d", p.Running(), p.Present(), size)
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for i := range all {
			p.Release(&all[i])
			if permit, ok := p.TryAcquire(); !ok {
				t.Errorf("a permit that came back is not to be had, with %d of %d taken", size-1-i, size)
			} else {
				p.Release(&permit)
			}
		}
		checkEmpty(t, p)
	}
}

// TestPoolBound has many callers of a small pool: there are never more calls than permits.
func TestPoolBound(t *testing.T) {
	for _, size := range []int{1, 2, 4, 5, 16} {
		p := NewPool(size, size, plenty())
		var inside peak
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := range 200 {
					permit := p.Acquire()
					inside.enter()
					if i%10 == 0 { // long enough for others to come
						time.Sleep(time.Microsecond)
					}
					inside.leave()
					p.Release(&permit)
				}
			})
		}
		wg.Wait()
		if n := inside.most.Load(); n > int64(size) {
			t.Errorf("%d calls ran at once, want %d at most", n, size)
		}
		checkEmpty(t, p)
	}
}

// TestPoolStuck has calls that wait for one another: all permits are taken by calls that only end when a
// later one has run. Afterwards the bound is what it was.
func TestPoolStuck(t *testing.T) {
	p := NewPool(2, 8, plenty())
	hold := func(n int) (end func()) {
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				permit := p.Acquire()
				<-release
				p.Release(&permit)
			})
		}
		return func() {
			close(release)
			wg.Wait()
		}
	}
	start := time.Now()
	end := hold(5)
	eventually(t, func() bool { return p.Running() == 5 })
	if waited := time.Since(start); waited < patience {
		t.Errorf("those who waited had permits beyond the size after %v, want %v at least", waited, patience)
	}
	last := p.Acquire()
	end()
	p.Release(&last)
	checkEmpty(t, p)

	end = hold(11) // the hard bound holds: three cannot have one
	eventually(t, func() bool { return p.Present() == 11 && p.Running() == 8 })
	time.Sleep(5 * patience)
	if n := p.Running(); n != 8 {
		t.Errorf("%d calls run at once, want the hard bound of 8", n)
	}
	end()
	checkEmpty(t, p)

	var all []Permit
	for range 2 {
		all = append(all, p.Acquire())
	}
	if _, ok := p.TryAcquire(); ok {
		t.Error("one more than the size, at once")
	}
	for i := range all {
		p.Release(&all[i])
	}
}

// TestPoolGiveUp has those who wait give up at any moment of a wake-up or a grant: no permit is lost or
// doubled, and nobody sleeps on.
func TestPoolGiveUp(t *testing.T) {
	for _, hard := range []int{1, 3} {
		p := NewPool(1, hard, plenty())
		only := p.Acquire()
		if _, ok := p.AcquireUntil(over, nil); ok {
			t.Error("got a permit that there is not")
		}
		p.Release(&only)
		var inside peak
		var got, gave atomic.Int64
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				for i := range 200 {
					stop := make(chan struct{})
					timer := time.AfterFunc(time.Duration(g*i%50)*time.Microsecond, func() { close(stop) })
					permit, ok := p.AcquireUntil(stop, nil)
					if i%2 == 0 && !ok {
						permit, ok = p.AcquireUntil(nil, stop)
					}
					if ok {
						got.Add(1)
						inside.enter()
						if hard > 1 && i%20 == 0 {
							time.Sleep(2 * time.Millisecond)
						}
						inside.leave()
						p.Release(&permit)
					} else {
						gave.Add(1)
					}
					timer.Stop()
				}
			})
		}
		wg.Wait()
		if n := inside.most.Load(); n > int64(hard) {
			t.Errorf("%d calls ran at once, want %d at most", n, hard)
		}
		checkEmpty(t, p)
		t.Logf("%d got a permit, %d gave up", got.Load(), gave.Load())
	}
}

// TestPoolPresent has a caller on its way from the queue to the permit that has become free: it is seen
// there.
func TestPoolPresent(t *testing.T) {
	p := NewPool(1, 1, plenty())
	permit := p.Acquire()
	admitted := make(chan Permit)
	go func() { admitted <- p.Acquire() }()
	eventually(t, func() bool { return p.Present() == 2 })
	p.mu.Lock() // the caller cannot arrive
	permit.shard.running.Add(-1)
	p.wake()
	if n := p.Present(); n != 1 {
		t.Errorf("%d calls are left, want the one that has been woken up", n)
	}
	p.mu.Unlock()
	permit = <-admitted
	p.Release(&permit)
	checkEmpty(t, p)
}

// TestBudget has two pools use up what they may have together: each keeps its free share, and one that waits
// for the budget alone gets on when the other gives something back.
func TestBudget(t *testing.T) {
	budget := NewBudget(3)
	a, b := NewPool(7, 7, budget), NewPool(7, 9, budget)
	take := func(p *Pool) (all []Permit) {
		for {
			permit, ok := p.AcquireUntil(over, nil)
			if !ok {
				return all
			}
			all = append(all, permit)
		}
	}
	first := take(a)
	second := take(b)
	if len(first) != a.Free()+3 || len(second) != b.Free() {
		t.Errorf("%d and %d permits, want the %d and %d that are free, and 3", len(first), len(second), a.Free(), b.Free())
	}
	got := make(chan Permit)
	go func() { got <- b.Acquire() }()
	eventually(t, func() bool { return b.Present() == len(second)+1 })
	for i := range first {
		a.Release(&first[i])
	}
	select {
	case permit := <-got:
		b.Release(&permit)
	case <-time.After(20 * time.Second):
		t.Fatal("what the other pool gave back is not to be had")
	}
	for i := range second {
		b.Release(&second[i])
	}
	checkEmpty(t, a, b)
}

// TestBudgetGhost has a call end, and others come, while one is on its way in that the budget does not let:
// whoever has taken from the budget gives back, and nobody else.
func TestBudgetGhost(t *testing.T) {
	p := NewPool(3, 3, NewBudget(0))
	a, b := p.Acquire(), p.Acquire()
	p.shards[0].running.Add(1) // a third, as far as that
	p.Release(&a)
	if _, ok := p.TryAcquire(); ok {
		t.Error("an empty budget gives something")
	}
	// Whoever has come in between waits for nothing: it gets on after a while.
	got := make(chan Permit)
	go func() { got <- p.Acquire() }()
	for p.Present() < 3 {
		time.Sleep(time.Millisecond)
	}
	p.shards[0].running.Add(-1)
	select {
	case a = <-got:
	case <-time.After(20 * time.Second):
		t.Fatal("a permit that is there is not to be had")
	}
	p.Release(&a)
	p.Release(&b)
	checkEmpty(t, p)
}

// TestBudgetBound has callers of one pool whose budget is smaller than the pool come and go: whoever is
// refused gives back what it took, and no more. The bound is exact.
func TestBudgetBound(t *testing.T) {
	for _, more := range []int{0, 1, 3} {
		p := NewPool(3, 8, NewBudget(more)) // of one shard
		if p.Free() != free {
			t.Fatalf("%d free permits, want %d", p.Free(), free)
		}
		storm(t, []*Pool{p}, min(8, free+more))
	}
}

// TestBudgetShared has callers of several pools of several shards.
func TestBudgetShared(t *testing.T) {
	for _, more := range []int{0, 2, 5} {
		budget := NewBudget(more)
		pools := []*Pool{NewPool(15, 20, budget), NewPool(7, 20, budget), NewPool(3, 9, budget), NewPool(1, 4, budget)}
		bound := more
		for _, p := range pools {
			bound += min(p.Free(), p.hard)
		}
		storm(t, pools, bound)
	}
}

// storm has many callers of pools that share a budget come, give up and go. There are never more than most.
func storm(t *testing.T, pools []*Pool, most int) {
	t.Helper()
	var inside peak
	var wg sync.WaitGroup
	end := time.Now().Add(testutil.StressTime(t) / 4)
	for g := range 32 {
		wg.Go(func() {
			for i := g; time.Now().Before(end); i++ {
				p := pools[i%len(pools)]
				var permit Permit
				ok := true
				switch i / 3 % 4 {
				case 0:
					permit, ok = p.TryAcquire()
				case 1:
					stop := make(chan struct{})
					timer := time.AfterFunc(time.Duration(i%40)*time.Microsecond, func() { close(stop) })
					permit, ok = p.AcquireUntil(stop, nil)
					timer.Stop()
				default:
					permit = p.Acquire()
				}
				if !ok {
					continue
				}
				permit.Note(int64(i + 1))
				inside.enter()
				if i%7 == 0 {
					time.Sleep(time.Microsecond)
				}
				inside.leave()
				p.Release(&permit)
			}
		})
	}
	wg.Wait()
	if n := inside.most.Load(); n > int64(most) {
		t.Errorf("%d calls ran at once, want %d at most", n, most)
	}
	checkEmpty(t, pools...)
}

// TestPoolWakes has pairs of callers that can only go on one after the other, for long: a wake-up that is lost
// leaves one of them waiting, as patience does not help here.
func TestPoolWakes(t *testing.T) {
	p := NewPool(1, 1, plenty())
	done := make(chan struct{})
	var turns atomic.Int64
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		end := time.Now().Add(testutil.StressTime(t) / 2)
		for range 8 {
			wg.Go(func() {
				for time.Now().Before(end) {
					permit := p.Acquire()
					turns.Add(1)
					p.Release(&permit)
				}
			})
		}
		wg.Wait()
	}()
	select {
	case <-done:
	case <-time.After(testutil.StressTime(t) + 20*time.Second):
		t.Fatalf("somebody waits for ever, after %d turns", turns.Load())
	}
	checkEmpty(t, p)
}

// TestPoolNotes begins more calls than there is room for notes.
func TestPoolNotes(t *testing.T) {
	p := NewPool(1000, 1000, plenty())
	var all []Permit
	for i := range 1000 {
		permit := p.Acquire()
		permit.Note(int64(1000 - i))
		all = append(all, permit)
	}
	if age := p.Oldest(2000); age > 1000 || age < 1 {
		t.Errorf("the oldest call began at %d", age)
	}
	for i := range all {
		p.Release(&all[i])
	}
	permit := p.Acquire()
	permit.Note(7)
	if age := p.Oldest(2000); age != 7 {
		t.Errorf("the oldest call began at %d, want 7", age)
	}
	p.Release(&permit)
	checkEmpty(t, p)
}

// TestPoolClockInBubble has a goroutine of a bubble start the pool's clock, which is to go on outside.
func TestPoolClockInBubble(t *testing.T) {
	p := NewPool(1, 10, NewBudget(10))
	for range 3 { // the clock is made by the first one
		p.Acquire()
	}
	synctest.Test(t, func(t *testing.T) {
		if _, ok := p.AcquireUntil(over, nil); ok {
			t.Error("a permit for one that has given up")
		}
	})
	p.Acquire() // the watchdog ends the test if the clock stands still
}

// TestNoteTwice notes a call twice, of which nothing stays.
func TestNoteTwice(t *testing.T) {
	p := NewPool(4, 10, NewBudget(10))
	permit := p.Acquire()
	permit.Note(5)
	permit.Note(7)
	if oldest := p.Oldest(100); oldest != 5 {
		t.Errorf("the oldest began at %d, want 5", oldest)
	}
	p.Release(&permit)
	if oldest := p.Oldest(100); oldest != 100 {
		t.Errorf("with nothing running the oldest began at %d", oldest)
	}
}

// TestOldestUnseen has calls begin that did not ask the clock: they are as old as since they were met first.
func TestOldestUnseen(t *testing.T) {
	p := NewPool(4, 4, NewBudget(4))
	unseen, noted := p.Acquire(), p.Acquire()
	unseen.Note(Unseen)
	noted.Note(5)
	if oldest := p.Oldest(10); oldest != 5 {
		t.Errorf("the oldest began at %d, want 5", oldest)
	}
	p.Release(&noted)
	if oldest := p.Oldest(30); oldest != 10 {
		t.Errorf("the oldest began at %d, want 10", oldest)
	}
	p.Release(&unseen)
	if oldest := p.Oldest(40); oldest != 40 {
		t.Errorf("with nothing running the oldest began at %d", oldest)
	}
}
