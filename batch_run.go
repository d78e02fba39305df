package ringfile

import (
	"context"
	"io/fs"
	"syscall"
	"time"
)

// begin starts a run that ctx may end.
func (b *Batch) begin(ctx context.Context) {
	if b.running {
		panic("ringfile: Batch is running already")
	}
	b.running = true
	if b.wake == nil {
		b.wake = make(chan struct{}, 1)
	}
	b.cancelled.Store(false)
	b.mu.Lock()
	b.reason = nil
	b.mu.Unlock()
	b.ctx, b.stop = ctx, ctx.Done()
	if b.stop == nil {
		return
	}
	if closed(b.stop) {
		b.giveUp(context.Cause(ctx))
		return
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		b.giveUp(context.Cause(ctx))
		close(ended)
	})
	b.unwatch = func() {
		if !stop() {
			<-ended
		}
	}
}

// end gives up what is not finished, as when the loop over Results has been left, and waits until
// nothing is.
func (b *Batch) end() {
	if b.admitted < b.n || b.busy() {
		b.giveUp(context.Canceled)
		b.advance(true)
	}
	b.collect() // what has finished since the loop was left
	if b.unwatch != nil {
		b.unwatch()
		b.unwatch = nil
	}
	if b.cancelled.Load() {
		for _, t := range b.tasks[:b.n] {
			t.result() // while the reason is known
		}
	}
	b.ctx, b.stop = nil, nil
	b.running = false
}

// busy reports whether operations are not finished.
func (b *Batch) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pending > 0
}

// giveUp cancels what can be, and has the rest not be started.
func (b *Batch) giveUp(reason error) {
	b.because(reason)
	b.cancelled.Store(true)
	b.cancelFlying()
}

// because notes why operations are given up, if that is not known yet.
func (b *Batch) because(reason error) {
	b.mu.Lock()
	if b.reason == nil {
		b.reason = reason
	}
	b.mu.Unlock()
}

// cancelFlying cancels the requests of the batch that are in rings now.
func (b *Batch) cancelFlying() {
	b.mu.Lock()
	rings := b.rings
	b.mu.Unlock()
	for _, r := range rings {
		r.cancelAll(func(req *request) bool {
			t, ok := req.promise.(*task)
			return ok && t.batch == b
		}, byCaller)
	}
}

// advance starts what has not been started and waits until an operation is finished, or, with all,
// until all are. Without anything to wait for it returns at once.
func (b *Batch) advance(all bool) {
	before := len(b.done)
	for {
		b.admit()
		b.launch(all || len(b.done) == before, all)
		b.hire(all)
		b.collect()
		if !all && len(b.done) > before {
			return
		}
		if b.blockSome(all) {
			continue
		}
		if b.park(all) {
			b.collect()
			return
		}
	}
}

// collect takes note of what others have finished.
func (b *Batch) collect() {
	b.mu.Lock()
	for _, i := range b.ready {
		b.tasks[i].known = true
	}
	b.done = append(b.done, b.ready...)
	b.ready = b.ready[:0]
	b.mu.Unlock()
}

// admit looks at the operations that have been added: it carries out what needs no waiting, and
// finds the road for the rest.
func (b *Batch) admit() {
	if b.admitted == b.n {
		return
	}
	var waiting int
	for ; b.admitted < b.n; b.admitted++ {
		t := b.tasks[b.admitted]
		switch t.begin() {
		case roadDone:
			t.known = true
			b.done = append(b.done, t.index)
		case roadRing:
			waiting++
			l := b.lane(t.op.file.engine)
			l.tasks = append(l.tasks, t)
		case roadBlocking:
			b.mu.Lock()
			if t.waits() {
				b.slow.push(t)
			} else {
				b.quick.push(t)
			}
			b.pending++
			b.mu.Unlock()
		}
	}
	b.mu.Lock()
	b.pending += waiting
	b.mu.Unlock()
}

