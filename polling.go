package ringfile

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// SQPollConfig is the configuration of the kernel thread that takes an engine's requests, so that
// submitting them needs no system call (IORING_SETUP_SQPOLL). Waiting for them still does.
//
// There is one thread for an engine, however many rings it has. It runs with the credentials that
// the goroutine which called New had, also after the process has changed its own, and its processor
// time counts as the process's.
type SQPollConfig struct {
	// Idle is how long the thread looks for further requests after the last one, keeping a CPU
	// busy, before it sleeps, in whole milliseconds, rounded up. The first request after that
	// costs a system call that wakes it. Zero: 20 milliseconds.
	Idle time.Duration

	// Pinned binds the thread to the CPU numbered CPU, which must be online and one of those that
	// the process may use.
	Pinned bool
	CPU    int
}

const defaultSQPollIdle = 20 * time.Millisecond

func (p *SQPollConfig) check() error {
	switch {
	case p == nil:
		return nil
	case p.Idle < 0:
		return errors.New("ringfile: negative number in Config.SQPoll")
	case p.Idle > time.Hour:
		return fmt.Errorf("ringfile: Config.SQPoll.Idle is %v, must be at most an hour", p.Idle)
	case p.Pinned && (p.CPU < 0 || p.CPU >= 1<<16):
		return fmt.Errorf("ringfile: Config.SQPoll.CPU is %d, which numbers no CPU", p.CPU)
	}
	return nil
}

func (p *SQPollConfig) idleMS() uint32 {
	idle := p.Idle
	if idle == 0 {
		idle = defaultSQPollIdle
	}
	return uint32((idle + time.Millisecond - 1) / time.Millisecond)
}

// polls reports whether the configuration asks for a mode that must not silently be another.
func (c *Config) polls() bool { return c.SQPoll != nil || c.IOPoll }

// polling is how the rings of an engine are served, apart from interrupts and submissions by those
// who have requests.
type polling struct {
	sq bool // a kernel thread takes what is queued
	io bool // devices are polled for completions; the kernel cancels nothing

	idlePolls uint32 // of the watcher, in a row, that found nothing

	stuck      uint32 // SQReady of an sq ring without a thread, see abandoned
	stuckSince int    // for how many looks
}

// byEnter reports whether devices are polled by the watcher, in io_uring_enter. A call that waits for
// a completion polls until there is one, and holds the lock of the ring in the kernel meanwhile:
// nobody could submit what may be for another device, or for the same one. So each call of the
// watcher's looks once, and takes along what has been queued; callers need not submit.
func (p *polling) byEnter() bool { return p.io && !p.sq }

// polled ends a look of the watcher's at the devices. Now and then it lets other goroutines run: the
// calls are too short for the scheduler to take the P away meanwhile. Not each time, as that wakes
// an idle P.
func (r *ring) polled() {
	if r.u.CQReady() > 0 {
		r.idlePolls = 0
		return
	}
	if r.idlePolls++; r.idlePolls%pollsPerYield == 0 {
		runtime.Gosched()
	}
}

const pollsPerYield = 32

// enterSQPoll is enter for a ring whose submissions are taken by a kernel thread: it is woken if it
// sleeps.
func (r *ring) enterSQPoll(minComplete uint32) bool {
	for {
		if r.broken.Load() != nil {
			if minComplete > 0 {
				r.salvage()
				time.Sleep(brokenPoll)
			}
			return true
		}
		var flags uring.EnterFlags
		// The flag is read after the store of the tail, in publish, and the thread sets it before it
		// looks at the tail for the last time: one of the two sees the other.
		if r.u.SQReady() > 0 && r.u.NeedWakeup() {
			flags = uring.EnterSQWakeup
		}
		if minComplete > 0 && r.u.CQReady() == 0 {
			flags |= uring.EnterGetEvents
		}
		if flags == 0 {
			return true
		}
		_, err := r.enterOnce(0, minComplete, flags)
		r.engine.stats.enters.add(1)
		switch err {
		case nil:
			return true
		case syscall.EINTR, errTimedOut:
			if minComplete > 0 {
				return true
			}
		case syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM:
			return r.refusedForNow(minComplete)
		default: // EOWNERDEAD among them: the thread has ended
			r.breakDown(err)
		}
	}
}

// threadGone reports whether nobody takes what is queued in a broken ring any more: its kernel
// thread sleeps, with nothing in flight that could wake it, and nobody can enter the ring to do that.
// Two looks tell that apart from a thread that is just about to sleep. mu is held.
func (r *ring) threadGone() bool {
	p, ready := &r.polling, r.u.SQReady()
	if ready == 0 || ready != p.stuck || !r.u.NeedWakeup() || uint32(r.inFlight.Load())+r.cancels != ready {
		p.stuck, p.stuckSince = ready, 0
		return false
	}
	p.stuckSince++
	return p.stuckSince >= 2
}

// pollRefused returns the error number of an O_DIRECT transfer on an engine that polls, if the
// device is known not to be polled. Otherwise the kernel has the word: the completion says
// EOPNOTSUPP, on the kernels that do not simply wait for the interrupt instead.
func (f *File) pollRefused() syscall.Errno {
	if !f.polledOnly() || !f.direct || f.volume == nil {
		return 0
	}
	a := f.volume.polled.Load()
	if a == unknown {
		if a = f.pollQueues(); a == unknown {
			a = yes // the kernel will say
		}
		f.volume.polled.Store(a)
	}
	if a == no {
		return syscall.EOPNOTSUPP
	}
	return 0
}

// polledOnly reports whether the rings of f's engine poll devices, so that they take O_DIRECT
// transfers and nothing else.
func (f *File) polledOnly() bool { return f.engine.config.IOPoll && len(f.engine.rings) > 0 }

// retreats reports whether an operation on f that a ring refused with errno is carried out on the
// blocking road instead, and counts it then. One that is to be polled must not silently be something
// else.
func (f *File) retreats(errno syscall.Errno) bool {
	if !blockingRoadHelps(errno) || errno == syscall.EOPNOTSUPP && f.direct && f.polledOnly() {
		return false
	}
	f.engine.stats.refused.add(1)
	return true
}

// explain makes more of an error number from a transfer if there is more to say.
func (f *File) explain(errno syscall.Errno) error {
	if errno == syscall.EOPNOTSUPP && f.direct && f.polledOnly() {
		return &UnavailableError{Op: "IOPOLL", Err: errno, feature: "polled I/O is",
			Hint: "the device or file system cannot be polled, its queue/io_poll in /sys is 0: give the driver poll queues (nvme.poll_queues=, virtio_blk.poll_queues=), or use an engine without Config.IOPoll"}
	}
	return errno
}
