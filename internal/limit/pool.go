// Package limit bounds how many calls hold an OS thread: the Go runtime aborts a program at 10,000
// threads. A Pool has the permits for one kind of call on one device. A Budget is what all pools
// together may have beyond a small share of their own. Lock is a lock whose wait can be abandoned.
package limit

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfile/ringfile/internal/count"
	"github.com/ringfile/ringfile/internal/outside"
)

// patience is how long (to twice as long) a call waits for a permit before it may have one beyond the
// pool's ordinary size. Calls that wait for one another (both ends of a FIFO being opened, a FUSE
// server in this very process) would otherwise deadlock.
const patience = 25 * time.Millisecond

// free is how many permits of each shard do not count against the Budget.
const free = 2

// Budget is what the pools that share it may have together, beyond [Pool.Free] of each.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget returns a Budget of n permits.
func NewBudget(n int) *Budget { return &Budget{max: int64(n)} }

func (b *Budget) take() bool {
	if b.used.Add(1) <= b.max {
		return true
	}
	b.used.Add(-1)
	return false
}

// Pool is a number of permits. A permit that comes free goes to whoever is first, not to the call that
// has waited longest, which is only woken up: handing it over looks fairer and costs a switch of
// goroutines for each call from the moment on at which all permits are taken once.
type Pool struct {
	shards []shard // a power of two of them
	hard   int     // permits, with those of calls that ran out of patience
	budget *Budget

	waiting atomic.Int32 // calls in acquireSlow
	extra   atomic.Int32 // permits beyond those of the shards

	mu      sync.Mutex
	queue   queue // those that wait
	clock   *time.Timer
	ticking bool
	round   uint64 // of the clock
}

// shard is a part of the permits, in cache lines that normally one CPU at a time uses.
type shard struct {
	running atomic.Int32
	size    int32
	_       [56]byte
	began   [16]atomic.Int64 // when calls began that noted it; 0 is free
}

// Permit is the right to make a call, until it is given back.
type Permit struct {
	shard   *shard // nil if it is an extra one
	charged bool   // to the budget
	began   *atomic.Int64
}

// NewPool returns a pool of size permits, and up to hard for calls that have waited for long. Beyond its
// free share they come out of budget.
func NewPool(size, hard int, budget *Budget) *Pool {
	n := 1
	for n < 16 && 2*n*free <= size {
		n *= 2
	}
	p := &Pool{shards: make([]shard, n), hard: max(size, hard), budget: budget}
	for i := range p.shards {
		p.shards[i].size = int32(size*(i+1)/n - size*i/n)
	}
	return p
}

// Free is how many permits the pool has whatever the state of its budget.
func (p *Pool) Free() int { return free * len(p.shards) }

// Acquire waits for a permit.
func (p *Pool) Acquire() Permit {
	permit, _ := p.AcquireUntil(nil, nil)
	return permit
}

// AcquireUntil waits for a permit until stop or late is closed; it reports whether it got one.
func (p *Pool) AcquireUntil(stop, late <-chan struct{}) (Permit, bool) {
	if permit, ok := p.enter(&p.shards[count.Spread(len(p.shards))]); ok {
		return permit, true
	}
	return p.acquireSlow(stop, late)
}

// TryAcquire takes a permit if there is one.
func (p *Pool) TryAcquire() (Permit, bool) { return p.scan() }

// enter takes a permit of s if there is one. The budget is charged for those that find the first ones of the
// shard taken. So there are never more than that beside what the budget has, though it may be charged for more
// than it would have to be, as they come free in any order.
func (p *Pool) enter(s *shard) (Permit, bool) {
	n := s.running.Add(1)
	switch {
	case n > s.size:
	case n <= free:
		return Permit{shard: s}, true
	case p.budget.take():
		return Permit{shard: s, charged: true}, true
	}
	s.running.Add(-1)
	return Permit{}, false
}

// scan takes a permit of any shard if there is one.
func (p *Pool) scan() (Permit, bool) {
	for i := range p.shards {
		if s := &p.shards[i]; s.running.Load() < s.size {
			if permit, ok := p.enter(s); ok {
				return permit, true
			}
		}
	}
	return Permit{}, false
}