// lane returns the lane for files of an engine.
func (b *Batch) lane(e *Engine) *lane {
	for i := range b.lanes {
		if b.lanes[i].engine == e {
			return &b.lanes[i]
		}
	}
	if len(b.lanes) < cap(b.lanes) {
		b.lanes = b.lanes[:len(b.lanes)+1] // with the memory of its last life
	} else {
		b.lanes = append(b.lanes, lane{})
	}
	l := &b.lanes[len(b.lanes)-1]
	l.engine, l.ring = e, e.pick()
	b.mu.Lock()
	b.rings = append(b.rings, l.ring)
	b.mu.Unlock()
	return l
}

// begin carries the operation out as far as that takes no waiting. On roadDone it is finished.
func (t *task) begin() road {
	f, op := t.op.file, &t.op
	done := func(n int, errno syscall.Errno, why cause, err error) road {
		t.finish(n, errno, why, err)
		return roadDone
	}
	if f == nil || f.os == nil {
		return done(0, 0, notCancelled, fs.ErrInvalid)
	}
	moves := op.code.reads() || op.code.writes()
	if f.class != classDisk || op.off < 0 || op.code.writes() && f.append {
		t.plain = true
		return roadBlocking
	}
	if moves && op.want() == 0 {
		return done(0, 0, notCancelled, nil)
	}
	if err := f.begin(op.code.word()); err != nil {
		return done(0, 0, notCancelled, err)
	}
	t.held = true
	if f.deadlineOf(op.code).hasPassed() {
		return done(0, syscall.ECANCELED, byDeadline, nil)
	}
	if t.batch.cancelled.Load() {
		return done(0, syscall.ECANCELED, byCaller, nil)
	}
	if op.code == opRead {
		if n, ok := f.readHot(op.buf, op.off); ok {
			return done(n, 0, notCancelled, nil)
		}
	}
	n, errno, road := f.tryInline(op)
	if road == roadDone {
		return done(n, errno, notCancelled, nil)
	}
	t.n = n
	return road
}

// waits reports whether the operation waits for a device as a rule.
func (t *task) waits() bool {
	op := &t.op
	switch {
	case t.plain:
		return false
	case op.code == opFsync || op.code == opFdatasync:
		return true
	case op.file.direct:
		return true
	}
	// So large a read is here because it is not in the page cache, if anybody has looked.
	return op.code.reads() && op.want()-t.n >= largeRead
}

// launch publishes what waits for a slot, as far as there are some. It waits, too, leading the
// ring, if it may and nothing else is to be done: until something is finished, or with all until
// everything is.
func (b *Batch) launch(mayLead, all bool) {
	for i := range b.lanes {
		l := &b.lanes[i]
		if l.head == len(l.tasks) {
			continue
		}
		if b.cancelled.Load() {
			b.drop(l)
			continue
		}
		b.launchLane(l, mayLead && len(b.lanes) == 1 && !b.blocks(), all)
		if l.head == len(l.tasks) {
			clear(l.tasks)
			l.tasks, l.head = l.tasks[:0], 0
		}
	}
}

// blocks reports whether there are blocking calls to make, or being made by others.
func (b *Batch) blocks() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.quick.len() > 0 || b.slow.len() > 0 || b.helpers > 0
}

func (b *Batch) launchLane(l *lane, mayLead, all bool) {
	r := l.ring
	tasks := l.tasks[l.head:]
	s := r.startMany(tasks, mayLead, false)
	if s.taken == 0 && !s.refused && b.flying() == 0 {
		t := tasks[0]
		s = r.startInLine(t, mayLead, b.stop, t.op.file.deadlineOf(t.op.code).late())
		if s.taken == 0 && !s.refused { // a context or a deadline has ended while it was in line
			s.taken = 1
			t.giveUp()
		}
	}
	b.took(l, s)
	tasks = tasks[:s.taken]
	late := b.late(tasks)
	if s.lead && !late {
		b.lead(l, all)
		return
	}
	if s.lead {
		r.handOver()
	}
	if late {
		b.recheck(r, tasks)
	}
}

