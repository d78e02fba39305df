package ringfile

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile/internal/ctxerr"
	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/outside"
)

// Calls with a context, or on a file with a deadline, return when that ends, whatever the device does.
// The kernel may then still use the memory of the transfer, so that memory is the engine's: data is
// copied in or out, and an abandoned operation keeps its memory until it has finished. Per device there
// is memory for as many such calls at a time as a ring has requests in flight.

// at carries out op, a transfer at an offset, until ctx or the file's deadline ends.
func (t *target) at(ctx context.Context, op operation) (int, error) {
	op.desc = &t.descriptor
	if op.off < 0 {
		op.off = badOffset
	}
	if t.byOS(&op) {
		if err := ctxerr.Of(ctx); err != nil {
			return 0, t.wrap(op.code.name(), err)
		}
		return t.eachByOS(&op, 0)
	}
	u := t.until(until{ctx: ctx, stop: ctx.Done()}, op.code)
	if _, err := u.err(); err != nil {
		return 0, t.wrap(op.code.name(), err)
	}
	if err := t.begin(op.code.name()); err != nil {
		return 0, err
	}
	defer t.leave(!u.never())
	if u.never() {
		return t.perform(&op)
	}
	return t.performUntil(u, op)
}

// badOffset stands for all offsets that os refuses.
const badOffset = math.MinInt64

// control carries out an operation that moves no data, until ctx or the file's deadline ends.
func (t *target) control(ctx context.Context, op operation) error {
	op.desc = &t.descriptor
	u := t.until(until{ctx: ctx, stop: ctx.Done()}, op.code)
	if _, err := u.err(); err != nil {
		return t.wrap(op.code.name(), err)
	}
	if err := t.begin(op.code.name()); err != nil {
		return err
	}
	defer t.leave(!u.never())
	switch {
	case !u.never():
		return t.controlUntil(u, &op)
	case op.code.syncs():
		return t.sync(&op)
	}
	_, err := t.perform(&op)
	return err
}

// performUntil moves data until it is done or u ends.
func (t *target) performUntil(u until, op operation) (n int, err error) {
	if op.atomic && len(op.buf) > maxLoan {
		return 0, t.wrap(op.code.name(), syscall.EINVAL) // it must not go in pieces
	}
	permit, err := t.borrow(u, &op)
	if err != nil {
		return 0, err
	}
	n, left, err := t.performWith(permit, u, op)
	if !left {
		t.dev.loans.Release(&permit)
	}
	return n, err
}

// borrow waits for a permit for memory of the engine.
func (t *target) borrow(u until, op *operation) (limit.Permit, error) {
	permit, ok := t.dev.loans.AcquireUntil(u.stop, u.late)
	if !ok {
		_, err := u.err()
		return permit, t.wrap(op.code.name(), err)
	}
	return permit, nil
}

// performWith moves data until it is done or u ends, in pieces that the engine lends memory for. If
// left is true the permit stays with the operation.
func (t *target) performWith(permit limit.Permit, u until, whole operation) (n int, left bool, err error) {
	code := opRead
	if whole.code.writes() {
		code = opWrite
	}
	for total := whole.want(); n < total; {
		if _, err := u.err(); err != nil {
			return n, false, t.wrap(code.name(), err)
		}
		a := newAwaited()
		a.permit, a.loan = permit, lend(min(total-n, maxLoan))
		if code == opWrite {
			whole.load(a.loan, n)
		}
		m, left, err := t.await(u, a, &operation{code: code, once: whole.once, alone: whole.alone, atomic: whole.atomic, desc: whole.desc, buf: a.loan, off: whole.at(n)})
		if left {
			return n, true, err
		}
		if code == opRead {
			whole.store(a.loan[:m], n)
		}
		short := m < len(a.loan)
		a.giveBack()
		n += m
		if err != nil || whole.once && short {
			return n, false, err
		}
	}
	return n, false, nil
}

// controlUntil carries out an operation that moves no data until it is done or u ends.
func (t *target) controlUntil(u until, op *operation) error {
	a := newAwaited()
	_, left, err := t.await(u, a, op)
	if !left {
		a.giveBack()
	}
	return err
}

// await carries out op and waits until it is done or u ends. If u ends, left is true: a with its
// memory, a reference to the descriptor, and the range of a write, stay with the operation.
func (t *target) await(u until, a *awaited, op *operation) (n int, left bool, err error) {
	a.task.reset(op, 0)
	a.task.on, a.task.tell, a.task.until = t, a, u
	a.task.begun.Store(false)
	t.share()
	a.task.start()
	select {
	case <-a.done:
	case <-u.stop:
		left = true
	case <-u.late:
		left = true
	}
	if left && t.leaveBehind(u, a, op) {
		_, err := u.err()
		return 0, true, t.wrap(op.code.name(), err)
	}
	return a.task.n, false, a.task.err
}

