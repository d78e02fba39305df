package ringfile

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// stance says who watches the completion queue of a ring, and so what a caller has to do for its
// request to be submitted. While requests are in flight somebody watches.
type stance uint8

const (
	// unwatched: nothing is in flight. The next caller waits for its request itself, or wakes the
	// reaper.
	unwatched stance = iota
	// awake: the reaper runs and will enter the kernel, with everything that is queued until then.
	awake
	// asleep: the reaper or a caller is in io_uring_enter, or about to be. Whoever queues a
	// request submits it.
	asleep
)

// idCancel is the user_data of cancellations. Slots are aligned, so none has such an address.
const idCancel uint64 = 1

// ring is one io_uring instance with its slots, its submission protocol and its reaper.
//
// Submitting costs a system call and waiting costs one; io_uring_enter does both at once. The
// protocol is made so that this is the common case: the reaper submits, in the call with which it
// waits, what callers have queued while it was awake, and a caller that is alone does the same
// for itself, without any hand-over between goroutines. See docs/design.md for the measurements.
//
// The completion queue belongs to whoever watches: the reaper or a caller that leads, one at a
// time, as the stance says. mu is not held during system calls.
type ring struct {
	engine  *Engine
	u       *uring.Ring
	slab    slab
	solos   []*ring      // small rings for callers that need not share this one
	whole   *whole       // of a ring for chains, whose submissions are never taken in parts
	workers int          // bound on kernel workers, 0 if it is the kernel's own
	crowd   atomic.Int32 // requests to go until solos are used again
	writes  alone        // direct writes that are left to system calls while they are few,
	reads   alone        // and buffered reads
	polling

	mu      sync.Mutex // the submission side:
	stance  stance
	free    []*request
	waiting queue[waiter]         // callers for whom no slot was free
	cancels uint32                // cancellations whose completion is due
	closed  bool                  // takes no more requests
	broken  atomic.Pointer[error] // io_uring_enter failed for good
	stats   ringStats

	inFlight   atomic.Int32 // requests published and not completed
	submitters atomic.Int32 // callers that are submitting

	cqes    [64]uring.CQE // the watcher's
	patient uring.WaitArg // a leader's

	wake    chan struct{} // one element: wakes the parked reaper
	drained chan struct{} // closed when a closed ring has nothing in flight
	stopped chan struct{} // closed when the reaper has ended
}

