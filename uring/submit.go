package uring

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// This file has what liburing has above the bare enter, for a program that drives a ring from one
// goroutine.

// Submit makes the entries obtained so far visible and has the kernel consume them all. It returns the
// number consumed. A signal (EINTR) is not an error. If the kernel consumes no more, with EAGAIN for
// lack of memory or with EBUSY because completions have overflowed, Submit returns that error with the
// number consumed: the rest stays visible, and the next Submit sends it, after the caller has reaped
// completions. On a ring with SetupSQPoll the kernel's own thread consumes the entries: Submit wakes it
// if necessary, and returns the number of entries obtained since the last Submit or [Ring.Flush],
// because it cannot know how many of them the thread has already consumed.
func (r *Ring) Submit() (int, error) { return r.SubmitAndWait(0) }

// SubmitAndWait is [Ring.Submit] that also waits until n completions are in the queue, or as many as
// the queue holds. With SetupIOPoll it may return as soon as there is one.
func (r *Ring) SubmitAndWait(n uint32) (int, error) {
	return r.submitAndWait(n, noDeadline)
}

// SubmitAndWaitTimeout is [Ring.SubmitAndWait] that gives up waiting after the timeout. The error matches [syscall.ETIME]
// then; the entries are submitted, and there may be completions, fewer than n. It needs FeatExtArg.
func (r *Ring) SubmitAndWaitTimeout(n uint32, timeout time.Duration) (int, error) {
	deadline, err := r.deadline(timeout)
	if err != nil {
		return 0, err
	}
	return r.submitAndWait(n, deadline)
}

// noDeadline is a wait without an end.
var noDeadline time.Time

// deadline is when a wait with the timeout ends.
func (r *Ring) deadline(timeout time.Duration) (time.Time, error) {
	switch {
	case timeout < 0:
		return noDeadline, nil
	case !r.features.Has(FeatExtArg):
		return noDeadline, fmt.Errorf("uring: wait with a timeout: %w", errors.ErrUnsupported)
	}
	return time.Now().Add(timeout), nil
}

// reachable is how many of want completions can be waited for.
func (r *Ring) reachable(want uint32) uint32 {
	want = min(want, r.cq.entries)
	if r.flags.Has(SetupIOPoll) {
		// The kernel does not poll for more while there is a completion to be taken.
		want = min(want, 1)
	}
	return want
}

// submitAndWait works on conditions, not on return values: an enter may submit less than it was asked
// to, may come back from a wait too early, or may report a success with nothing to show for it.
func (r *Ring) submitAndWait(want uint32, deadline time.Time) (submitted int, err error) {
	if r.flags.Has(SetupSQPoll) {
		submitted = int(r.sq.next - r.sq.tail.Load())
	}
	r.Flush()
	want = r.reachable(want)
	flushed := false // whether an overflow was flushed since the last EAGAIN or EBUSY
	for woken := false; ; {
		toSubmit, flags, need := r.nextEnter(want)
		if !need || (woken && flags&EnterGetEvents == 0) {
			return submitted, nil
		}
		n, err := r.enterUntil(toSubmit, want, flags, deadline)
		if !r.flags.Has(SetupSQPoll) {
			submitted += n
		}
		switch {
		case err == nil:
			if toSubmit > 0 && n == 0 && r.SQReady() > 0 && r.CQReady() >= want {
				// No kernel does this; waiting for it to change might never end.
				return submitted, enterError(syscall.EAGAIN)
			}
			flushed = false
			woken = flags&EnterSQWakeup != 0 // the flag stays set until that thread runs
		case err == syscall.EINTR:
		case (err == syscall.EAGAIN || err == syscall.EBUSY) && toSubmit > 0 && r.CQOverflow() && !flushed:
			// There may be room for what overflowed.
			flushed = true
			if _, err := r.Enter(0, 0, EnterGetEvents); err != nil && err != syscall.EINTR && err != syscall.EBUSY {
				return submitted, enterError(err)
			}
		default:
			return submitted, enterError(err)
		}
	}
}

// nextEnter says what the next enter has to do, and whether there is need for one, until everything
// is submitted and want completions are there.
func (r *Ring) nextEnter(want uint32) (toSubmit uint32, flags EnterFlags, need bool) {
	if r.flags.Has(SetupSQPoll) {
		if r.SQReady() > 0 && r.NeedWakeup() {
			flags, need = EnterSQWakeup, true
		}
	} else if toSubmit = r.SQReady(); toSubmit > 0 {
		need = true
		if r.flags.Has(SetupIOPoll) {
			flags = EnterGetEvents // nobody else polls
		}
	}
	if r.CQReady() < want {
		flags |= EnterGetEvents
		need = true
	}
	return toSubmit, flags, need
}