// leaveBehind makes the caller leave, and reports whether it may: the operation may be finishing at
// this very moment.
func (t *target) leaveBehind(u until, a *awaited, op *operation) bool {
	if op.code.writes() {
		a.place = placeOf(op, t.Append)
		a.place.of, a.place.position = &a.task.request, op.off == offCurrent && !op.alone
		t.left.add(&a.place)
	}
	if a.state.CompareAndSwap(awaiting, leftBehind) {
		if op.off == offCurrent && op.code.reads() {
			t.shared.Store(true) // it has the kernel's lock of the position, for as long as it takes
		}
		why, _ := u.err()
		a.task.cancel(why)
		return true
	}
	if op.code.writes() {
		t.left.remove(&a.place)
	}
	<-a.done
	return false
}

// awaited is a task that its caller waits for, or abandons.
type awaited struct {
	task   task
	state  atomic.Uint32
	done   chan struct{} // of no test's bubble, as a reaper sends
	loan   []byte        // memory of the engine, nil if there is none
	permit limit.Permit  // for that
	place  leftWrite
}

const (
	awaiting = iota
	leftBehind
	arrived
)

var awaitedPool sync.Pool // of *awaited; without New, as its channels are of no test's bubble

func newAwaited() *awaited {
	a, _ := awaitedPool.Get().(*awaited)
	if a == nil {
		a = &awaited{done: outside.Chan()}
	}
	a.state.Store(awaiting)
	return a
}

// giveBack ends the life of a, which has finished and which nobody waits for any more. The permit is
// the caller's.
func (a *awaited) giveBack() {
	if a.loan != nil {
		takeBack(a.loan)
		a.loan = nil
	}
	a.task.forget()
	a.task.on, a.task.until = nil, until{}
	a.task.onQueue.Store(nil)
	awaitedPool.Put(a)
}

// stays makes the caller wait, if it has not left.
func (a *awaited) stays() bool {
	return a.state.CompareAndSwap(awaiting, arrived) || a.state.Load() == arrived
}

// finished is called by the task.
func (a *awaited) finished() {
	if a.stays() {
		a.done <- struct{}{}
		return
	}
	// Its caller has left, and everything was the engine's until now.
	if a.task.code.writes() {
		a.task.on.left.remove(&a.place)
	}
	// The caller may still be cancelling it, so it is not used again.
	if a.loan != nil {
		takeBack(a.loan)
		a.task.on.dev.loans.Release(&a.permit)
	}
	outside.Free(a.done)
}

// readWriteUntil is readWrite that ends with ctx or the deadline. An abandoned transfer does not move
// the position, except for an append, which moves it as far as it gets, and where others share the
// position (File.Dup, ReadFrom, WriteTo): there the kernel moves it.
func (t *target) readWriteUntil(ctx context.Context, op operation) (n int, err error) {
	u := t.until(until{ctx: ctx, stop: ctx.Done()}, op.code)
	if op.code.writes() && !(t.polled && t.Direct) && (t.Append || !t.Direct && len(op.buf) <= maxLoan) {
		if _, err := u.err(); err != nil {
			return 0, t.wrap(op.code.name(), err)
		}
		if err := t.begin(op.code.name()); err != nil {
			return 0, err
		}
		defer t.leave(true)
		return t.performUntil(u, op) // the line has the position
	}
	// Memory before the position, as a write in line has it.
	permit, err := t.borrow(u, &op)
	if err != nil {
		return 0, err
	}
	n, left, err := t.readWriteWith(permit, u, op)
	if !left {
		t.dev.loans.Release(&permit)
	}
	return n, err
}

// readWriteWith is a transfer whose caller has the position to itself. If left is true the permit for memory
// stays with the operation.
func (t *target) readWriteWith(permit limit.Permit, u until, op operation) (n int, left bool, err error) {
	if !t.takePosition(u) {
		_, err := u.err()
		return 0, false, t.wrap(op.code.name(), err)
	}
	defer t.position.Unlock()
	if err := t.begin(op.code.name()); err != nil {
		return 0, false, err
	}
	defer t.leave(true)
	op.alone = true
	pos := t.locate(&op)
	n, left, err = t.performWith(permit, u, op)
	if n == 0 && !left && op.code.reads() && errors.Is(err, syscall.ESPIPE) {
		op.off = offCurrent // it takes no offsets; its position is known to the kernel alone
		return t.performWith(permit, u, op)
	}
	return n, left, t.moveOn(&op, pos, n, err)
}

// takePosition gives the caller the position to itself, unless u ends first.
func (t *target) takePosition(u until) bool {
	if why, _ := u.err(); why != notCancelled || !t.lockPosition(u.stop, u.late) {
		return false
	}
	// An append that was left behind holds the kernel's lock of the position.
	if !t.left.wait(&operation{desc: &t.descriptor, off: offCurrent}, u, nil) {
		t.position.Unlock()
		return false
	}
	return true
}
