package ringfile

import (
	"time"

	"github.com/ringfile/ringfile/internal/route"
)

// Stats counts what an engine has done since it was made. The counters are read one by one while work
// goes on, so they need not add up exactly.
type Stats struct {
	// Operations by route. One that continues on another route, such as a read whose beginning is in the
	// page cache, counts on each.
	Cached   uint64 // served from the page cache by a call that does not wait for the device (RWF_NOWAIT)
	Ring     uint64 // handed to the kernel through a ring
	Blocking uint64 // done by a blocking system call

	// Bytes moved on each route, reads and writes together.
	CachedBytes, RingBytes, BlockingBytes uint64

	// Syncs counts the syncs asked for (Sync and Datasync in all their forms). SharedSyncs counts those
	// of them that were served together with another goroutine's.
	Syncs, SharedSyncs uint64

	// Why operations do not take the route that you expect.
	Reason   string // why the engine has no ring, as Available says; empty if it has one
	Refused  uint64 // operations that a ring refused (EOPNOTSUPP, EINVAL, ...) and a system call carried out
	NoNowait int    // file systems without RWF_NOWAIT, whose files stay off the rings

	// Ring traffic.
	Enters      uint64 // calls of io_uring_enter(2); with Config.IOPoll, each poll of the devices is one
	Submissions uint64 // requests submitted, by these calls or the thread of Config.SQPoll, cancellations included
	Completions uint64 // completions reaped, cancellations included
	Reaps       uint64 // times that at least one completion was found
	Restarts    uint64 // submissions repeated: short transfers, EINTR, EAGAIN
	Cancels     uint64 // cancellations requested
	Busy        uint64 // calls of io_uring_enter that failed temporarily (EAGAIN, EBUSY)
	SlotWaits   uint64 // operations that had to wait because all requests were in flight
	// Batches counts the calls that submitted requests by how many: [0] one request, [1] two or three,
	// [2] four to seven, and so on; the last element counts all larger ones.
	Batches [batchSizes]uint64

	// Should be zero.
	Unknown uint64 // completions that match no request in flight; they are dropped
	Broken  uint64 // rings out of service because io_uring_enter failed permanently

	// Now.
	InFlight      int // requests with the kernel
	BlockingCalls int // goroutines in a blocking system call
	// OldestInFlight is the age of the oldest operation in progress: a ring request, counted from when
	// it was queued, or a blocking transfer, sync or call on a name; zero if there is none. A read from
	// the page cache, and a buffered system call without a context, such as a Write, is counted from the
	// first Stats that meets it. Not included are methods of File that os carries out (Stat, Truncate,
	// Chmod, ReadDir, Close, ...); BlockingCalls counts these too. The time that a goroutine waits for a
	// P counts as well. A watchdog can tell from it that a disk hangs, with a limit of several seconds.
	OldestInFlight time.Duration
	Devices        int // devices used so far
	Rings          int // rings in service, made for each device when first needed
	Restricted     int // of these: restricted to the operations that an engine uses (Linux 5.10)
	Depth          int // requests that all rings together can have in flight
	Workers        int // limit on kernel workers for each submitting thread; 0 is the kernel's default
}

// Stats returns the engine's counters. It never waits.
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
		s.BlockingCalls += l.calls.Running() + l.names.Running() + l.hits.Running() + l.plain.Running()
		oldest = min(l.hits.Oldest(now), l.plain.Oldest(now), l.names.Oldest(l.calls.Oldest(oldest)))
		ops, bytes := l.hits.count()
		s.Cached, s.CachedBytes = s.Cached+ops, s.CachedBytes+bytes
		ops, bytes = l.plain.count()
		s.Blocking, s.BlockingBytes = s.Blocking+ops, s.BlockingBytes+bytes
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

// count returns how many devices are known, and how many of them lack RWF_NOWAIT.
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

// count adds the queue's counters to s, and returns when its oldest request began, or now.
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
	if !q.ended {
		s.Depth += len(q.slots.all)
		if q.broken.Load() == nil {
			s.Rings++
		}
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
