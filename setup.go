package ringfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile/internal/restrict"
	"github.com/ringfile/ringfile/internal/sysio"
	"github.com/ringfile/ringfile/uring"
)

// needed are the operations that an engine uses, and the only ones that its rings carry out. All of
// them exist since Linux 5.6 or earlier; a kernel or a sandbox without them counts as one without
// io_uring.
var needed = []uring.Op{
	uring.OpNop, uring.OpRead, uring.OpWrite, uring.OpReadv, uring.OpWritev,
	uring.OpFallocate, uring.OpFadvise, uring.OpAsyncCancel,
}

// ringMaker makes the rings of an engine.
type ringMaker struct {
	config           Config
	falseEOF         bool        // a read with RWF_NOWAIT may report the end of a file where it is not; see docs/kernels.md
	unboundedWorkers atomic.Bool // kernel workers have the kernel's own bound
	unrestricted     atomic.Bool // rings take any operation

	mu         sync.Mutex
	spare      *uring.Ring // the ring with which io_uring was proved, for the first device
	spareSlots int
}

// take returns the spare ring, or a new one for the device of beside.
func (m *ringMaker) take(beside *uring.Ring) (u *uring.Ring, slots int, err error) {
	m.mu.Lock()
	u, slots = m.spare, m.spareSlots
	m.spare = nil
	m.mu.Unlock()
	if u != nil {
		return u, slots, nil
	}
	return m.make(beside)
}

// spareDepth returns how many requests the spare ring can have in flight, 0 if there is no spare ring.
func (m *ringMaker) spareDepth() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spare == nil {
		return 0
	}
	return m.spareSlots
}

// end closes the spare ring.
func (m *ringMaker) end() {
	m.mu.Lock()
	u := m.spare
	m.spare = nil
	m.mu.Unlock()
	if u != nil {
		u.Close()
	}
}

// prove makes the first ring, which the first device will get, and tests that a request goes through
// it: a sandbox may allow io_uring_setup and refuse the rest.
func (m *ringMaker) prove() *UnavailableError {
	if system, hint, err := sysio.UringForbidden(); err != nil {
		return &UnavailableError{Op: system, Err: err, Hint: hint}
	}
	u, slots, err := m.make(nil)
	if err != nil {
		return m.explain(err)
	}
	if why := proveRing(u); why != nil {
		u.Close()
		return why
	}
	// The kernels that report false ends of files are without this feature of Linux 5.17; some that are
	// without it are not concerned, and lose nothing but speed.
	m.falseEOF = !u.Features().Has(uring.FeatCQESkip)
	m.spare, m.spareSlots = u, slots
	return nil
}

// make makes a kernel ring with the configured depth, for the same device as beside if that is not nil,
// and returns how many requests it can have in flight.
func (m *ringMaker) make(beside *uring.Ring) (u *uring.Ring, slots int, err error) {
	slots = roundUp(m.config.Depth)
	if m.config.Depth == 0 {
		slots = defaultDepth
	}
	u, err = m.setUp(slots, beside)
	// A memlock limit that is too low for the default depth may do for a smaller one. A depth that was asked
	// for is not silently made smaller.
	for m.config.Depth == 0 && slots > minDepth && errors.Is(err, syscall.ENOMEM) {
		slots /= 2
		u, err = m.setUp(slots, beside)
	}
	if err != nil {
		return nil, 0, err
	}
	// Kernel threads are bounded like our own. Before Linux 5.15 they cannot be; then the kernel's own
	// bound holds, four for each processor.
	workers := uint32(m.config.Workers)
	if _, _, err := u.RegisterIOWQMaxWorkers(workers, workers); err != nil {
		m.unboundedWorkers.Store(true)
	}
	// After this nothing can be registered any more.
	restricted, err := restrict.Enable(u, 0, needed...)
	if err != nil {
		return nil, 0, errors.Join(err, u.Close())
	}
	if !restricted {
		m.unrestricted.Store(true)
	}
	return u, slots, nil
}