// Release gives the permit back.
func (p *Pool) Release(permit *Permit) {
	if permit.began != nil {
		permit.began.Store(0)
	}
	if permit.shard != nil {
		permit.shard.running.Add(-1)
	} else {
		p.extra.Add(-1)
	}
	if permit.charged {
		p.budget.used.Add(-1)
	}
	// Who waits has said so before it looked for a permit the last time, under mu.
	if p.waiting.Load() > 0 {
		p.mu.Lock()
		p.wake()
		p.mu.Unlock()
	}
}

// wake wakes the call that has waited longest. mu is held.
func (p *Pool) wake() {
	if w := p.queue.pop(); w != nil {
		w.wake <- struct{}{}
	}
}

// acquireSlow waits in the queue.
func (p *Pool) acquireSlow(stop, late <-chan struct{}) (permit Permit, ok bool) {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	w := newWaiter()
	defer w.free()
	for {
		p.mu.Lock()
		if permit, ok := p.scan(); ok {
			p.mu.Unlock()
			return permit, true
		}
		if w.round == 0 {
			w.round = p.round + 1 // never zero
			p.queue.push(w)
		} else {
			p.queue.pushFront(w) // it was woken, and others were first
		}
		p.tick()
		p.mu.Unlock()
		if !w.park(stop, late) {
			return p.giveUp(w)
		}
		if w.granted {
			return w.permit, true
		}
	}
}

// giveUp ends the wait of w, which may have got a permit in the meantime.
func (p *Pool) giveUp(w *waiter) (Permit, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.remove(w) {
		return Permit{}, false
	}
	<-w.wake
	if w.granted {
		return w.permit, true
	}
	p.wake() // on behalf of the wake-up that was ours
	return Permit{}, false
}

// tick starts the clock if it is not running. mu is held.
func (p *Pool) tick() {
	switch {
	case p.ticking:
		return
	case p.clock == nil:
		// The timer must not be one of a test's bubble, as the pool outlives that.
		p.ticking = true
		outside.Go(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.clock = time.AfterFunc(patience, p.impatient)
		})
		return
	default:
		outside.Do(func() { p.clock.Reset(patience) }) // by the clock of this process, not by that of a test's bubble
	}
	p.ticking = true
}

// impatient gives extra permits to those that have waited for a whole round of the clock.
func (p *Pool) impatient() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticking = false
	for w := p.queue.first(); w != nil && w.round <= p.round; w = p.queue.first() {
		permit, ok := p.grant()
		if !ok {
			break
		}
		p.queue.pop()
		w.granted, w.permit = true, permit
		w.wake <- struct{}{}
	}
	p.round++
	if p.queue.first() != nil {
		p.tick()
	}
}

// grant takes a permit, an extra one if need be. mu is held.
func (p *Pool) grant() (Permit, bool) {
	if permit, ok := p.scan(); ok { // somebody on his way out again was taken for one who has a permit
		return permit, true
	}
	if p.Running() >= p.hard || !p.budget.take() {
		return Permit{}, false
	}
	p.extra.Add(1)
	return Permit{charged: true}, true
}

// Running returns how many permits are taken. While calls come and go it is an estimate.
func (p *Pool) Running() int {
	n := int(p.extra.Load())
	for i := range p.shards {
		n += int(p.shards[i].running.Load())
	}
	return max(n, 0)
}

// Present returns how many calls have a permit or wait for one.
func (p *Pool) Present() int { return p.Running() + int(p.waiting.Load()) }

// Unseen stands for the time at which Oldest first meets the call: to ask the clock takes a tenth of a write into the
// page cache.
const Unseen = -1

// Note notes in the permit that its call begins now, for Oldest, unless it has an earlier one. There is room
// for as many calls as run at once as a rule; those beyond go unnoted. Now may be Unseen.
func (p *Permit) Note(now int64) {
	if p.shard == nil || p.began != nil {
		return
	}
	for i := range p.shard.began {
		if c := &p.shard.began[i]; c.Load() == 0 && c.CompareAndSwap(0, now) {
			p.began = c
			return
		}
	}
}

// Oldest returns when the oldest call began that was noted and runs, or now.
func (p *Pool) Oldest(now int64) int64 {
	oldest := now
	for i := range p.shards {
		for j := range p.shards[i].began {
			began := &p.shards[i].began[j]
			switch t := began.Load(); t {
			case 0:
			case Unseen:
				began.CompareAndSwap(Unseen, now)
			default:
				oldest = min(oldest, t)
			}
		}
	}
	return oldest
}
