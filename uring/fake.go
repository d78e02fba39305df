package uring

import (
	"errors"
	"math/bits"
	"syscall"
)

// Fake plays the kernel's part of a ring in plain memory, for tests of code built on this package. The
// test decides what becomes visible when, in which order, and which enter fails. It works on every
// operating system. Only [Ring.Probe] and the Register methods are not supported.
//
// The methods of a Fake may be used by one goroutine at a time, which need not be one that uses its
// ring.
type Fake struct {
	ring *Ring
}

// NewFake returns a ring that no kernel serves, and the [Fake] that plays the kernel. The sizes are
// rounded up to powers of two; flags and features are what the ring reports, in addition to those that
// it always has. Each enter of the ring calls enter in the entering goroutine, and enter must handle
// it; if enter is nil, each fails with ENXIO.
func NewFake(sqEntries, cqEntries uint32, flags SetupFlags, features Features, enter EnterHook) (*Ring, *Fake, error) {
	const (
		sqAt, cqAt = 0, 64 // each word on its own, as the kernel has head and tail apart
		cqesAt     = 128
	)
	up := func(n uint32) uint32 { return 1 << bits.Len32(max(n, 1)-1) }
	p := Params{
		SQEntries: up(sqEntries),
		CQEntries: up(max(sqEntries, cqEntries)),
		Flags:     flags,
		Features:  features | neededFeatures,
		SQOff: SQRingOffsets{
			Head: sqAt, Tail: sqAt + 4, RingMask: sqAt + 8, RingEntries: sqAt + 12,
			Flags: sqAt + 16, Dropped: sqAt + 20,
		},
		CQOff: CQRingOffsets{
			Head: cqAt, Tail: cqAt + 4, RingMask: cqAt + 8, RingEntries: cqAt + 12,
			Overflow: cqAt + 16, Flags: cqAt + 20, CQEs: cqesAt,
		},
	}
	p.SQOff.Array = cqesAt + p.CQEntries*16
	rings := newRegion(uint64(p.SQOff.Array) + uint64(p.SQEntries)*4)
	sqes := newRegion(uint64(p.SQEntries) * 64)
	for off, v := range map[uint32]uint32{
		p.SQOff.RingMask: p.SQEntries - 1, p.SQOff.RingEntries: p.SQEntries,
		p.CQOff.RingMask: p.CQEntries - 1, p.CQOff.RingEntries: p.CQEntries,
	} {
		w, err := rings.word(off)
		if err != nil {
			return nil, nil, err
		}
		w.Store(v)
	}
	if enter == nil {
		enter = refuseEnter
	}
	r := &Ring{fd: -1, enterFD: -1, waitArg: new(WaitArg), hook: enter}
	if err := r.attach(&p, rings, sqes); err != nil {
		return nil, nil, err
	}
	return r, &Fake{ring: r}, nil
}

// errNoFake is for a method that only a fresh ring allows.
var errNoFake = errors.New("uring: the fake ring is in use")

// SetPositions makes both queues start at the given positions instead of 0, to test the wraparound at
// 2^32. It fails unless both are empty.
func (k *Fake) SetPositions(sq, cq uint32) error {
	r := k.ring
	if r.SQSpaceLeft() != r.sq.entries || r.CQReady() != 0 {
		return errNoFake
	}
	r.sq.head.Store(sq)
	r.sq.tail.Store(sq)
	r.sq.next = sq
	r.cq.head.Store(cq)
	r.cq.tail.Store(cq)
	return nil
}

// TakeSQE takes the oldest visible submission entry, if there is one.
func (k *Fake) TakeSQE() (SQE, bool) {
	q := &k.ring.sq
	head := q.head.Load()
	// Pairs with the store of Flush.
	if q.tail.Load() == head {
		return SQE{}, false
	}
	e := q.sqes[head&q.mask]
	// Pairs with the load of GetSQE.
	q.head.Store(head + 1)
	return e, true
}

// PostCQE appends a completion, and reports whether there was room.
func (k *Fake) PostCQE(c CQE) bool {
	q := &k.ring.cq
	tail := q.tail.Load()
	// Pairs with the store of CopyCQEs.
	if tail-q.head.Load() >= q.entries {
		return false
	}
	q.cqes[tail&q.mask] = c
	// Pairs with the load of CopyCQEs.
	q.tail.Store(tail + 1)
	return true
}

// SetSQFlags sets the flags that a kernel sets in the submission ring, like [SQCQOverflow].
func (k *Fake) SetSQFlags(flags SQFlags) { k.ring.sq.flags.Store(uint32(flags)) }

// refuseEnter is the enter of a fake whose test expects none.
func refuseEnter(uint32, uint32, EnterFlags) (int, syscall.Errno, bool) {
	return 0, syscall.ENXIO, true
}
