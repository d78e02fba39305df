package ringfile

import (
	"runtime"

	"github.com/ringfile/ringfile/uring"
)

// polling is how a ring is served, apart from interrupts and submissions by system calls.
type polling struct {
	sq bool // a kernel thread takes what is queued (IORING_SETUP_SQPOLL)
	io bool // devices are polled for completions; the kernel cancels nothing (IORING_SETUP_IOPOLL)

	idlePolls uint32 // of the reaper, in a row, that found nothing

	stuck      uint32 // SQReady of an sq ring without a thread, see threadGone
	stuckSince int    // for how many looks
}

// byEnter reports whether devices are polled by the reaper, in io_uring_enter. A call that waits for a
// completion polls until there is one, and holds the lock of the ring in the kernel meanwhile: nobody
// could submit what may be for another device. So each call of the reaper's looks once, and takes along
// what has been queued.
func (p *polling) byEnter() bool { return p.io && !p.sq }

// needsSubmitter reports whether what is queued wants a system call while the reaper is in the kernel. A
// kernel thread that takes entries wants one only if it sleeps: its flag is read after the store of the
// tail, and the thread sets it before it looks at the tail for the last time, so one of the two sees the
// other.
func (p *polling) needsSubmitter(u *uring.Ring) bool {
	if p.sq {
		return u.SQReady() > 0 && u.NeedWakeup()
	}
	return u.SQReady() > 0
}

// enterFlags returns with what io_uring_enter is to be called, and whether there is need for that.
func (p *polling) enterFlags(u *uring.Ring, submit, minComplete uint32) (_, _ uint32, flags uring.EnterFlags, need bool) {
	if p.sq {
		submit = 0
		if p.needsSubmitter(u) {
			flags = uring.EnterSQWakeup
		}
		if minComplete > 0 && u.CQReady() == 0 {
			flags |= uring.EnterGetEvents
		}
		return 0, minComplete, flags, flags != 0
	}
	if minComplete > 0 {
		flags = uring.EnterGetEvents // flushes overflown completions, too
		if p.byEnter() {
			minComplete = 0
		}
	}
	return submit, minComplete, flags, submit > 0 || flags != 0
}

// polled ends a look of the reaper's at the devices. Now and then it lets other goroutines run: the calls
// are too short for the scheduler to take the P away meanwhile. Not each time, as that wakes an idle P.
func (p *polling) polled(u *uring.Ring) {
	if u.CQReady() > 0 {
		p.idlePolls = 0
		return
	}
	if p.idlePolls++; p.idlePolls%pollsPerYield == 0 {
		runtime.Gosched()
	}
}

const pollsPerYield = 32

// threadGone reports whether nobody takes what is queued in a broken ring any more: its kernel thread
// sleeps, with nothing in flight that could wake it, and nobody can enter the ring to do that. Two looks
// tell that apart from a thread that is just about to sleep. due is how many completions are to come.
func (p *polling) threadGone(u *uring.Ring, due uint32) bool {
	ready := u.SQReady()
	if ready == 0 || ready != p.stuck || !u.NeedWakeup() || due != ready {
		p.stuck, p.stuckSince = ready, 0
		return false
	}
	p.stuckSince++
	return p.stuckSince >= 2
}
