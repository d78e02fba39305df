package ringfile

import (
	"runtime"

	"github.com/ringfile/ringfile/uring"
)

// polling is how a ring is served if not by interrupts and by submitting through system calls.
type polling struct {
	sq bool // a kernel thread takes what is queued (IORING_SETUP_SQPOLL)
	io bool // devices are polled for completions; the kernel cancels nothing (IORING_SETUP_IOPOLL)

	idlePolls uint32 // of the reaper, in a row, that found nothing

	stuck      uint32 // SQReady of an sq ring without a thread, see threadGone
	stuckSince int    // for how many looks
}

// byEnter reports whether the reaper polls devices, in io_uring_enter. A call that waits for a
// completion polls until there is one, and meanwhile holds the lock of the ring in the kernel: nobody
// could submit requests for other devices. So each call of the reaper polls once, and submits what has
// been queued.
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

// enterFlags returns the arguments for io_uring_enter, and whether it needs to be called.
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

// polled ends a poll of the devices by the reaper. Now and then it lets other goroutines run: the calls
// are too short for the scheduler to retake the P during one. It does not do so each time, because that
// wakes an idle P.
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

// threadGone reports whether nobody consumes what is queued in a broken ring any more: its kernel
// thread sleeps, with nothing in flight that could wake it, and nobody can enter the ring to do so. It
// takes two looks to tell this from a thread that is about to sleep. due is how many completions are
// outstanding.
func (p *polling) threadGone(u *uring.Ring, due uint32) bool {
	ready := u.SQReady()
	if ready == 0 || ready != p.stuck || !u.NeedWakeup() || due != ready {
		p.stuck, p.stuckSince = ready, 0
		return false
	}
	p.stuckSince++
	return p.stuckSince >= 2
}