// setUp makes a kernel ring for the given number of requests and as many cancellations, disabled where
// the kernel supports that. The completion queue has room for one completion of each, so it cannot
// overflow.
func (m *ringMaker) setUp(slots int, beside *uring.Ring) (*uring.Ring, error) {
	n := uint32(2 * slots)
	c := uring.Config{Entries: n, CQEntries: n, Wanted: restrict.Wanted()}
	if m.config.IOPoll {
		c.Flags |= uring.SetupIOPoll
	}
	p := m.config.SQPoll
	if p == nil {
		// The kernel does not interrupt the thread that has submitted a request, should it be computing, to
		// finish that request: it does so when the thread enters the kernel anyway, with the next tick of
		// the clock at the latest (Linux 5.19).
		coop := c
		coop.Flags |= uring.SetupCoopTaskrun
		u, err := uring.New(coop)
		if errors.Is(err, syscall.EINVAL) {
			u, err = uring.New(c)
		}
		return u, err
	}
	c.Flags |= uring.SetupSQPoll
	c.SQThreadIdleMS = p.idleMS()
	if p.Pinned {
		c.Flags |= uring.SetupSQAff
		c.SQThreadCPU = uint32(p.CPU)
	}
	if beside != nil { // they share a thread; one that is stuck at a device stops no other
		c.Flags |= uring.SetupAttachWQ
		c.AttachFD = beside.FD()
	}
	u, err := uring.New(c)
	if err == nil && !u.Features().Has(uring.FeatSQPollNonfixed) {
		return nil, errors.Join(errOldSQPoll, u.Close())
	}
	return u, err
}

var errOldSQPoll = errors.New("this kernel's SQPOLL works only on registered files")

// explain says why a ring could not be made, and distinguishes an unavailable polling mode from
// unavailable io_uring.
func (m *ringMaker) explain(err error) *UnavailableError {
	op := "io_uring_setup"
	if call := (*os.SyscallError)(nil); errors.As(err, &call) && strings.HasPrefix(call.Syscall, "io_uring_register") {
		op = "io_uring_register"
	}
	why := unavailable(op, err, sysio.ReadFacts())
	if !m.config.polls() {
		return why
	}
	plain, plainErr := uring.New(uring.Config{Entries: 2})
	if plainErr != nil {
		return why // it is not the polling
	}
	plain.Close()
	p := m.config.SQPoll
	if p == nil {
		why.feature = "IOPOLL is"
		why.Op, why.Hint = "IOPOLL", "io_uring works here without Config.IOPoll"
		return why
	}
	why.Op, why.feature = "SQPOLL", "SQPOLL is"
	switch {
	case errors.Is(err, syscall.EPERM):
		why.Hint = "SQPOLL needs CAP_SYS_NICE before Linux 5.13 (CAP_SYS_ADMIN before 5.11), and a security policy may refuse it; io_uring works here without Config.SQPoll"
	case errors.Is(err, syscall.EINVAL) && p.Pinned:
		why.Hint = fmt.Sprintf("CPU %d is offline, or this process may not use it", p.CPU)
	case errors.Is(err, errOldSQPoll):
		why.Hint = "Linux 5.11 or newer is needed for Config.SQPoll"
	default:
		why.Hint = "io_uring works here without Config.SQPoll"
	}
	return why
}

// proveRing sends a nop through the ring.
func proveRing(u *uring.Ring) *UnavailableError {
	p, err := u.Probe()
	if err != nil {
		return unavailable("io_uring_register", err, sysio.ReadFacts())
	}
	for _, op := range needed {
		if !p.Supports(op) {
			return &UnavailableError{Op: "probe", Err: syscall.ENOSYS, Hint: "the kernel lacks " + op.String() + "; Linux 5.10 or newer is needed"}
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
			return unavailable("io_uring_enter", err, sysio.ReadFacts())
		}
		if u.CopyCQEs(cqe[:]) == 1 {
			// Before Linux 6.0 a ring that polls devices refuses everything else.
			refused := u.Flags().Has(uring.SetupIOPoll) && cqe[0].Res == -int32(syscall.EINVAL)
			if cqe[0].Res < 0 && !refused {
				return unavailable("nop", syscall.Errno(-cqe[0].Res), sysio.ReadFacts())
			}
			return nil
		}
	}
	return unavailable("io_uring_enter", errors.New("a nop does not complete"), sysio.Facts{})
}

// roundUp returns the smallest power of two that is at least n.
func roundUp(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}