// enterUntil is one enter that waits until deadline at most.
func (r *Ring) enterUntil(toSubmit, want uint32, flags EnterFlags, deadline time.Time) (int, error) {
	if deadline.IsZero() || flags&EnterGetEvents == 0 {
		return r.Enter(toSubmit, want, flags)
	}
	return r.EnterTimeout(toSubmit, want, flags, time.Until(deadline), r.waitArg)
}

// enterError names the call in an error of the kernel; errors.Is still finds the errno.
func enterError(err error) error {
	return fmt.Errorf("io_uring_enter: %w", err)
}

// WaitCQE waits for a completion and returns the oldest. The result is valid until [Ring.CQESeen]. It
// submits nothing, so another goroutine may do that meanwhile. Completion half.
func (r *Ring) WaitCQE() (*CQE, error) { return r.waitCQEs(1, noDeadline) }

// WaitCQEs waits until n completions are in the queue, or as many as it holds, and returns the oldest.
// With a timeout other than [Forever] it gives up after that time with an error that matches
// [syscall.ETIME]; there may still be completions, fewer than n. It submits nothing. A timeout needs
// FeatExtArg. Completion half.
func (r *Ring) WaitCQEs(n uint32, timeout time.Duration) (*CQE, error) {
	deadline, err := r.deadline(timeout)
	if err != nil {
		return nil, err
	}
	return r.waitCQEs(n, deadline)
}

func (r *Ring) waitCQEs(n uint32, deadline time.Time) (*CQE, error) {
	for want := r.reachable(max(n, 1)); r.CQReady() < want; {
		if _, err := r.enterUntil(0, want, EnterGetEvents, deadline); err != nil && err != syscall.EINTR {
			return nil, enterError(err)
		}
	}
	return r.oldest(), nil
}

// oldest returns the oldest completion in the queue, or nil.
func (r *Ring) oldest() *CQE {
	q := &r.cq
	head := q.head.Load()
	// Pairs with the kernel's release of cq.tail, as in CopyCQEs.
	if q.tail.Load() == head {
		return nil
	}
	return &q.cqes[head&q.mask]
}

// PeekCQE returns the oldest completion, or nil if there is none. It enters the kernel only if that can
// deliver completions: after an overflow, and on rings that deliver completions only during an enter.
// The result is valid until [Ring.CQESeen].
func (r *Ring) PeekCQE() (*CQE, error) {
	if err := r.fetch(); err != nil {
		return nil, err
	}
	return r.oldest(), nil
}

// PeekBatch stores pointers to the oldest completions in dst, up to len(dst), and returns their
// number. They are valid until [Ring.AdvanceCQ].
func (r *Ring) PeekBatch(dst []*CQE) (int, error) {
	if err := r.fetch(); err != nil {
		return 0, err
	}
	n := min(int(r.CQReady()), len(dst))
	head := r.cq.head.Load()
	for i := range n {
		dst[i] = &r.cq.cqes[(head+uint32(i))&r.cq.mask]
	}
	return n, nil
}

// fetch has the kernel post the completions that it holds back, if there is none in the queue.
func (r *Ring) fetch() error {
	const onEnter = SetupIOPoll | SetupDeferTaskrun
	if r.CQReady() > 0 || (r.flags&onEnter == 0 && r.SQFlags()&(SQCQOverflow|SQTaskrun) == 0) {
		return nil
	}
	if _, err := r.Enter(0, 0, EnterGetEvents); err != nil && err != syscall.EINTR {
		return enterError(err)
	}
	return nil
}

// CQESeen returns c, which must be the oldest completion, to the kernel. If c is nil it does nothing.
func (r *Ring) CQESeen(c *CQE) {
	if c != nil {
		r.AdvanceCQ(1)
	}
}

// WaitSQ waits until there is room in the submission queue of a ring with SetupSQPoll. (On other rings
// the kernel consumes the entries in [Ring.Submit], and there is always room afterwards.)
func (r *Ring) WaitSQ() error {
	for r.flags.Has(SetupSQPoll) && r.SQSpaceLeft() == 0 {
		flags := EnterSQWait
		if r.Flush(); r.NeedWakeup() {
			flags |= EnterSQWakeup
		}
		if _, err := r.Enter(0, 0, flags); err != nil && err != syscall.EINTR {
			return enterError(err)
		}
	}
	return nil
}
