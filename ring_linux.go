package ringfile

import (
	"errors"
	"syscall"

	"github.com/ringfile/ringfile/uring"
)

// needed are the operations that an engine uses. All of them came with or before Linux 5.6; a
// kernel or a sandbox without them counts as one without io_uring.
var needed = []uring.Op{
	uring.OpNop, uring.OpRead, uring.OpWrite, uring.OpReadv, uring.OpWritev, uring.OpFsync,
	uring.OpFallocate, uring.OpFadvise, uring.OpAsyncCancel,
}

// openRing makes one ring of the given depth and proves that a request goes through it.
func (e *Engine) openRing(depth int) (*ring, *UnavailableError) {
	slots := roundUp(depth)
	if depth == 0 {
		slots = defaultDepth
	}
	u, err := e.newURing(slots)
	// A memlock limit that is too low for the default depth may do for a smaller one. A depth that
	// was asked for is not silently made smaller.
	for depth == 0 && slots > minDepth && errors.Is(err, syscall.ENOMEM) {
		slots /= 2
		u, err = e.newURing(slots)
	}
	if err != nil {
		return nil, e.explainSetup(err)
	}
	probe, why := prove(u)
	if why != nil {
		u.Close()
		return nil, why
	}
	e.probe = probe
	// Kernel threads are bounded like our own. Before Linux 5.15 they cannot be; then the kernel's
	// own bound holds, four for each processor.
	workers := e.config.Workers
	if _, _, err := u.RegisterIOWQMaxWorkers(uint32(workers), uint32(workers)); err != nil {
		workers = 0
	}
	r, err := newRing(e, u, slots)
	if err != nil {
		u.Close()
		return nil, unavailable("slab", err, systemFacts{})
	}
	r.workers = workers
	e.rings = append(e.rings, r)
	// The kernels that report false ends are without this feature of Linux 5.17; some that are
	// without it are not concerned, and lose nothing but speed.
	e.falseEOF = !u.Features().Has(uring.FeatCQESkip)
	return r, nil
}

// prove sends a nop through the ring, as a sandbox may allow io_uring_setup and refuse the rest. It
// returns what the kernel knows.
func prove(u *uring.Ring) (*uring.Probe, *UnavailableError) {
	p, err := u.Probe()
	if err != nil {
		return nil, unavailable("io_uring_register", err, readFacts())
	}
	for _, op := range needed {
		if !p.Supports(op) {
			return nil, &UnavailableError{Op: "probe", Err: syscall.ENOSYS, Hint: "the kernel lacks " + op.String() + "; Linux 5.10 or newer is needed"}
		}
	}
	u.GetSQE().PrepNop()
	u.Flush()
	flags := uring.EnterGetEvents
	if u.Flags().Has(uring.SetupSQPoll) {
		flags |= uring.EnterSQWakeup
	}
	var cqe [1]uring.CQE
	for range 100 {
		if _, err := u.Enter(u.SQReady(), 1, flags); err != nil && err != syscall.EINTR && err != syscall.EAGAIN {
			return nil, unavailable("io_uring_enter", err, readFacts())
		}
		if u.CopyCQEs(cqe[:]) == 1 {
			// Before Linux 6.0 a ring that polls devices refuses everything else.
			refused := u.Flags().Has(uring.SetupIOPoll) && cqe[0].Res == -int32(syscall.EINVAL)
			if cqe[0].Res < 0 && !refused {
				return nil, unavailable("nop", syscall.Errno(-cqe[0].Res), readFacts())
			}
			return p, nil
		}
	}
	return nil, unavailable("io_uring_enter", errors.New("a nop does not complete"), systemFacts{})
}

// roundUp returns the power of two that is not below n.
func roundUp(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}
