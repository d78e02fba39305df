package uring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// Ring is an io_uring: a submission queue and a completion queue shared with the kernel. The package
// comment says which goroutines may call which methods.
type Ring struct {
	sq sq
	_  [64]byte // the two halves have an owner each: keep them off one cache line
	cq cq
	_  [64]byte

	fd         int
	enterFD    int        // fd, or its index after RegisterRingFD
	enterFlags EnterFlags // EnterRegisteredRing after RegisterRingFD
	hook       EnterHook  // nil but in tests
	flags      SetupFlags
	features   Features
	waitArg    *WaitArg // of WaitCQEs
	ringMem    region
	sqeMem     region
	unmap      func(region) error // nil for a Fake
	closed     bool
}

// sq is the submission queue as its owner sees it. All positions count up for ever and wrap at 2^32;
// the difference of two of them is right nevertheless, as it never exceeds the number of entries.
type sq struct {
	head    *atomic.Uint32 // advanced by the kernel when it has taken an entry
	tail    *atomic.Uint32 // advanced by Flush
	flags   *atomic.Uint32 // SQFlags, written by the kernel
	dropped *atomic.Uint32 // invalid indices in the array; none, as ours is the identity
	mask    uint32
	entries uint32
	next    uint32 // where GetSQE continues; the entries from tail to next are not yet visible
	sqes    []SQE
}

// cq is the completion queue as its owner sees it.
type cq struct {
	head     *atomic.Uint32 // advanced by us when a completion has been taken
	tail     *atomic.Uint32 // advanced by the kernel
	overflow *atomic.Uint32 // completions lost; none, as New insists on FeatNoDrop
	flags    *atomic.Uint32 // CQRingFlags, written by us; nil before Linux 5.8
	mask     uint32
	entries  uint32
	cqes     []CQE
}

// attach lays the ring over its memory: the mapping of both rings and that of the entries.
func (r *Ring) attach(p *Params, rings, sqes region) error {
	var err error
	word := func(off uint32) *atomic.Uint32 {
		w, werr := rings.word(off)
		err = errors.Join(err, werr)
		return w
	}
	r.sq = sq{
		head:    word(p.SQOff.Head),
		tail:    word(p.SQOff.Tail),
		flags:   word(p.SQOff.Flags),
		dropped: word(p.SQOff.Dropped),
		entries: p.SQEntries,
		mask:    p.SQEntries - 1,
	}
	r.cq = cq{
		head:     word(p.CQOff.Head),
		tail:     word(p.CQOff.Tail),
		overflow: word(p.CQOff.Overflow),
		entries:  p.CQEntries,
		mask:     p.CQEntries - 1,
	}
	if p.CQOff.Flags != 0 {
		r.cq.flags = word(p.CQOff.Flags)
	}
	sqMask, cqMask := word(p.SQOff.RingMask), word(p.CQOff.RingMask)
	if err != nil {
		return err
	}
	if !powerOfTwo(p.SQEntries) || !powerOfTwo(p.CQEntries) || p.CQEntries < p.SQEntries ||
		sqMask.Load() != r.sq.mask || cqMask.Load() != r.cq.mask {
		return fmt.Errorf("invalid ring of %d (mask %#x) and %d (mask %#x) entries",
			p.SQEntries, sqMask.Load(), p.CQEntries, cqMask.Load())
	}
	if r.sq.sqes, err = regionSlice[SQE](sqes, 0, p.SQEntries); err != nil {
		return err
	}
	if r.cq.cqes, err = regionSlice[CQE](rings, p.CQOff.CQEs, p.CQEntries); err != nil {
		return err
	}
	if !p.Flags.Has(SetupNoSQArray) {
		// The array could reorder entries. We never do: it becomes the identity once and for all.
		array, err := regionSlice[uint32](rings, p.SQOff.Array, p.SQEntries)
		if err != nil {
			return err
		}
		for i := range array {
			array[i] = uint32(i)
		}
	}
	r.sq.next = r.sq.tail.Load()
	r.flags, r.features = p.Flags, p.Features
	r.ringMem, r.sqeMem = rings, sqes
	return nil
}

func powerOfTwo(n uint32) bool { return n != 0 && n&(n-1) == 0 }

// FD returns the descriptor of the ring, -1 after Close.
func (r *Ring) FD() int { return r.fd }

// Flags returns the setup flags that were granted.
func (r *Ring) Flags() SetupFlags { return r.flags }

// Features returns the capabilities that the kernel reported at setup.
func (r *Ring) Features() Features { return r.features }

// SQEntries returns the size of the submission queue.
func (r *Ring) SQEntries() uint32 { return r.sq.entries }

