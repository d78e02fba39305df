package ringfile

import (
	"math/bits"
	"runtime"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/sysio"
	"github.com/ringfile/ringfile/uring"
)

// submit queues a request and has it submitted. It returns false, having done nothing, if the queue
// does not accept it. From here on until its completion the request belongs to the queue.
func (q *queue) submit(req *request) bool {
	q.mu.Lock()
	if !q.takes(req) {
		q.mu.Unlock()
		return false
	}
	q.admit(req)
	q.wakeAndUnlock()
	return true
}

// submitMany is submit for several requests; it returns how many of them, in order, the queue accepted.
func (q *queue) submitMany(all []*request) (n int) {
	q.mu.Lock()
	for n < len(all) && q.takes(all[n]) {
		q.admit(all[n])
		n++
	}
	if n == 0 {
		q.mu.Unlock()
		return 0
	}
	q.wakeAndUnlock()
	return n
}

// wakeAndUnlock has what is queued submitted. mu is held when it is called.
func (q *queue) wakeAndUnlock() {
	q.active = true
	if q.state == idle {
		q.state = running
		q.reaper.start()
	}
	var s *uring.Submitter
	if q.state != reaping || q.u.SQReady() >= leftToReaper {
		s = q.callSubmitter()
	}
	q.mu.Unlock()
	rouse(s)
}

// leftToReaper is how many entries are worth waking the submitter for before the reaper does so. Waking it
// for each takes a processor from those who compute between their requests.
const leftToReaper = 4

// callSubmitter starts the submitter if something is queued for it. It returns the one to wake, without
// mu, which is held.
func (q *queue) callSubmitter() *uring.Submitter {
	switch {
	case q.broken.Load() != nil, q.u.SQReady() == 0:
	case q.alone():
		if q.own == nil {
			s := uring.NewSubmitter(q.u, &q.submitted)
			q.own = s
			q.submitters++
			outside.Go(func() { q.submitAlone(s) })
		}
		return q.own
	case !q.submitter.running && q.state == waiting && q.polling.needsSubmitter(q.u):
		q.submitter.start()
	}
	return nil
}

// rouse wakes the submitter s, unless it is nil.
func rouse(s *uring.Submitter) {
	if s != nil {
		s.Wake()
	}
}

// submitAlone is the submitter where only it submits. It ends when it no longer belongs to the queue.
func (q *queue) submitAlone(s *uring.Submitter) {
	labelGoroutine("submitter")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread() // when nothing is in flight, or nobody submits any more
	pause, submitted := time.Duration(0), uint64(0)
	for {
		err := s.Run()
		switch err {
		case nil: // something waits for an entry, or it has been dismissed
		case syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM:
			q.stats.busy.Add(1)
			if n := q.submitted.Submitted.Load(); n != submitted {
				pause, submitted = 0, n
			}
			pause = min(max(2*pause, 10*time.Microsecond), time.Millisecond)
			time.Sleep(pause)
		default:
			q.breakDown(err)
		}
		q.mu.Lock()
		if q.own != s {
			break
		}
		q.refill()
		q.mu.Unlock()
	}
	if q.submitters--; q.submitters == 0 && q.ended {
		q.closeRing()
	}
	q.mu.Unlock()
}

// dismissSubmitter makes the only submitter end. It returns the one to wake, without mu, which is held.
func (q *queue) dismissSubmitter() *uring.Submitter {
	s := q.own
	if s != nil {
		q.own = nil
		s.Interrupt()
	}
	return s
}

