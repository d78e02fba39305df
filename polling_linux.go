package ringfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/uring"
)

// newURing makes a kernel ring for the given number of requests and as many cancellations. The
// completion queue holds one completion for each, so it cannot overflow.
func (e *Engine) newURing(slots int) (*uring.Ring, error) {
	n := uint32(2 * slots)
	c := uring.Config{Entries: n, CQEntries: n}
	if e.config.IOPoll {
		c.Flags |= uring.SetupIOPoll
	}
	if p := e.config.SQPoll; p != nil {
		c.Flags |= uring.SetupSQPoll
		c.SQThreadIdleMS = p.idleMS()
		if p.Pinned {
			c.Flags |= uring.SetupSQAff
			c.SQThreadCPU = uint32(p.CPU)
		}
		if len(e.rings) > 0 { // they share a thread
			c.Flags |= uring.SetupAttachWQ
			c.AttachFD = e.rings[0].u.FD()
		}
	}
	u, err := e.setUp(c)
	if err == nil && e.config.SQPoll != nil && !u.Features().Has(uring.FeatSQPollNonfixed) {
		return nil, errors.Join(errOldSQPoll, u.Close())
	}
	return u, err
}

// setUp makes a ring, with the further flags that engines have where the kernel knows them.
func (e *Engine) setUp(c uring.Config) (*uring.Ring, error) {
	if further := e.tuning.setup; further != 0 && !c.Flags.Has(uring.SetupSQPoll) {
		plain := c.Flags
		c.Flags |= further
		u, err := uring.New(c)
		if !errors.Is(err, syscall.EINVAL) {
			return u, err
		}
		c.Flags = plain
	}
	return uring.New(c)
}

var errOldSQPoll = errors.New("this kernel's SQPOLL works on registered files only")

// explainSetup says why a ring could not be made, and tells a refused way of polling from a refused
// io_uring.
func (e *Engine) explainSetup(err error) *UnavailableError {
	why := unavailable("io_uring_setup", err, readFacts())
	if !e.config.polls() {
		return why
	}
	plain, plainErr := uring.New(uring.Config{Entries: 2})
	if plainErr != nil {
		return why // it is not the polling
	}
	plain.Close()
	p := e.config.SQPoll
	if p == nil {
		why.feature = "IOPOLL is"
		why.Op, why.Hint = "IOPOLL", "io_uring works here without Config.IOPoll"
		return why
	}
	why.Op, why.feature = "SQPOLL", "SQPOLL is"
	switch {
	case errors.Is(err, syscall.EPERM):
		why.Hint = "before Linux 5.13 it takes CAP_SYS_NICE (before 5.11 CAP_SYS_ADMIN), and a security policy may refuse it; io_uring works here without Config.SQPoll"
	case errors.Is(err, syscall.EINVAL) && p.Pinned:
		why.Hint = fmt.Sprintf("CPU %d is not online, or none of those that this process may use", p.CPU)
	case errors.Is(err, errOldSQPoll):
		why.Hint = "Linux 5.11 or newer is needed for Config.SQPoll"
	default:
		why.Hint = "io_uring works here without Config.SQPoll"
	}
	return why
}

// pollQueues finds out whether the device below f has poll queues: yes, no, or unknown if it is no
// single block device.
func (f *File) pollQueues() ability {
	var st unix.Stat_t
	if unix.Fstat(f.fd, &st) != nil {
		return unknown
	}
	dev := st.Dev
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		dev = st.Rdev
	}
	dir := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev))
	for _, queue := range []string{"/queue/io_poll", "/../queue/io_poll"} { // of a disk, of a partition's disk
		if b, err := os.ReadFile(dir + queue); err == nil {
			if strings.TrimSpace(string(b)) == "0" {
				return no
			}
			return yes
		}
	}
	return unknown
}
