package ringfile

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/route"
)

// task is an operation that is carried out while its caller does something else: on a ring, or in a
// goroutine of its own. It has a reference to the descriptor, which ends before finisher is told.
type task struct {
	request
	on    *target
	until until         // ends its wait for a permit
	left  chan struct{} // does so, too, if until does not: closed when it has been given up, nil if nobody does that
	err   error         // the outcome, once it is finished
	tell  finisher

	reason  error                 // of byCaller; set before gaveUp
	onQueue atomic.Pointer[queue] // where it has been submitted
}

// finisher is notified when a task has finished. finished must neither block nor run user code. stays
// reports whether the caller is going to wait for that: from then on it does.
type finisher interface {
	finished()
	stays() bool
}

// start starts the operation, after the first n bytes. It does not wait.
func (t *task) start() {
	if t.code.syncs() {
		t.on.engine.stats.syncs.Add(1)
		if t.on.sharesSyncs() {
			t.on.syncs.later(t.on, &t.request, t)
			return
		}
	}
	if err := t.on.pollRefused(&t.operation); err != nil {
		t.finish(0, err)
		return
	}
	in := t.on.input(&t.operation, t.n, true)
	if in.Kind == route.Read && !in.Direct {
		in.Cold = t.on.cold()
	}
	r := route.Choose(in)
	if r == route.Ring && !(t.code.writes() && t.on.left.any()) {
		if t.submit() {
			return
		}
		r = route.Syscall
	}
	t.byCall(r, in)
}

// byCall has the task carried out in a goroutine that may hold a thread for it.
func (t *task) byCall(r route.Route, in route.Input) {
	// In line it might be behind one that waits for the position.
	if t.code.writes() && t.on.Seekable && !t.alone {
		t.on.line.push(&t.request, t)
	} else {
		go t.run(r, in)
	}
}

// submit puts the request on a ring. It returns false if none accepts it. An accepted task may already
// have completed, and belong to somebody else.
func (t *task) submit() bool {
	q := t.on.dev.queue()
	if q == nil {
		return false
	}
	t.to, t.late = t, t.until.late
	t.onQueue.Store(q)
	return q.submit(&t.request)
}

// cancel cancels the task. What the kernel cannot cancel goes on.
func (t *task) cancel(why cause) {
	t.gaveUp.CompareAndSwap(uint32(notCancelled), uint32(why))
	if q := t.onQueue.Load(); q != nil {
		q.cancel(&t.request, why)
	}
	own := func(r *request) bool { return r == &t.request }
	t.on.line.dismiss(own, why)
	t.on.syncs.dismiss(own, why)
	t.on.left.poke()
}

// complete is called by the reaper.
func (t *task) complete(*request) {
	if t.why == notCancelled && t.errno != 0 && t.retreats(t.errno) {
		t.on.engine.stats.refused.Add(1)
		t.errno = 0
		t.until, t.left = until{}, nil // their channels may be of a test's bubble; a caller that leaves does not need us
		t.byCall(route.Syscall, route.Input{})
		return
	}
	t.finish(t.n, t.outcome(t.n, t.errno, t.why, t.reasonOf(t.why)))
}

// run carries the task out in this goroutine, except for what is for a ring.
func (t *task) run(r route.Route, in route.Input) {
	if why := t.wait(); why != notCancelled {
		t.giveUp(why)
		return
	}
	var permit limit.Permit
	if t.on.counted(&t.operation) {
		var ok bool
		stop := t.until.stop
		if stop == nil {
			stop = t.left
		}
		if permit, ok = t.on.dev.calls.AcquireUntil(stop, t.until.late); !ok {
			t.giveUp(t.over())
			return
		}
	}
	n, err := t.n, error(nil)
	if why := t.over(); why != notCancelled {
		err = t.wrap(why)
	} else {
		n, r, err = t.attempt(r, &permit, in)
	}
	if t.n = n; r == route.Ring && err == nil {
		t.on.giveBack(&t.operation, &permit)
		if t.submit() {
			return
		}
		r = route.Syscall
		t.run(r, in) // which finds out if it came too late
		return
	}
	t.on.giveBack(&t.operation, &permit)
	t.finish(n, err)
}

// writeBlocking and giveUp end a queued write. While queued it uses nothing of its caller's: the
// caller's channels may belong to a synctest bubble, and a caller that leaves has it dismissed.
//
// The position comes before the permit, as in readWrite. Until the write has the position it has not
// begun, and nobody who has the position waits for it, see leftWrites.
func (t *task) writeBlocking() {
	t.until = until{}
	position := &t.on.position
	switch {
	case t.off != offCurrent:
		t.begin()
	case t.on.Append:
		position.RLock()
		t.begin()
		position.RUnlock()
	default:
		t.on.lockPosition(nil, nil)
		t.begin()
		position.Unlock()
	}
}

// begin makes the write, and ends it.
func (t *task) begin() {
	t.begun.Store(true)
	t.run(route.Syscall, route.Input{}) // looks whether it has been given up
}

func (t *task) giveUp(why cause) {
	t.finish(t.n, t.wrap(why))
}

// attempt carries the task out by calls of this thread. A write at the position moves the position,
// unless its caller has left.
func (t *task) attempt(r route.Route, permit *limit.Permit, in route.Input) (int, route.Route, error) {
	on := t.on
	if t.off != offCurrent || !t.code.writes() || !on.Seekable || on.Append || t.alone {
		return on.attempt(&t.operation, t.n, r, permit, in)
	}
	pos := on.locate(&t.operation)
	n, r, err := on.attempt(&t.operation, t.n, r, permit, in)
	if n == 0 && errors.Is(err, syscall.ESPIPE) {
		t.off = offCurrent // it takes no offsets; its position is known to the kernel alone
		return on.attempt(&t.operation, t.n, r, permit, in)
	}
	if t.tell.stays() {
		err = on.moveOn(&t.operation, pos, n, err)
	}
	return n, r, err
}

// wait waits for abandoned writes to the same range. It returns why the task is over if it is.
func (t *task) wait() cause {
	if t.code.writes() && !t.on.left.wait(&t.operation, t.until, &t.gaveUp) {
		why, _ := t.until.err()
		return why
	}
	return t.over()
}

// over returns why the task must not be started any more.
func (t *task) over() cause {
	switch {
	case t.gaveUp.Load() != uint32(notCancelled):
		return cause(t.gaveUp.Load())
	case t.on.closed():
		return byFileClose
	case t.on.engine.devices.closed.Load():
		return byEngineClose
	}
	why, _ := t.until.err()
	return why
}

// wrap returns the error of a cancelled task.
func (t *task) wrap(why cause) error {
	return t.desc.wrap(t.code.name(), why.err(t.reasonOf(why)))
}

// reasonOf returns the caller's reason, if the caller cancelled the task: only then it has been set
// before.
func (t *task) reasonOf(why cause) error {
	switch {
	case why != byCaller:
		return nil
	case t.gaveUp.Load() == uint32(byCaller):
		return t.reason
	}
	_, reason := t.until.err()
	return reason
}

// synced ends a shared sync.
func (t *task) synced(err error) { t.finish(0, err) }

// finish stores the outcome and tells.
func (t *task) finish(n int, err error) {
	t.n, t.err = n, err
	t.on.releaseAsync()
	t.tell.finished()
}