// submitQueued is the submitter where others submit too: it does so while the reaper is in the kernel.
func (q *queue) submitQueued() {
	labelGoroutine("submitter")
	wake := make(chan bool, 1)
	q.mu.Lock()
	q.submitter.wake = wake
	pause := time.Duration(0)
	for {
		q.refill()
		n := q.u.SQReady()
		if n > 0 && q.state == waiting && q.broken.Load() == nil && q.polling.needsSubmitter(q.u) {
			q.mu.Unlock()
			if time.Sleep(pause); q.enter(n, 0, 0) {
				pause = 0
			} else {
				pause = min(max(2*pause, 10*time.Microsecond), time.Millisecond)
			}
			q.mu.Lock()
			continue
		}
		q.submitter.running = false
		q.settleDown()
		q.mu.Unlock()
		if !<-wake {
			return
		}
		q.mu.Lock()
	}
}

// enter calls io_uring_enter, to submit entries and, for the reaper, to wait for a completion, up to
// limit if that is not 0. It may return earlier, and callers check for themselves. It returns false if
// the kernel refuses temporarily: it is out of memory, or needs completions to be reaped first. Entries
// visible to the kernel are never reported as failed here; a later call submits them.
func (q *queue) enter(submit, minComplete uint32, limit time.Duration) bool {
	if q.broken.Load() != nil {
		return true
	}
	submit, minComplete, flags, need := q.polling.enterFlags(q.u, submit, minComplete)
	if !need {
		return true
	}
	var n int
	var err error
	if limit > 0 && minComplete > 0 {
		n, err = q.u.EnterTimeout(submit, minComplete, flags, limit, &q.waitArg)
	} else {
		n, err = q.u.Enter(submit, minComplete, flags)
	}
	q.stats.enters.Add(1)
	if n > 0 && !q.polling.sq {
		q.stats.submissions.Add(uint64(n))
		q.stats.batches[min(bits.Len(uint(n)), len(q.stats.batches))-1].Add(1)
	}
	switch err {
	case nil, syscall.EINTR, sysio.TimedOut:
	case syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM:
		q.stats.busy.Add(1)
		return false
	default:
		q.breakDown(err)
	}
	return true
}

// settleDown is what a goroutine of the queue does before it parks: if the other one is parked too,
// both will end, after a while or, on a closed queue, with the ring. mu is held.
func (q *queue) settleDown() {
	if q.state != idle || q.submitter.running {
		return
	}
	if q.closed {
		q.endLocked()
	} else if q.active {
		q.active = false
		q.idle.Reset(idleTime)
	}
}

// rest ends both goroutines if nothing has happened for a while.
func (q *queue) rest() {
	q.mu.Lock()
	var s *uring.Submitter
	// Whoever settles down next sets the clock again.
	if !q.active && q.state == idle && !q.submitter.running {
		q.reaper.end()
		q.submitter.end()
		s = q.dismissSubmitter()
	}
	q.mu.Unlock()
	rouse(s)
}

// endLocked closes the ring, in which nothing is in flight. mu is held.
func (q *queue) endLocked() {
	if q.ended {
		return
	}
	q.ended = true
	q.idle.Stop()
	q.reaper.end()
	q.submitter.end()
	if s := q.dismissSubmitter(); s != nil {
		go s.Wake()
	}
	if q.submitters == 0 {
		q.closeRing()
	}
}

// closeRing closes the ring, which is no longer used.
func (q *queue) closeRing() {
	go func() {
		q.u.Close()
		close(q.finished)
	}()
}

// breakDown takes a ring out of service whose io_uring_enter failed permanently, for example because
// its descriptor was closed by somebody else. Requests that the kernel has consumed are not affected:
// their completions are still looked for. The others, and later ones, get EAGAIN, which turns them into
// system calls.
func (q *queue) breakDown(err error) {
	if !q.broken.CompareAndSwap(nil, &err) {
		return
	}
	q.failed.Add(1)
	q.mu.Lock()
	s := q.dismissSubmitter()
	gone := q.dismiss(func(*request) bool { return true }, notCancelled)
	for r := gone.head; r != nil; r = r.next {
		r.errno = syscall.EAGAIN
	}
	q.mu.Unlock()
	rouse(s)
	gone.complete()
}
