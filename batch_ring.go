package ringfile

import (
	"syscall"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// started is what became of an attempt to start tasks on a ring.
type started struct {
	taken     int  // tasks that are no longer the caller's business; the first ones
	published int  // those of them that the kernel has
	lead      bool // the caller must lead
	refused   bool // the ring takes no more requests
}

// startMany publishes the tasks, as many as there are slots for, and sees to it that they are
// submitted, by a call of the leader's if that is who calls.
func (r *ring) startMany(tasks []*task, mayLead, leading bool) (s started) {
	r.mu.Lock()
	if r.closed || r.broken.Load() != nil {
		r.mu.Unlock()
		s.refused = true
		return s
	}
	if r.waiting.len() == 0 { // others come first
		for s.taken < len(tasks) && len(r.free) > 0 {
			t := tasks[s.taken]
			s.taken++
			if t.closedSince() {
				continue
			}
			req := r.free[len(r.free)-1]
			r.free = r.free[:len(r.free)-1]
			r.fill(req, &t.op, t.n, t)
			s.published++
		}
	}
	r.engine.stats.ring.add(uint64(s.published))
	if leading || s.published == 0 {
		r.mu.Unlock()
		return s
	}
	s.lead = r.sendOff(mayLead)
	return s
}

// startInLine starts a task when it is its turn to have a slot. If stop or late fires before, it
// has not been taken.
func (r *ring) startInLine(t *task, mayLead bool, stop, late <-chan struct{}) (s started) {
	r.mu.Lock()
	var req *request
	if n := len(r.free); n > 0 && r.waiting.len() == 0 {
		req = r.free[n-1]
		r.free = r.free[:n-1]
	} else if req = r.awaitSlot(t.op.file, stop, late); req == nil {
		if s.refused = r.refuses(); !s.refused && t.closedSince() {
			s.taken = 1
		}
		return s
	}
	s.refused = r.closed || r.broken.Load() != nil
	if !s.refused {
		s.taken = 1
	}
	if s.refused || t.closedSince() {
		r.mu.Unlock()
		r.release(req)
		return s
	}
	r.fill(req, &t.op, t.n, t)
	s.published = 1
	r.engine.stats.ring.add(1)
	s.lead = r.sendOff(mayLead)
	return s
}

// refuses reports whether the ring takes no more requests.
func (r *ring) refuses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed || r.broken.Load() != nil
}

// closedSince finishes the task if its file has been closed since it was begun: its requests have
// been cancelled, without this one. The ring's mu is held, or it has found no slot.
func (t *task) closedSince() bool {
	if !t.op.file.life.closed() {
		return false
	}
	t.finishAsync(t.n, syscall.ECANCELED, byFileClose, nil, 0)
	return true
}

// patience returns for how many completions a caller waits that leads a batch with the given number
// of requests in flight. While it has the ring to itself it need not look at each completion; the
// others that may come in the meantime wait a little longer.
func (r *ring) patience(flying int) uint32 {
	if !r.canBePatient() || int(r.inFlight.Load()) > flying {
		return 1
	}
	return uint32(min(max(flying/2, 1), 16))
}

// patienceTime is how long a leader waits for several completions. Then it must look for those of
// others: its own device may hang.
const patienceTime = 5 * time.Millisecond

// canBePatient reports whether a wait can be so limited.
func (r *ring) canBePatient() bool { return r.byEnter() || r.u.Features().Has(uring.FeatExtArg) }

// enterOnce is one io_uring_enter. A wait for several completions ends after patienceTime, with ETIME.
func (r *ring) enterOnce(queued, minComplete uint32, flags uring.EnterFlags) (int, error) {
	if minComplete > 1 {
		return r.u.EnterTimeout(queued, minComplete, flags, patienceTime, &r.patient)
	}
	return r.u.Enter(queued, minComplete, flags)
}
