package ringfile

import (
	"runtime"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/internal/count"
	"github.com/ringfile/ringfile/uring"
)

// newQueue adds slots and goroutines to a ring. It must be called outside of synctest bubbles.
func newQueue(u *uring.Ring, slots int, failed *count.Counter) (*queue, error) {
	q := &queue{u: u, failed: failed, finished: make(chan struct{})}
	q.polling.sq, q.polling.io = u.Flags().Has(uring.SetupSQPoll), u.Flags().Has(uring.SetupIOPoll)
	q.reaper.run, q.submitter.run = q.reap, q.submitQueued
	q.idle = time.AfterFunc(time.Hour, q.rest)
	q.idle.Stop()
	return q, q.slots.init(slots)
}

// reap is the reaper: while there are requests it waits on the completion queue and completes those
// that it finds by the user_data of the completions. It never runs user code, and apart from
// io_uring_enter it never blocks.
func (q *queue) reap() {
	labelGoroutine("reaper")
	if q.polling.byEnter() { // it submits, too: see submitAlone
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	wake := make(chan bool, 1)
	q.mu.Lock()
	q.reaper.wake = wake
	limit := time.Duration(0)
	prompt := false
	for {
		q.refill()
		if q.quiet() {
			q.state, prompt = idle, false
			q.reaper.running = false
			q.settleDown()
			q.mu.Unlock()
			if !<-wake {
				return
			}
			q.mu.Lock()
			continue
		}
		if q.waiting.n > 0 && q.inFlight.Load() == 0 && q.cancels == 0 {
			// The kernel's thread is about to make room for them. There is no completion to wait for.
			q.state = running
			q.mu.Unlock()
			time.Sleep(10 * time.Microsecond)
			q.mu.Lock()
			continue
		}
		submit := q.u.SQReady()
		s := q.callSubmitter()
		if q.submitter.running || q.alone() {
			submit = 0 // it is in the kernel with these, or about to be
		}
		if !q.polling.byEnter() {
			q.state = waiting
		}
		limit = q.unsureLimit(submit, limit)
		q.mu.Unlock()
		rouse(s)
		q.waitForCompletion(submit, limit)
		start := clock()
		q.mu.Lock()
		q.state = running
		if prompt && q.takesOver() {
			q.state = reaping
		}
		q.mu.Unlock()
		q.completeAll()
		// Let the goroutines that were woken queue their next requests, so that one call submits them
		// together.
		runtime.Gosched()
		q.mu.Lock()
		prompt = clock()-start < int64(shortAbsence)
	}
}

// shortAbsence is how long the reaper may be away for others to run, if they are to leave their entries to it.
const shortAbsence = 2 * time.Millisecond

// takesOver reports whether entries may be left to the reaper. Before Linux 5.11 it would not wait for them in the
// kernel, but sleep: see unsureLimit.
func (q *queue) takesOver() bool { return q.alone() && q.u.Features().Has(uring.FeatExtArg) }

// quiet reports whether there is nothing to wait for. mu is held.
func (q *queue) quiet() bool {
	return q.inFlight.Load() == 0 && q.cancels == 0 && q.waiting.n == 0
}

// unsureWait is how long the reaper waits at a time while the kernel may have nothing that could
// complete: others, or the kernel's thread, are about to submit what is queued, and if they find that
// the ring is broken, nobody could wake the reaper.
const unsureWait = 100 * time.Millisecond

// unsureLimit returns how long the reaper, submitting that many entries, may wait; 0 means without
// limit. last is what it returned before. mu is held.
func (q *queue) unsureLimit(submit uint32, last time.Duration) time.Duration {
	switch {
	case submit > 0 && !q.polling.sq, int(q.u.SQReady()) < int(q.inFlight.Load())+q.cancels:
		return 0
	case q.u.Features().Has(uring.FeatExtArg):
		return unsureWait
	}
	return min(max(2*last, 10*time.Microsecond), unsureWait/10) // it cannot wait in the kernel
}

// waitForCompletion waits until a completion is there, or for a while if there cannot be one; with polling it submits
// entries in the same system call. limit, if not 0, bounds the wait; before Linux 5.11 it sleeps for that instead.
func (q *queue) waitForCompletion(submit uint32, limit time.Duration) {
	if q.broken.Load() != nil {
		q.salvage()
		time.Sleep(brokenPoll) // completions may still arrive, but nothing can wait for them
		return
	}
	if limit > 0 && !q.u.Features().Has(uring.FeatExtArg) {
		time.Sleep(limit)
		return
	}
	if !q.enter(submit, 1, limit) {
		time.Sleep(10 * time.Microsecond)
	}
	if q.polling.byEnter() {
		q.polling.polled(q.u)
	}
}

// completeAll completes every request whose completion has arrived.
func (q *queue) completeAll() {
	for {
		n := q.u.CopyCQEs(q.cqes[:])
		if n == 0 {
			return
		}
		q.mu.Lock()
		q.stats.completions += uint64(n)
		q.stats.reaps++
		for i := range q.cqes[:n] {
			q.arrived(&q.cqes[i])
		}
		q.refill()
		q.mu.Unlock()
		q.tell()
	}
}

// arrived records one completion. mu is held.
func (q *queue) arrived(cqe *uring.CQE) {
	if cqe.UserData == idCancel && q.cancels > 0 {
		q.cancels--
		return
	}
	req := q.slots.find(cqe.UserData)
	if req == nil {
		q.stats.unknown++
		return
	}
	before := req.n
	again := req.settle(cqe.Res) && q.mayGoOn(req)
	q.stats.bytes += uint64(req.n - before)
	if again {
		q.stats.restarts++
		if e := q.sqe(); e != nil {
			q.publish(req, e)
			return
		}
		q.land(req)
		q.waiting.push(req)
		return
	}
	q.land(req)
	q.done = append(q.done, req)
}

// mayGoOn reports whether a request may be resubmitted for its rest; otherwise it has its errno. mu is
// held.
func (q *queue) mayGoOn(req *request) bool {
	switch {
	case req.why != notCancelled:
		req.errno = syscall.ECANCELED
	case q.broken.Load() != nil:
		req.errno = syscall.EAGAIN
	default:
		return true
	}
	return false
}

// tell notifies those who wait for finished requests.
func (q *queue) tell() {
	for i, req := range q.done {
		q.done[i] = nil
		req.to.complete(req)
	}
	q.done = q.done[:0]
}

// salvage ends the requests of a broken ring that the kernel has not consumed, with EAGAIN. Only the
// reaper calls it.
func (q *queue) salvage() {
	q.mu.Lock()
	// Else later: somebody may still be in the kernel, or its thread may take them.
	due := uint32(int(q.inFlight.Load()) + q.cancels)
	if !q.submitter.running && q.submitters == 0 && (!q.polling.sq || q.polling.threadGone(q.u, due)) {
		var ids []uint64
		q.u.Withdraw(func(e *uring.SQE) { ids = append(ids, e.UserData) })
		for _, id := range ids {
			q.arrived(&uring.CQE{UserData: id, Res: -int32(syscall.EAGAIN)})
		}
	}
	q.mu.Unlock()
	q.tell()
}

// brokenPoll is how often the completion queue of a broken ring is checked.
const brokenPoll = 10 * time.Millisecond