// CQEntries returns the size of the completion queue.
func (r *Ring) CQEntries() uint32 { return r.cq.entries }

// GetSQE returns the next free submission entry, or nil if there is none until the kernel consumes some
// (see [Ring.Submit]). The entry is zero, which is a NOP. A Prep method sets all of it, so set flags and
// user data after that. The kernel sees it after the next [Ring.Flush]. Submission half.
func (r *Ring) GetSQE() *SQE {
	q := &r.sq
	// Pairs with the kernel's release of sq.head: what it read from the entry came before.
	if q.next-q.head.Load() >= q.entries {
		return nil
	}
	e := &q.sqes[q.next&q.mask]
	q.next++
	*e = SQE{} // or an entry that is not prepared would do again what its last user asked for
	return e
}

// Flush makes the entries obtained from GetSQE so far visible to the kernel, and returns how many
// visible entries the kernel has not consumed yet. The next [Ring.Enter] submits them; an SQPOLL thread
// takes them without one. Submission half.
func (r *Ring) Flush() uint32 {
	q := &r.sq
	if q.tail.Load() != q.next {
		// Pairs with the kernel's acquire of sq.tail: it sees the entries complete. The store is also
		// ordered before the load of sq.flags in NeedWakeup, as Go's atomics are sequentially
		// consistent; the kernel's SQPOLL thread has the matching barrier.
		q.tail.Store(q.next)
	}
	return q.next - q.head.Load()
}

// SQReady returns the number of visible entries that the kernel has not consumed yet. Any goroutine.
func (r *Ring) SQReady() uint32 {
	// The head first: it follows the tail, so the difference cannot become negative in between. It
	// may come out too large if others submit meanwhile.
	head := r.sq.head.Load()
	return min(r.sq.tail.Load()-head, r.sq.entries)
}

// SQSpaceLeft returns how many times [Ring.GetSQE] would succeed now. Submission half.
func (r *Ring) SQSpaceLeft() uint32 {
	return r.sq.entries - (r.sq.next - r.sq.head.Load())
}

// SQDropped returns the number of entries that the kernel dropped because of an invalid index in the
// index array. It is 0 unless something else writes to the ring's memory. Any goroutine.
func (r *Ring) SQDropped() uint32 { return r.sq.dropped.Load() }

// SQFlags returns the flags that the kernel sets in the submission ring. Any goroutine.
func (r *Ring) SQFlags() SQFlags { return SQFlags(r.sq.flags.Load()) }

// NeedWakeup reports whether the SQPOLL thread is asleep, so that visible entries need an enter with
// [EnterSQWakeup]. Call it after [Ring.Flush]. Any goroutine.
func (r *Ring) NeedWakeup() bool { return r.SQFlags()&SQNeedWakeup != 0 }

// CQOverflow reports whether completions are waiting in the kernel because the completion queue was
// full. Once there is room, an enter with [EnterGetEvents] delivers them. Any goroutine.
func (r *Ring) CQOverflow() bool { return r.SQFlags()&SQCQOverflow != 0 }

// CQReady returns the number of completions in the queue. Any goroutine.
func (r *Ring) CQReady() uint32 {
	// The head first, as in SQReady.
	head := r.cq.head.Load()
	return min(r.cq.tail.Load()-head, r.cq.entries)
}

// CQLost returns the number of completions that the kernel lost for lack of memory. Any goroutine.
func (r *Ring) CQLost() uint32 { return r.cq.overflow.Load() }

// CopyCQEs moves up to len(dst) completions into dst and returns their number. It makes no system call:
// after an overflow ([Ring.CQOverflow]), and with SetupIOPoll or SetupDeferTaskrun, completions arrive
// only through an enter with [EnterGetEvents]. Completion half.
func (r *Ring) CopyCQEs(dst []CQE) int {
	q := &r.cq
	head := q.head.Load()
	// Pairs with the kernel's release of cq.tail: the completions before it are written.
	n := min(q.tail.Load()-head, q.entries)
	if uint64(n) > uint64(len(dst)) {
		n = uint32(len(dst))
	}
	if n == 0 {
		return 0
	}
	first := copy(dst[:n], q.cqes[head&q.mask:])
	copy(dst[first:n], q.cqes)
	// Pairs with the kernel's acquire of cq.head: it reuses the entries after they were copied.
	q.head.Store(head + n)
	return int(n)
}

// AdvanceCQ removes the n oldest completions from the queue, which must hold that many. Completion
// half.
func (r *Ring) AdvanceCQ(n uint32) {
	if n == 0 {
		return
	}
	if n > r.CQReady() {
		panic("uring: AdvanceCQ beyond the completions there are")
	}
	// As in CopyCQEs.
	r.cq.head.Add(n)
}

