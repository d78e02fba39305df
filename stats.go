package ringfile

import "sync/atomic"

// Stats counts what an engine has done since it was made. The numbers are read one by one while
// work goes on, so they need not add up exactly.
type Stats struct {
	// Operations by the road they took. One that continues on another road, as a read does whose
	// head is in the page cache, counts on each.
	Cached   uint64 // served from the page cache by a call that does not wait (RWF_NOWAIT)
	Ring     uint64 // handed to the kernel through a ring
	Blocking uint64 // done by a blocking system call

	// Ring traffic.
	Enters      uint64 // calls of io_uring_enter(2)
	Completions uint64 // completions reaped, cancellations included
	Reaps       uint64 // times that at least one was found
	Restarts    uint64 // submissions repeated: short transfers, EINTR, EAGAIN
	Cancels     uint64 // cancellations asked for
	Busy        uint64 // calls that io_uring_enter refused for the moment (EAGAIN, EBUSY)
	SlotWaits   uint64 // operations that had to wait as all requests were in flight

	// Should be zero.
	Strays uint64 // completions that belong to no request in flight; they are dropped
	Broken uint64 // rings out of service because io_uring_enter failed for good

	// Now.
	InFlight      int // requests with the kernel
	BlockingCalls int // goroutines in a blocking system call
	Rings         int // rings in service
	Depth         int // requests that each of them can have in flight
}

// counter is a number that many goroutines add to, spread over cache lines.
type counter struct {
	cells [8]struct {
		n atomic.Uint64
		_ [56]byte
	}
}

func (c *counter) add(n uint64) { c.cells[shard(uintptr(len(c.cells)))].n.Add(n) }

func (c *counter) load() (n uint64) {
	for i := range c.cells {
		n += c.cells[i].n.Load()
	}
	return n
}

// stats is where an engine counts.
type stats struct {
	cached, ring, blocking counter
	enters, cancels, busy  counter
	strays, broken         counter
}

// ringStats is where a ring counts, guarded by its mu but for completions and reaps, which are the
// watcher's.
type ringStats struct {
	restarts, slotWaits uint64
	completions, reaps  atomic.Uint64
}

// Stats returns the engine's counts.
func (e *Engine) Stats() Stats {
	s := Stats{
		Cached:        e.stats.cached.load(),
		Ring:          e.stats.ring.load(),
		Blocking:      e.stats.blocking.load(),
		Enters:        e.stats.enters.load(),
		Cancels:       e.stats.cancels.load(),
		Busy:          e.stats.busy.load(),
		Strays:        e.stats.strays.load(),
		Broken:        e.stats.broken.load(),
		BlockingCalls: e.blocking.holders(),
	}
	for r := range e.everyRing {
		r.mu.Lock()
		s.Restarts += r.stats.restarts
		s.SlotWaits += r.stats.slotWaits
		r.mu.Unlock()
		s.Completions += r.stats.completions.Load()
		s.Reaps += r.stats.reaps.Load()
		s.InFlight += int(r.inFlight.Load())
		s.Depth += len(r.slab.slots)
		if r.broken.Load() == nil {
			s.Rings++
		}
	}
	return s
}
