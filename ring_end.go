package ringfile

import (
	"syscall"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// brokenPoll is how often the completion queue of a broken ring is looked at.
const brokenPoll = 10 * time.Millisecond

// breakDown takes a ring out of service whose io_uring_enter failed for good, as when its
// descriptor was closed behind our back. Requests that the kernel has taken stay what they are:
// their completions are still looked for. The others, and new ones, take the blocking road.
func (r *ring) breakDown(err error) {
	if r.broken.CompareAndSwap(nil, &err) {
		r.engine.stats.broken.add(1)
		r.mu.Lock()
		r.dismiss()
		r.mu.Unlock()
	}
}

// salvage ends the requests of a broken ring that the kernel has not taken, with EAGAIN, which
// sends them to the blocking road. Only the watcher calls it.
func (r *ring) salvage() {
	var ids []uint64
	r.mu.Lock()
	// Else later: somebody may still be in the kernel, or its thread may take them.
	if r.submitters.Load() == 0 && (!r.polling.sq || r.threadGone()) {
		r.u.Withdraw(func(e *uring.SQE) { ids = append(ids, e.UserData) })
	}
	r.mu.Unlock()
	for _, id := range ids {
		r.complete(&uring.CQE{UserData: id, Res: -int32(syscall.EAGAIN)})
	}
}

// refuse stops the intake and cancels what is in flight.
func (r *ring) refuse() {
	r.mu.Lock()
	r.closed = true
	r.dismiss()
	r.checkDrained()
	r.mu.Unlock()
	r.cancelFile(nil, func(opcode) bool { return true }, byEngineClose)
}

// close ends the ring once nothing is in flight: reaper, memory, descriptor. It returns the number
// of requests that are still in flight after the time limit; then everything stays as it is.
func (r *ring) close(limit time.Duration) int {
	r.refuse()
	select {
	case <-r.drained:
	case <-time.After(limit):
		if n := int(r.inFlight.Load()); n > 0 {
			return n
		}
		<-r.drained
	}
	r.mu.Lock()
	if r.stance == unwatched {
		r.stance = awake
		r.wake <- struct{}{}
	} // else whoever watches sees closed: the reaper ends, a leader wakes it for that
	r.mu.Unlock()
	<-r.stopped
	for r.submitters.Load() > 0 {
		time.Sleep(10 * time.Microsecond) // they are not waiting for anything
	}
	if err := r.u.Close(); err != nil {
		r.breakDown(err)
	}
	return 0
}

// checkDrained closes drained when nothing is in flight any more. mu is held.
func (r *ring) checkDrained() {
	if r.closed && r.inFlight.Load() == 0 {
		select {
		case <-r.drained:
		default:
			close(r.drained)
		}
	}
}
