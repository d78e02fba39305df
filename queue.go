package ringfile

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/internal/count"
	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/uring"
)

// queue carries a device's requests into the kernel: one io_uring instance, its slots, and two
// goroutines, which are the only ones that enter the ring. A caller writes its entry into the
// submission queue, wakes the goroutine that enters, and parks. So only these two, and never a caller,
// meet a device whose queue is full, or that hangs.
//
//   - The submitter (submit.go) submits what is queued.
//   - The reaper (reaper.go) waits for completions. With polling (polling.go) it also submits.
//
// Both run on demand and exit when they have been idle for a while. mu is never held during a system
// call.
//
// The kernel delivers a completion in the thread that submitted the request, and takes a lock of the
// ring to do so, which a submission that sleeps because the device's queue is full holds for as long as
// that takes. A goroutine that ran in such a thread would be stopped with it, wherever it is; if it has
// a P, the whole program would stop. So only the submitter submits, bound to its thread, which runs
// nothing else.
type queue struct {
	failed  *count.Counter // of the engine: rings that are broken
	u       *uring.Ring
	polling polling

	mu         sync.Mutex
	slots      slots
	waiting    requests // those that found no slot
	state      state    // of the reaper
	submitter  life     // where it does not submit alone. running: it is in the kernel, or about to be
	reaper     life
	own        *uring.Submitter // the submitter where that submits alone; nil if there is none
	submitters int              // of those, the ones that have not ended yet
	cancels    int              // cancellations whose completion is due
	dueCancel  bool             // cancellations are to be asked for, for which there was no room
	closed     bool             // takes no more requests
	ended      bool             // the ring is closed, or about to be
	finished   chan struct{}    // closed when it is
	idle       *time.Timer      // ends both goroutines
	active     bool             // there was something to do since the clock was set

	inFlight  atomic.Int32          // requests that have a slot
	broken    atomic.Pointer[error] // io_uring_enter failed for good
	stats     queueStats
	submitted uring.SubmitCounts // by the submitter that submits alone
	// Used only by the reaper.
	cqes    [64]uring.CQE
	done    []*request
	waitArg uring.WaitArg
}

// state is what the reaper is doing, which decides what a caller has to do to have its entry submitted.
type state uint8

const (
	// idle: nothing is in flight. The next caller wakes the reaper.
	idle state = iota
	// running: the reaper is about to enter the kernel; with polling, it submits everything queued until then.
	running
	// waiting: the reaper is in the kernel.
	waiting
	// reaping: the reaper wakes those whose requests are complete, comes after them when they have queued their
	// next ones, and has these submitted. The last time that took less than shortAbsence.
	reaping
)

// life is one of the two goroutines: where it is woken, and whether it is running.
type life struct {
	run     func()
	wake    chan bool // of one element; false ends it
	there   bool
	running bool // it is not parked
}

// start wakes the goroutine, or starts it. mu is held.
func (l *life) start() {
	l.running = true
	if l.there {
		l.wake <- true
		return
	}
	l.there = true
	outside.Go(l.run) // it may outlive a test's bubble
}

// alone reports whether only the submitter submits: not with SQPOLL, where the kernel's thread does,
// nor where the reaper polls devices, in a call that holds the ring's lock.
func (q *queue) alone() bool { return !q.polling.sq && !q.polling.io }

// end has the goroutine end if it is parked. mu is held.
func (l *life) end() {
	if l.there && !l.running {
		l.there = false
		l.wake <- false
	}
}

// idleTime is how long both goroutines stay when there is nothing to do.
const idleTime = 10 * time.Millisecond

// queueStats holds a queue's counters, guarded by its mu except for the atomic ones.
type queueStats struct {
	requests, restarts, slotWaits, unknown uint64
	cancels                                uint64
	bytes                                  uint64
	completions, reaps                     uint64
	enters, busy, submissions              atomic.Uint64
	batches                                [batchSizes]atomic.Uint64
}

// batchSizes is the number of size classes of submissions: one, two or three, four to seven, and so on.
const batchSizes = 8

// idCancel is the user_data of cancellations. Slots are aligned, so none has such an address.
const idCancel uint64 = 1

// takes reports whether the queue accepts the request. If its file was closed, its deadline has passed,
// or it was cancelled since its caller looked, then requests were cancelled, under mu, without this
// one. mu is held.
func (q *queue) takes(req *request) bool {
	return !q.closed && q.broken.Load() == nil && !req.desc.closed() &&
		req.gaveUp.Load() == 0 && (req.late == nil || !isClosed(req.late))
}

// admit gives the request a slot and an entry, or queues it. mu is held.
func (q *queue) admit(req *request) {
	q.stats.requests++
	req.began = clock()
	if q.waiting.n > 0 || !q.launch(req) {
		q.stats.slotWaits++
		q.waiting.push(req)
	}
}

// launch gives the request a slot and publishes its entry; it returns false if there is no room. mu is
// held.
//
// The submission queue has twice as many entries as there are slots. But the kernel reports how many of
// them a running submission has consumed only at its end, which may take long.
func (q *queue) launch(req *request) bool {
	if len(q.slots.free) == 0 {
		return false
	}
	e := q.sqe()
	if e == nil {
		return false
	}
	q.slots.take(req)
	q.publish(req, e)
	q.inFlight.Add(1)
	return true
}

// sqe returns a free entry, or nil if there is none; the submitter then takes care of what waits for
// one. mu is held.
func (q *queue) sqe() *uring.SQE {
	e := q.u.GetSQE()
	if e == nil && q.own != nil {
		q.own.Interrupt()
		e = q.u.GetSQE()
	}
	return e
}

// publish fills e with the entry for what is left of the request, and makes it visible to the kernel.
// mu is held.
func (q *queue) publish(req *request, e *uring.SQE) {
	req.iovs = req.prepare(e, req.n, req.iovs)
	e.UserData = req.slot.id()
	q.u.Flush()
}

// land releases the slot of a request. mu is held.
func (q *queue) land(req *request) {
	q.slots.release(req)
	q.inFlight.Add(-1)
}

// refill launches waiting requests, and requests the cancellations that are due, as far as there is
// room. mu is held.
func (q *queue) refill() {
	for q.waiting.n > 0 && q.launch(q.waiting.head) {
		q.waiting.pop()
	}
	if q.dueCancel {
		q.askCancels()
	}
}

// askCancels requests the cancellation of cancelled requests that are in flight, as far as there is
// room: at most one for each slot at a time. The rest is done later. mu is held.
func (q *queue) askCancels() {
	q.dueCancel = false
	for i := range q.slots.all {
		s := &q.slots.all[i]
		if s.req == nil || s.req.why == notCancelled || s.asked {
			continue
		}
		if q.cancels >= len(q.slots.all) {
			q.dueCancel = true
			return
		}
		e := q.sqe()
		if e == nil {
			q.dueCancel = true
			return
		}
		e.PrepCancel64(s.id(), 0)
		e.UserData = idCancel
		q.u.Flush()
		s.asked = true
		q.cancels++
		q.stats.cancels++
	}
}

// dismiss removes the waiting requests that match, cancelled because of why. The caller must complete
// them without mu, which is held.
func (q *queue) dismiss(match func(*request) bool, why cause) (gone requests) {
	gone = q.waiting.take(match)
	for r := gone.head; r != nil; r = r.next {
		r.why, r.errno = why, syscall.ECANCELED
	}
	return gone
}

// complete completes all requests of the list.
func (l *requests) complete() {
	for l.n > 0 {
		r := l.pop()
		r.to.complete(r)
	}
}