// newRing puts the engine's parts around a kernel ring. The reaper runs from now on.
func newRing(e *Engine, u *uring.Ring, slots int) (*ring, error) {
	r := &ring{
		engine:  e,
		u:       u,
		wake:    make(chan struct{}, 1),
		drained: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	r.writes.most = e.tuning.writersPerP*int32(e.psPerRing()) + 1
	r.reads.most = e.tuning.readersPerP * int32(e.psPerRing())
	r.polling.sq, r.polling.io = u.Flags().Has(uring.SetupSQPoll), u.Flags().Has(uring.SetupIOPoll)
	if err := r.slab.init(r, slots); err != nil {
		return nil, err
	}
	r.free = make([]*request, 0, slots)
	for i := range r.slab.slots {
		r.free = append(r.free, &r.slab.slots[i])
	}
	go r.reaper()
	return r, nil
}

// start takes a slot, publishes op in it, to go on behind the first n bytes, and sees to it that
// it is submitted. It returns nil if the ring takes no more requests, or if stop or late fired
// while no slot was free; nothing has been done then.
//
// With p the reaper completes the promise and the request is no longer the caller's business.
// Without, the caller receives from done, reads the outcome and releases the request. If it allows
// that with mayLead, it may be asked to lead: then it must call lead first, as nobody else watches
// the completion queue.
func (r *ring) start(op *operation, n int, p promise, mayLead bool, stop, late <-chan struct{}) (req *request, lead bool) {
	r.mu.Lock()
	if len(r.free) == 0 || r.waiting.len() > 0 {
		if req = r.awaitSlot(op.file, stop, late); req == nil {
			return nil, false
		}
	} else if !r.closed && r.broken.Load() == nil {
		req = r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
	}
	// A file that was closed since begin has had its requests cancelled, under mu, without this one.
	if r.closed || r.broken.Load() != nil || op.file != nil && op.file.life.closed() {
		r.mu.Unlock()
		if req != nil {
			r.release(req)
		}
		return nil, false
	}
	r.fill(req, op, n, p)
	return req, r.sendOff(mayLead)
}

// fill publishes op in a free slot, to go on behind the first n bytes. mu is held.
func (r *ring) fill(req *request, op *operation, n int, p promise) {
	r.occupy(req, op, n, p)
	r.publish(req)
}

// occupy makes a free slot a request. mu is held.
func (r *ring) occupy(req *request, op *operation, n int, p promise) {
	req.operation = *op
	req.total = op.want()
	req.n, req.errno, req.tries = n, 0, 0
	req.began = clock()
	req.cause.Store(uint32(notCancelled))
	req.promise = p
	if p != nil {
		p.published(req, r.slab.id(req))
	}
	r.inFlight.Add(1)
}

// sendOff sees to it that what has been published is submitted, and unlocks mu. It reports whether
// the caller must lead, which happens only with mayLead.
func (r *ring) sendOff(mayLead bool) (lead bool) {
	switch r.stance {
	case unwatched:
		if mayLead {
			r.stance = asleep
			r.mu.Unlock()
			return true
		}
		r.stance = awake
		r.mu.Unlock()
		r.wake <- struct{}{}
	case awake:
		// The reaper is about to enter. It is spared the work of a long queue, which would leave
		// the device idle in the meantime.
		if r.u.SQReady() < r.batchLimit() {
			r.mu.Unlock()
			return false
		}
		r.submitAndUnlock()
	case asleep:
		if r.byEnter() {
			r.mu.Unlock()
			return false
		}
		r.submitAndUnlock()
	}
	return false
}

// orSolo returns the ring for a caller that can lead. While no more requests are in flight than could
// each have a ring to themselves, it is a ring with nothing in flight, where the caller needs
// nobody; otherwise, and for a while after, it is the common one: waiting for many together costs
// less, and callers that wait for themselves keep the Ps from the reaper.
func (r *ring) orSolo() *ring {
	n := int(r.inFlight.Load() + r.writes.now.Load() + r.reads.now.Load())
	if n == 0 || r.crowded(n) {
		return r
	}
	for _, s := range r.solos {
		if s.inFlight.Load() == 0 && s.broken.Load() == nil {
			return s
		}
	}
	r.crowd.Store(crowdMemory)
	return r
}

// crowded reports whether n requests in flight, or those of a while ago, are too many for each to
// have a ring to itself.
func (r *ring) crowded(n int) bool {
	if n > len(r.solos) {
		r.crowd.Store(crowdMemory)
		return true
	}
	if crowd := r.crowd.Load(); crowd > 0 {
		r.crowd.Store(crowd - 1)
		return true
	}
	return false
}

// alone admits transfers of one kind that are better left to system calls while no more than a few of
// them are under way. When a file system's direct write completes for a ring, that takes a detour through
// a kernel thread, which costs a writer that waits for it a sixth of its speed; a large buffered read is
// started anew for each part that the readahead brings in. What a ring saves outweighs that once there
// are more than a few in flight; then, and for a while after, none is admitted.
type alone struct {
	most  int32         // how many may be admitted
	now   atomic.Int32  // how many are
	crowd atomic.Int32  // transfers to go until one is admitted again
	turns atomic.Uint32 // transfers that asked
}

// enter admits a transfer, or leaves it to r. If it reports true, leave ends it.
func (a *alone) enter(r *ring) bool {
	if r.engine.config.polls() || !r.engine.blocking.free() {
		return false
	}
	n := r.inFlight.Load() + a.now.Add(1)
	crowd := a.crowd.Load()
	// A few goroutines can keep the Ps to themselves, blocked in system calls, so that a crowd is never
	// seen: now and then, let those who are ready come.
	if crowd == 0 && a.turns.Add(1)%crowdProbe <= uint32(a.most) {
		runtime.Gosched()
		n = r.inFlight.Load() + a.now.Load()
	}
	switch {
	case n > a.most:
		a.crowd.Store(crowdMemory)
	case crowd > 0:
		a.crowd.Store(crowd - 1)
	default:
		return true
	}
	a.now.Add(-1)
	return false
}

func (a *alone) leave() { a.now.Add(-1) }

const (
	crowdMemory = 64   // for how many requests a ring remembers that there was a crowd
	crowdProbe  = 1024 // once in so many of those transfers it looks for one
)

// batchLimit returns how many requests may be queued for the reaper before a caller submits them.
// What is queued is in flight, too.
func (r *ring) batchLimit() uint32 {
	return uint32(min(max(r.inFlight.Load()/r.engine.tuning.batchShare, 1), r.engine.tuning.batchMax))
}

// publish writes the request's next submission and makes it visible to the kernel. mu is held.
//
// The submission queue has twice as many entries as there are slots. Each slot has at most one
// entry in it and cancellations are bounded by the number of slots, so it is never full for long.
func (r *ring) publish(req *request) {
	sqe := r.sqe()
	req.prepare(sqe)
	sqe.UserData = r.slab.id(req)
	// Whoever reaps the completion loads the phase first, and so sees the request as it is here.
	if phase(req.phase.Load()) == idle {
		req.phase.Store(uint32(submitted))
	}
	r.u.Flush()
}

func (r *ring) sqe() *uring.SQE {
	for {
		if sqe := r.u.GetSQE(); sqe != nil {
			if r.polling.sq { // it is submitted without a call that could be counted
				r.stats.submissions.Add(1)
			}
			return sqe
		}
		// The kernel says only at the end of a submission which entries it has taken. Requests of
		// one that is going on, in another thread, can have been completed and queued anew.
		runtime.Gosched()
	}
}

// submitAndUnlock hands everything that is queued to the kernel, without waiting for completions.
// mu is held at the call. Somebody else's call may have taken it all already, so that it can even
// be complete: the ring stays open until submitters is zero.
func (r *ring) submitAndUnlock() {
	if r.whole != nil {
		r.submitWhole()
		return
	}
	r.submitters.Add(1)
	r.mu.Unlock()
	if r.enter(0) {
		r.submitters.Add(-1)
		return
	}
	// The caller may have to return on time, whatever the kernel is short of.
	go func() {
		for pause := 10 * time.Microsecond; !r.enter(0); pause = min(2*pause, time.Millisecond) {
			time.Sleep(pause)
		}
		r.submitters.Add(-1)
	}()
}

// lead waits, in the place of the reaper, until req is complete: the caller is alone, and one
// system call both submits its request and waits for it. Then it hands the watch over to the
// reaper if others have turned up meanwhile.
func (r *ring) lead(req *request) {
	for {
		r.enter(1)
		r.reap()
		if phase(req.phase.Load()) == completed {
			break
		}
	}
	r.handOver()
}

// handOver ends a caller's lead: the reaper watches from now on if there is anything to watch for.
func (r *ring) handOver() {
	r.mu.Lock()
	if r.quiet() && !r.closed {
		r.stance = unwatched
		r.mu.Unlock()
		return
	}
	r.stance = awake
	r.mu.Unlock()
	r.wake <- struct{}{}
}

// quiet reports whether there is nothing to watch for. mu is held.
func (r *ring) quiet() bool {
	return r.inFlight.Load() == 0 && r.cancels == 0
}

// reaper waits on the completion queue and completes requests, from newRing to close. It is
// parked on a channel while nothing is in flight or a caller leads. It never runs user code, and
// apart from io_uring_enter it never blocks.
func (r *ring) reaper() {
	defer close(r.stopped)
	labelGoroutine("reaper")
	<-r.wake
	for {
		r.mu.Lock()
		if r.quiet() {
			if r.closed {
				r.mu.Unlock()
				return
			}
			r.stance = unwatched
			r.mu.Unlock()
			<-r.wake
			continue
		}
		if r.whole != nil && r.whole.ending > 0 {
			r.mu.Unlock()
			runtime.Gosched()
			continue
		}
		// From here on callers submit for themselves: what they queue now may miss the call below.
		r.stance = asleep
		r.mu.Unlock()
		r.enter(1)
		if r.byEnter() && r.u.CQReady() == 0 {
			continue // the stance is right for another look
		}
		r.mu.Lock()
		r.stance = awake
		r.mu.Unlock()
		r.reap()
		// Let the goroutines that were woken queue their next requests, so that the next call
		// submits them together.
		runtime.Gosched()
	}
}

// enter calls io_uring_enter to submit what is queued and, for the watcher, to wait for
// minComplete completions. It returns when that was done, to the watcher earlier too, which checks
// for what it waits for. To a submitter it reports false if the kernel refuses for the moment.
// Nothing that is visible to the kernel is ever reported as failed here; it is submitted by a later
// call.
func (r *ring) enter(minComplete uint32) bool {
	if r.polling.sq {
		return r.enterSQPoll(minComplete)
	}
	var flags uring.EnterFlags
	if minComplete > 0 {
		flags = uring.EnterGetEvents | r.engine.tuning.wait // flushes overflown completions, too
	}
	wait := minComplete
	if r.byEnter() {
		wait = 0
	}
	for {
		queued := r.u.SQReady()
		if r.whole != nil {
			queued = 0 // that is submitWhole's
		}
		if queued == 0 && minComplete == 0 {
			return true
		}
		if r.broken.Load() != nil {
			if minComplete > 0 {
				r.salvage()
				time.Sleep(brokenPoll) // completions may still arrive, but nothing can wait for them
			}
			return true
		}
		n, err := r.enterOnce(queued, wait, flags)
		r.engine.stats.enters.add(1)
		r.stats.submitted(n)
		switch err {
		case nil:
			if wait < minComplete {
				r.polled()
			}
			// A count below queued: somebody else submitted them, or the kernel stopped early
			// and the rest needs another call.
			if minComplete > 0 || uint32(n) >= queued || r.u.SQReady() == 0 {
				return true
			}
		case syscall.EINTR, errTimedOut:
			if minComplete > 0 {
				return true
			}
		case syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM:
			// The kernel is out of memory for requests, or wants completions to be reaped first.
			return r.refusedForNow(minComplete)
		default:
			r.breakDown(err)
		}
	}
}

// refusedForNow is what enter does and returns when the kernel refuses for the moment: the watcher
// looks again after a pause, a submitter has to see to it.
func (r *ring) refusedForNow(minComplete uint32) bool {
	r.engine.stats.busy.add(1)
	if minComplete == 0 {
		return false
	}
	time.Sleep(10 * time.Microsecond)
	return true
}

// reap completes every request whose completion has arrived. Only the watcher calls it.
func (r *ring) reap() {
	for {
		n := r.u.CopyCQEs(r.cqes[:])
		if n == 0 {
			return
		}
		r.stats.completions.Add(uint64(n))
		r.stats.reaps.Add(1)
		for i := range r.cqes[:n] {
			r.complete(&r.cqes[i])
		}
	}
}

// complete records one completion.
func (r *ring) complete(cqe *uring.CQE) {
	if cqe.UserData == idCancel {
		r.mu.Lock()
		asked := r.cancels > 0
		if asked {
			r.cancels--
		}
		r.mu.Unlock()
		if !asked {
			r.engine.stats.strays.add(1)
		}
		return
	}
	req := r.slab.request(cqe.UserData)
	if req == nil || !r.slab.current(req, cqe.UserData) {
		r.engine.stats.strays.add(1)
		return
	}
	if req.settle(cqe.Res) && r.restart(req) {
		return
	}
	r.finish(req)
}

// restart submits a request again to go on with the rest; the watcher's next call to the kernel
// takes it along. It reports false if the request has been cancelled in the meantime, or the ring
// is broken, with the error number set.
func (r *ring) restart(req *request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case cause(req.cause.Load()) != notCancelled:
		req.errno = syscall.ECANCELED
		return false
	case r.broken.Load() != nil:
		req.errno = syscall.EAGAIN
		return false
	}
	r.publish(req)
	r.stats.restarts++
	return true
}

// finish gives the outcome of a request to whoever is waiting for it.
func (r *ring) finish(req *request) {
	if p := req.promise; p != nil {
		n, errno, why := req.n, req.errno, cause(req.cause.Load())
		r.release(req)
		r.done()
		p.fulfil(n, errno, why)
		return
	}
	if req.phase.CompareAndSwap(uint32(submitted), uint32(completed)) {
		r.done()
		req.done <- struct{}{}
		return
	}
	// Abandoned: its caller has left, and the engine owned slot, memory and descriptor until now.
	file, b := req.file, req.bounce
	r.release(req)
	r.done()
	b.release()
	if file != nil {
		file.life.decrefAsync(file)
	}
}

// done counts a request out.
func (r *ring) done() {
	if r.inFlight.Add(-1) == 0 {
		r.mu.Lock()
		r.checkDrained()
		r.mu.Unlock()
	}
}