// took notes what has become of tasks of a lane that were to be started.
func (b *Batch) took(l *lane, s started) {
	b.launched += s.published
	l.head += s.taken
	if s.refused {
		b.reroute(l)
	}
}

// flying returns how many requests are in rings.
func (b *Batch) flying() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.launched - b.landed
}

// lead watches the ring in the place of the reaper.
func (b *Batch) lead(l *lane, all bool) {
	r := l.ring
	patient := all
	for flying := b.flying(); ; {
		n := uint32(1)
		if patient {
			n = r.patience(flying)
		}
		r.enter(n)
		r.reap()
		now := b.flying()
		patient = all && flying-now >= int(n)
		if all && l.head < len(l.tasks) && !b.cancelled.Load() {
			tasks := l.tasks[l.head:]
			s := r.startMany(tasks, false, true)
			b.took(l, s)
			if tasks = tasks[:s.taken]; b.late(tasks) {
				r.handOver()
				b.recheck(r, tasks)
				return
			}
			now = b.flying()
		}
		if now == 0 || !all && now < flying {
			break
		}
		flying = now
	}
	r.handOver()
}

// late reports whether a context or a deadline may have ended while the tasks were being published:
// whoever cancelled may not have seen them. Then recheck is due, by a caller that does not lead, as
// cancelling may have to wait for completions.
func (b *Batch) late(tasks []*task) bool {
	if len(tasks) > 0 && b.cancelled.Load() {
		return true
	}
	for _, t := range tasks {
		if t.op.file.deadlineOf(t.op.code).mayHavePassed() {
			return true
		}
	}
	return false
}

// recheck cancels what late has found.
func (b *Batch) recheck(r *ring, tasks []*task) {
	if b.cancelled.Load() {
		b.cancelFlying()
	}
	for _, t := range tasks {
		f, code := t.op.file, t.op.code
		if f.deadlineOf(code).hasPassed() {
			reads := code.reads()
			r.cancelFile(f, func(c opcode) bool { return c.reads() == reads }, byDeadline)
		}
	}
}

// drop finishes what waits for a slot in a batch that is given up.
func (b *Batch) drop(l *lane) {
	for _, t := range l.tasks[l.head:] {
		t.finishAsync(t.n, syscall.ECANCELED, byCaller, nil, 0)
	}
	l.head = len(l.tasks)
}

// reroute finds another road for what a ring has refused.
func (b *Batch) reroute(l *lane) {
	for _, t := range l.tasks[l.head:] {
		if err := t.op.file.refused(t.op.code.word()); err != nil {
			t.finishAsync(t.n, 0, notCancelled, err, 0)
			continue
		}
		b.mu.Lock()
		b.slow.push(t)
		b.mu.Unlock()
	}
	l.head = len(l.tasks)
}

// giveUp finishes a task that has not been started, because the context or the deadline has ended.
func (t *task) giveUp() {
	why := byDeadline
	if b := t.batch; b.cancelled.Load() || closed(b.stop) {
		why = byCaller
		b.because(context.Cause(b.ctx))
	}
	t.finishAsync(t.n, syscall.ECANCELED, why, nil, 0)
}

const (
	// maxHelpers is how many goroutines one batch has make blocking calls.
	maxHelpers = 64
	// The quick calls of a batch count as quick if there are at least tickCalls of them in a
	// tickTime. If not, others help with them.
	tickTime  = 200 * time.Microsecond
	tickCalls = 8
)

// hire has other goroutines make the blocking calls that the caller does not make itself.
func (b *Batch) hire(all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	jobs := b.slow.len()
	if all && b.quick.len() == 0 && !b.leftover() {
		jobs--
	}
	for range min(jobs, maxHelpers) - b.hired {
		b.hireOne()
	}
}

