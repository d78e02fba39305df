package ringfile

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats counts what an engine has done since it was made. The numbers are read one by one while
// work goes on, so they need not add up exactly.
type Stats struct {
	// Operations by the road they took. One that continues on another road, as a read does whose
	// head is in the page cache, counts on each.
	Cached   uint64 // served from the page cache by a call that does not wait (RWF_NOWAIT), or from a file in memory
	Ring     uint64 // handed to the kernel through a ring
	Blocking uint64 // done by a blocking system call

	// Bytes moved on each road, reads and writes together.
	CachedBytes, RingBytes, BlockingBytes uint64

	// Why operations are not where one would look for them.
	Reason  string // why the engine has no ring, as Available says; empty if it has one
	Refused uint64 // operations that a ring refused (EOPNOTSUPP, EINVAL, ...) and a system call did
	// Unregistered says why the last pool of Engine.NewBufferPool that has ordinary buffers has
	// those; empty if there is none.
	Unregistered string
	NoNowait     int // file systems met that do not know RWF_NOWAIT, so that their files stay off the rings

	// Ring traffic.
	Enters      uint64 // calls of io_uring_enter(2); with Config.IOPoll, each look at the devices is one
	Submissions uint64 // requests that those submitted, or the thread of Config.SQPoll, cancellations included
	Completions uint64 // completions reaped, cancellations included
	Reaps       uint64 // times that at least one was found
	Restarts    uint64 // submissions repeated: short transfers, EINTR, EAGAIN
	Cancels     uint64 // cancellations asked for
	Busy        uint64 // calls that io_uring_enter refused for the moment (EAGAIN, EBUSY)
	SlotWaits   uint64 // operations that had to wait as all requests were in flight
	// Batches counts the calls that submitted by how much: [0] one request, [1] two or three, [2]
	// four to seven, and so on; the last has all that are larger.
	Batches [8]uint64
	Fixed   uint64 // submissions whose buffer was a registered one

	// Should be zero.
	Strays uint64 // completions that belong to no request in flight; they are dropped
	Broken uint64 // rings out of service because io_uring_enter failed for good

	// Now.
	InFlight      int // requests with the kernel
	BlockingCalls int // goroutines in a blocking system call
	// OldestInFlight is how long ago the oldest operation began that is with the kernel now, on a ring
	// or in a blocking transfer, sync or file-system call; zero if there is none. Methods of File that
	// os carries out (Stat, Truncate, Chmod, ReadDir, ...), and Close, are among them with a context
	// only. On a healthy device it stays far below a second: a watchdog can tell from it that a disk
	// hangs.
	OldestInFlight time.Duration
	Rings          int // rings in service
	Depth          int // requests that they can have in flight, all together
	Workers        int // bound on kernel workers for each submitting thread; 0 is the kernel's own
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
	cached, blocking      traffic
	ring                  counter
	refused               counter
	enters, cancels, busy counter
	strays, broken        counter
	stamps                stamps // of blocking calls
}

// traffic counts operations and the bytes that they moved, as counter does, with one cache line for
// both: it is for operations that take less than a microsecond.
type traffic struct {
	cells [8]struct {
		ops, bytes atomic.Uint64
		_          [48]byte
	}
}

// add counts one operation that moved n bytes.
func (c *traffic) add(n int) {
	cell := &c.cells[shard(uintptr(len(c.cells)))]
	cell.ops.Add(1)
	cell.bytes.Add(uint64(n))
}

func (c *traffic) load() (ops, bytes uint64) {
	for i := range c.cells {
		ops += c.cells[i].ops.Load()
		bytes += c.cells[i].bytes.Load()
	}
	return ops, bytes
}

// ringStats is where a ring counts, guarded by its mu but for completions and reaps, which are the
// watcher's.
type ringStats struct {
	restarts, slotWaits, fixed uint64
	completions, reaps         atomic.Uint64
	bytes                      atomic.Uint64
	submissions                atomic.Uint64
	batches                    [len(Stats{}.Batches)]atomic.Uint64
}

// submitted counts a call of io_uring_enter that submitted n requests.
func (s *ringStats) submitted(n int) {
	if n > 0 {
		s.submissions.Add(uint64(n))
		s.batches[min(bits.Len(uint(n)), len(s.batches))-1].Add(1)
	}
}

// Stats returns the engine's counts.
func (e *Engine) Stats() Stats {
	s := Stats{
		Ring:          e.stats.ring.load(),
		Enters:        e.stats.enters.load(),
		Cancels:       e.stats.cancels.load(),
		Busy:          e.stats.busy.load(),
		Strays:        e.stats.strays.load(),
		Broken:        e.stats.broken.load(),
		BlockingCalls: e.blocking.holders(),
		Refused:       e.stats.refused.load(),
		NoNowait:      e.volumes.withoutNowait(),
	}
	s.Cached, s.CachedBytes = e.stats.cached.load()
	s.Blocking, s.BlockingBytes = e.stats.blocking.load()
	ops, bytes := e.blocking.counted()
	s.Blocking += ops
	s.BlockingBytes += bytes
	if err := e.Available(); err != nil {
		s.Reason = err.Error()
	}
	now := clock()
	oldest := e.blocking.oldest(e.stats.stamps.oldest(now))
	for r := range e.everyRing {
		r.mu.Lock()
		s.Restarts += r.stats.restarts
		s.SlotWaits += r.stats.slotWaits
		s.Fixed += r.stats.fixed
		oldest = min(oldest, r.oldest(now))
		r.mu.Unlock()
		s.Submissions += r.stats.submissions.Load()
		s.RingBytes += r.stats.bytes.Load()
		for i := range s.Batches {
			s.Batches[i] += r.stats.batches[i].Load()
		}
		s.Workers = r.workers
		s.Completions += r.stats.completions.Load()
		s.Reaps += r.stats.reaps.Load()
		s.InFlight += int(r.inFlight.Load())
		s.Depth += len(r.slab.slots)
		if r.broken.Load() == nil {
			s.Rings++
		}
	}
	s.OldestInFlight = time.Duration(now - oldest)
	if why := e.fixed.reason.Load(); why != nil {
		s.Unregistered = why.Error()
	}
	return s
}
