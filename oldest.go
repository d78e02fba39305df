package ringfile

import (
	"sync/atomic"
	"time"
)

// Each operation that is with the kernel has a note of when it began: one on a ring in its request,
// a blocking one in stamps.

var epoch = time.Now()

// clock returns the nanoseconds since the program started; never zero.
func clock() int64 { return max(int64(time.Since(epoch)), 1) }

// stamps notes when the blocking calls that run now began. There is room for as many as run at once as
// a rule; calls beyond that go unnoted.
type stamps struct {
	shards [8]struct {
		began [32]atomic.Int64 // 0 is free
	}
}

// begin notes that a call begins now; it returns what end wants.
func (s *stamps) begin() *atomic.Int64 {
	began := &s.shards[shard(uintptr(len(s.shards)))].began
	for i := range began {
		if p := &began[i]; p.Load() == 0 && p.CompareAndSwap(0, clock()) {
			return p
		}
	}
	return nil
}

// end notes that the call of p is over.
func (s *stamps) end(p *atomic.Int64) {
	if p != nil {
		p.Store(0)
	}
}

// oldest returns when the oldest call began that runs now, or now.
func (s *stamps) oldest(now int64) int64 {
	for i := range s.shards {
		for j := range s.shards[i].began {
			if t := s.shards[i].began[j].Load(); t != 0 {
				now = min(now, t)
			}
		}
	}
	return now
}

// oldest returns when the oldest request began that is with the kernel, or now. mu is held.
func (r *ring) oldest(now int64) int64 {
	if r.inFlight.Load() == 0 {
		return now
	}
	for i := range r.slab.slots {
		req := &r.slab.slots[i]
		if p := phase(req.phase.Load()); p == submitted || p == abandoned {
			now = min(now, req.began)
		}
	}
	return now
}