// EnterHook stands in for io_uring_enter(2), see [Ring.SetEnterHook].
type EnterHook func(toSubmit, minComplete uint32, flags EnterFlags) (n int, errno syscall.Errno, handled bool)

// SetEnterHook makes every enter call h first, for tests: if h returns handled as true, n and errno are
// the result and the kernel is not called. A nil h removes the hook. It must not be called while
// another goroutine uses the ring.
func (r *Ring) SetEnterHook(h EnterHook) { r.hook = h }

// Enter makes one io_uring_enter(2) call and does nothing else. It submits up to toSubmit visible
// entries; with [EnterGetEvents] it then waits until minComplete completions are in the queue. It returns
// the number of entries that the kernel consumed (with SetupSQPoll: toSubmit). An error is a bare
// [syscall.Errno], and then the kernel has consumed none. Any goroutine, unless SetupSingleIssuer binds
// the ring to one thread.
//
// Possible errors, none of which means that a visible entry was dropped:
//
//   - EINTR: a signal ended the wait.
//   - EAGAIN: no memory for a request; retry once others have completed.
//   - EBUSY: completions have overflowed; reap them and retry.
//   - EEXIST: a ring with SetupSingleIssuer was entered by another thread.
//   - EBADFD: the ring is still disabled, see [SetupRDisabled].
//   - EBADF: the ring is closed.
func (r *Ring) Enter(toSubmit, minComplete uint32, flags EnterFlags) (n int, err error) {
	if r.hook != nil {
		if n, errno, ok := r.hook(toSubmit, minComplete, flags); ok {
			return enterResult(n, errno)
		}
	}
	return enterResult(sysEnter(r.enterFD, toSubmit, minComplete, flags|r.enterFlags))
}

// WaitArg is the memory that [Ring.EnterTimeout] passes to the kernel. Each waiting goroutine needs its
// own; it can be reused.
type WaitArg struct {
	// MinWait, if not 0, ends a wait for many completions early: once it has passed, one completion
	// is enough. It needs FeatMinTimeout.
	MinWait time.Duration

	ts  Timespec
	arg getEventsArg
}

// EnterTimeout is [Ring.Enter] with a limit on the wait; it implies [EnterGetEvents]. The error is
// [syscall.ETIME] if the timeout expired and nothing was submitted. It needs FeatExtArg. With
// [EnterAbsTimer] the timeout is an absolute time of the clock, see [Ring.RegisterClock].
func (r *Ring) EnterTimeout(toSubmit, minComplete uint32, flags EnterFlags, timeout time.Duration, a *WaitArg) (n int, err error) {
	flags |= EnterGetEvents | EnterExtArg
	if r.hook != nil {
		if n, errno, ok := r.hook(toSubmit, minComplete, flags); ok {
			return enterResult(n, errno)
		}
	}
	if !r.features.Has(FeatExtArg) {
		return 0, syscall.EOPNOTSUPP
	}
	a.ts = NewTimespec(max(timeout, 0))
	a.arg = getEventsArg{
		minWaitUsec: uint32(a.MinWait / time.Microsecond),
		ts:          addrOf(&a.ts),
	}
	return enterResult(sysEnterArg(r.enterFD, toSubmit, minComplete, flags|r.enterFlags, a))
}

// NewTimespec returns d as a Timespec.
func NewTimespec(d time.Duration) Timespec {
	return Timespec{Sec: int64(d / time.Second), Nsec: int64(d % time.Second)}
}

// enterResult puts errno into an error. That does not allocate, as Go has an interface value for
// every small number.
func enterResult(n int, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// Close unmaps the ring and closes its descriptor. The kernel cancels or completes requests in flight
// in its own time, and goes on using their memory until then: a program that wants its buffers back
// must wait for all completions first. Nothing may use the ring during Close. Afterwards GetSQE returns
// nil, CopyCQEs 0, Enter EBADF and Close nil.
func (r *Ring) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	unmap, fd := r.unmap, r.fd
	rings, sqes := r.ringMem, r.sqeMem
	// Nothing is left that points into the mappings.
	dead := new(atomic.Uint32)
	r.sq = sq{head: dead, tail: dead, flags: dead, dropped: dead}
	r.cq = cq{head: dead, tail: dead, overflow: dead}
	r.ringMem, r.sqeMem = nil, nil
	r.fd, r.enterFD, r.enterFlags = -1, -1, 0
	if unmap == nil {
		return nil
	}
	return errors.Join(unmap(sqes), unmap(rings), closeFD(fd))
}
