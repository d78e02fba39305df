package ringfile

import (
	"time"

	"github.com/ringfile/ringfile/internal/route"
)

// Stats counts what an engine has done since it was made. The numbers are read one by one while
// work goes on, so they need not add up exactly.
type Stats struct {
	// Operations by the route they took. One that continues on another route, as a read does whose
	// head is in the page cache, counts on each.
	Cached   uint64 // served from the page cache by a call that does not wait for the device (RWF_NOWAIT)
	Ring     uint64 // handed to the kernel through a ring
	Blocking uint64 // done by a blocking system call

	// Bytes moved on each route, reads and writes together.
	CachedBytes, RingBytes, BlockingBytes uint64

	// Syncs are those asked for (Sync and Datasync in all their forms), SharedSyncs those of them that had
	// part in one made for others.
	Syncs, SharedSyncs uint64

	// Why operations are not where one would look for them.
	Reason   string // why the engine has no ring, as Available says; empty if it has one
	Refused  uint64 // operations that a ring refused (EOPNOTSUPP, EINVAL, ...) and a system call did
	NoNowait int    // file systems met that do not know RWF_NOWAIT, so that their files stay off the rings

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
	Batches [batchSizes]uint64

	// Should be zero.
	Unknown uint64 // completions that belong to no request in flight; they are dropped
	Broken  uint64 // rings out of service because io_uring_enter failed for good

	// Now.
	InFlight      int // requests with the kernel
	BlockingCalls int // goroutines in a blocking system call
	// OldestInFlight is how long ago the oldest operation began that is under way now: one for a ring, from
	// when it was queued, or a blocking transfer, sync or call on a name; zero if there is none. Reads from
	// the page cache, and methods of File that os carries out (Stat, Truncate, Chmod, ReadDir, Close, ...) are
	// not among them, nor are reads of a file that the page cache has had all of for long, which only now and
	// then ask whether they would wait: BlockingCalls has these, too. On a healthy device it stays far below a
	// second: a watchdog can tell from it that a disk hangs.
	OldestInFlight time.Duration
	Devices        int // devices met
	Rings          int // rings in service, made for each device when first needed
	Restricted     int // of these: which carry out no operations but those that an engine uses (Linux 5.10)
	Depth          int // requests that they can have in flight, all together
	Workers        int // bound on kernel workers for each submitting thread; 0 is the kernel's own
}

// Stats returns the engine's counts. It waits for nothing.
func (e *Engine) Stats() Stats {
	s := Stats{
		Syncs:         e.stats.syncs.Load(),
		SharedSyncs:   e.stats.sharedSyncs.Load(),
		Refused:       e.stats.refused.Load(),
		Broken:        e.devices.failed.Load(),
		BlockingCalls: e.devices.nowhere.Running(),
	}
	s.Cached, s.CachedBytes = e.stats.cached.Load()
	s.Blocking, s.BlockingBytes = e.stats.blocking.Load()
	if err := e.Available(); err != nil {
		s.Reason = err.Error()
	} else if !e.devices.rings.unboundedWorkers.Load() {
		s.Workers = e.devices.config.Workers
	}
	s.Devices, s.NoNowait = e.devices.count()
	if slots := e.devices.rings.spareDepth(); slots > 0 {
		s.Rings, s.Depth = 1, slots
	}
	now := clock()
	oldest := e.devices.nowhere.Oldest(now)
	for _, l := range e.devices.everyLane() {
		s.BlockingCalls += l.calls.Running() + l.names.Running()
		oldest = l.names.Oldest(l.calls.Oldest(oldest))
		for q := range l.everyQueue {
			oldest = min(oldest, q.count(&s, now))
		}
	}
	if !e.devices.rings.unrestricted.Load() {
		s.Restricted = s.Rings
	}
	s.OldestInFlight = time.Duration(now - oldest)
	return s
}

// count returns how many devices are known, and how many of them not to know RWF_NOWAIT.
func (ds *devices) count() (all, withoutNowait int) {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	for _, d := range ds.known {
		if d.facts.nowait.Get() == route.No {
			withoutNowait++
		}
	}
	return len(ds.known), withoutNowait
}

// count adds what the queue has counted to s, and returns when its oldest request began, or now.
func (q *queue) count(s *Stats, now int64) (oldest int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Ring += q.stats.requests
	s.RingBytes += q.stats.bytes
	s.Restarts += q.stats.restarts
	s.SlotWaits += q.stats.slotWaits
	s.Completions += q.stats.completions
	s.Reaps += q.stats.reaps
	s.Cancels += q.stats.cancels
	s.Unknown += q.stats.unknown
	for i := range s.Batches { // before the calls of which they are a part
		s.Batches[i] += q.stats.batches[i].Load() + q.submitted.Batches[i].Load()
	}
	s.Submissions += q.stats.submissions.Load() + q.submitted.Submitted.Load()
	s.Enters += q.stats.enters.Load() + q.submitted.Enters.Load()
	s.Busy += q.stats.busy.Load()
	if q.polling.sq { // they are submitted without a call that could be counted
		s.Submissions += q.stats.requests + q.stats.restarts + q.stats.cancels
	}
	s.InFlight += int(q.inFlight.Load())
	s.Depth += len(q.slots.all)
	if q.broken.Load() == nil {
		s.Rings++
	}
	oldest = now
	for i := range q.slots.all {
		if r := q.slots.all[i].req; r != nil {
			oldest = min(oldest, r.began)
		}
	}
	if q.waiting.n > 0 {
		oldest = min(oldest, q.waiting.head.began)
	}
	return oldest
}