// hireOne has one more goroutine make blocking calls. mu is held.
func (b *Batch) hireOne() {
	if b.helpers < maxHelpers {
		b.helpers++
		b.hired++
		go b.help()
	}
}

// leftover reports whether there are operations that found no slot.
func (b *Batch) leftover() bool {
	for i := range b.lanes {
		if b.lanes[i].head < len(b.lanes[i].tasks) {
			return true
		}
	}
	return false
}

// help makes blocking calls until there are none left.
func (b *Batch) help() {
	b.mu.Lock()
	b.hired--
	for {
		var t *task
		switch {
		case b.slow.len() > 0:
			t = b.slow.pop()
		case b.quick.len() > 0:
			t = b.quick.pop()
		default:
			b.helpers--
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		t.block()
		b.mu.Lock()
	}
}

// blockSome makes blocking calls in the caller's goroutine. It reports whether it made any.
func (b *Batch) blockSome(all bool) (some bool) {
	for {
		b.mu.Lock()
		var t *task
		switch {
		case b.quick.len() > 0:
			t = b.quick.pop()
			if !some && b.quick.len() > 0 {
				b.startTick()
			}
		case b.slow.len() > 0 && all && !b.leftover():
			t = b.slow.pop()
		}
		b.mu.Unlock()
		if t == nil {
			return some
		}
		t.block()
		some = true
		if !all || b.leftover() {
			return true
		}
	}
}

// startTick has somebody look at the progress of the quick calls. mu is held.
func (b *Batch) startTick() {
	b.made = 0
	if b.tick == nil {
		b.tick = time.AfterFunc(tickTime, b.lookAtQuick)
	} else {
		b.tick.Reset(tickTime)
	}
}

// lookAtQuick hires a helper, and with the next look more of them, if the quick calls are not. It
// may come late, when the batch has been reset, or even runs again; it does no harm then.
func (b *Batch) lookAtQuick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quick.len() == 0 {
		return
	}
	if b.made < tickCalls {
		for range min(b.quick.len(), max(1, b.helpers)) {
			b.hireOne()
		}
	}
	b.made = 0
	b.tick.Reset(tickTime)
}

// block makes the blocking call.
func (t *task) block() {
	b, f, op := t.batch, t.op.file, &t.op
	if t.plain {
		if b.cancelled.Load() {
			t.giveUp()
			return
		}
		var n int
		var err error
		if op.code.reads() || op.code.writes() {
			n, err = f.eachAt(op, 0)
		} else {
			err = f.os.Sync()
		}
		t.finishAsync(n, 0, notCancelled, err, 0)
		return
	}
	d := f.deadlineOf(op.code)
	if d.hasPassed() {
		t.finishAsync(t.n, syscall.ECANCELED, byDeadline, nil, 0)
		return
	}
	n, why, err := f.blockUnless(op, t.n, op.code.word(), b.stop, d.late(), b.cancelled.Load)
	t.n = n
	switch why {
	case notCancelled:
		t.finishAsync(n, 0, notCancelled, err, 0)
	case byCaller:
		t.giveUp()
	default:
		t.finishAsync(n, syscall.ECANCELED, why, nil, 0)
	}
}

// park waits until an operation is finished, or more can be started, or, with all, until everything
// is finished. It reports whether that is so already.
func (b *Batch) park(all bool) (finished bool) {
	b.mu.Lock()
	switch {
	case b.pending == 0:
		b.mu.Unlock()
		return true
	case !all && len(b.ready) > 0, b.quick.len() > 0, b.slow.len() > 0 && b.helpers == 0,
		b.leftover() && b.launched == b.landed:
		b.mu.Unlock()
		return false
	}
	b.wakeAt = b.pending - 1
	if all {
		b.wakeAt = 0
		if b.leftover() {
			b.wakeAt = b.pending - max(1, (b.launched-b.landed)/2)
		}
	}
	b.parked = true
	b.mu.Unlock()
	<-b.wake
	return false
}
