package ringfile

import (
	"syscall"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// whole is what a ring for chains has beside the others' parts.
//
// The kernel takes as many entries of the submission queue as io_uring_enter says, and a chain ends
// with the last of them. On a common ring several threads enter with counts that they have read
// before, so that a chain could be taken in two parts, which would run at the same time. Therefore
// chains have a ring of their own, where entering to submit is done with mu held, for everything
// that is queued, and the watcher only waits.
type whole struct {
	turn  chan struct{} // one element: held by the chain that is being started
	slots []*request    // scratch, its
	files bool          // there is a table of files, an entry for each slot

	ending int // callers that are completing what they have withdrawn; guarded by mu
}

// busy reports whether a chain is being started, which others have to wait for.
func (w *whole) busy() bool { return len(w.turn) > 0 }

// chainDepth is how many slots the ring for chains has. A longer chain goes in parts, one after the
// other.
const chainDepth = 64

// chainRing returns the ring for chains, nil if there is none.
func (e *Engine) chainRing() *ring {
	if r := e.chains.Load(); r != nil || len(e.rings) == 0 {
		return r
	}
	e.chainsMu.Lock()
	defer e.chainsMu.Unlock()
	if r := e.chains.Load(); r != nil || e.closed.Load() || e.chainless {
		return r
	}
	r, err := e.makeChainRing()
	if err != nil {
		e.chainless = true
		return nil
	}
	e.chains.Store(r)
	return r
}

// makeChainRing makes an ordinary ring, with neither of the modes that an engine's rings may have.
func (e *Engine) makeChainRing() (*ring, error) {
	u, err := uring.New(uring.Config{Entries: 2 * chainDepth, CQEntries: 2 * chainDepth})
	if err != nil {
		return nil, err
	}
	workers := e.config.Workers
	if _, _, err := u.RegisterIOWQMaxWorkers(uint32(workers), uint32(workers)); err != nil {
		workers = 0
	}
	r, err := newRing(e, u, chainDepth)
	if err != nil {
		u.Close()
		return nil, err
	}
	r.workers = workers
	r.whole = &whole{turn: make(chan struct{}, 1)}
	r.whole.files = u.Features().Has(uring.FeatLinkedFile) && u.RegisterFilesSparse(chainDepth) == nil
	return r, nil
}

// everyRing gives the engine's rings, with the one for chains if it has been made.
func (e *Engine) everyRing(yield func(*ring) bool) {
	for _, r := range e.rings {
		if !yield(r) {
			return
		}
	}
	if r := e.chains.Load(); r != nil {
		yield(r)
	}
}

// startChain takes slots for all of the links, publishes them as one chain and submits them. It
// returns how many that were: fewer than asked for if the ring has not so many slots, or a file has
// been closed; none if the ring takes no more requests or stop fired before. If it reports lead, the
// caller must lead.
func (r *ring) startChain(links []*link, stop <-chan struct{}) (n int, lead bool) {
	if len(links) > len(r.slab.slots) {
		links = links[:len(r.slab.slots)]
	}
	// One chain at a time gathers slots, so that no two wait for what the other has.
	select {
	case r.whole.turn <- struct{}{}:
	case <-stop:
		return 0, false
	}
	defer func() { <-r.whole.turn }()
	slots := r.gather(len(links), stop)
	if slots == nil {
		return 0, false
	}
	// A file that was closed since begin has had its requests cancelled, under mu, without these.
	for n < len(links) && !links[n].closedSince() {
		n++
	}
	if r.closed || r.broken.Load() != nil {
		n = 0
	}
	if n > 0 && links[n-1].op.code == opCloseDirect {
		// The entry in the table of files goes with the slot that is released last.
		at := r.slab.index(slots[n-1])
		for _, l := range links[:n] {
			l.slot = at
		}
	}
	for i, l := range links[:n] {
		r.append(slots[i], l, i == n-1)
	}
	if n > 0 {
		r.engine.stats.ring.add(uint64(n))
		r.u.Flush()
		lead = r.stance == unwatched
		if lead {
			r.stance = asleep
		}
		r.submitWhole()
	} else {
		r.mu.Unlock()
	}
	for _, req := range slots[n:] {
		r.release(req)
	}
	return n, lead
}

// gather takes k slots, at most as many as there are. mu is held at the return with them, and not
// at the return without.
func (r *ring) gather(k int, stop <-chan struct{}) []*request {
	slots := r.whole.slots[:0]
	defer func() { r.whole.slots = slots }()
	r.mu.Lock()
	for len(slots) < k {
		if n := len(r.free); n > 0 && r.waiting.len() == 0 {
			slots = append(slots, r.free[n-1])
			r.free = r.free[:n-1]
			continue
		}
		req := r.awaitSlot(nil, stop, nil)
		if req == nil {
			for _, req := range slots {
				r.release(req)
			}
			return nil
		}
		slots = append(slots, req)
	}
	return slots
}

// append writes the submission of a link, for the kernel to see at the next flush. mu is held.
func (r *ring) append(req *request, l *link, last bool) {
	r.occupy(req, &l.op, l.n, l)
	sqe := r.sqe()
	l.prepare(req, sqe)
	switch {
	case last:
	case l.anyway:
		sqe.SetFlags(uring.SQEIOHardlink)
	default:
		sqe.SetFlags(uring.SQEIOLink)
	}
	sqe.UserData = r.slab.id(req)
	req.phase.Store(uint32(submitted))
}

// wholeTries is how often the kernel may refuse a chain for the moment before system calls carry it
// out. As mu is held in between, which others want who have to be on time, that is a millisecond.
const wholeTries = 6

// submitWhole hands everything that is queued to the kernel and unlocks mu, which is held. What the
// kernel leaves, for lack of memory, is not submitted later, when it would be no part of its chain
// any more: it ends with EAGAIN. Cancellations among that are asked for again.
func (r *ring) submitWhole() {
	var ids, targets []uint64
	withdraw := func(e *uring.SQE) {
		ids = append(ids, e.UserData)
		if e.UserData == idCancel {
			targets = append(targets, e.Addr)
		}
	}
	for tries := 0; r.u.SQReady() > 0; tries++ {
		var err error
		if r.broken.Load() == nil {
			var n int
			n, err = r.u.Enter(r.u.SQReady(), 0, 0)
			r.engine.stats.enters.add(1)
			r.stats.submitted(n)
		}
		switch err {
		case nil:
			r.u.Withdraw(withdraw)
		case syscall.EINTR:
		case syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM:
			r.engine.stats.busy.add(1)
			if tries < wholeTries {
				time.Sleep(10 * time.Microsecond << tries)
			} else {
				r.u.Withdraw(withdraw)
			}
		default:
			why := err // on the heap in this case only
			if r.broken.CompareAndSwap(nil, &why) {
				r.engine.stats.broken.add(1)
				r.dismiss()
			}
		}
	}
	if len(ids) == 0 {
		r.mu.Unlock()
		return
	}
	// The reaper must not wait in the kernel for what is not there.
	r.whole.ending++
	r.mu.Unlock()
	for _, id := range ids {
		r.complete(&uring.CQE{UserData: id, Res: -int32(syscall.EAGAIN)})
	}
	r.mu.Lock()
	r.whole.ending--
	r.mu.Unlock()
	for _, id := range targets {
		time.AfterFunc(time.Millisecond, func() { r.cancelAgain(id) })
	}
}

// cancelAgain asks anew for a cancellation that the kernel has refused for the moment.
func (r *ring) cancelAgain(id uint64) {
	r.mu.Lock()
	if r.broken.Load() != nil || !r.slab.current(r.slab.request(id), id) || r.cancels == uint32(len(r.slab.slots)) {
		r.mu.Unlock()
		return
	}
	r.askCancel(id)
	r.submitWhole()
}

// leadChain watches the ring in the place of the reaper, until c has nothing in flight.
func (r *ring) leadChain(c *Chain) {
	for patient := true; ; patient = false {
		r.reap()
		n := c.flying()
		if n == 0 {
			break
		}
		if !patient || !r.canBePatient() || int(r.inFlight.Load()) > n {
			n = 1
		}
		r.enter(uint32(n))
	}
	r.handOver()
}

// dropFile empties an entry of the table of files, unless that is going to go with the ring.
func (r *ring) dropFile(slot int) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.submitters.Add(1) // the ring stays open
	r.mu.Unlock()
	r.u.RegisterFilesUpdate(uint32(slot), []int32{-1})
	r.submitters.Add(-1)
}
