package ringfile

import "runtime"

// cancel asks the kernel to give up the request with the given user_data, on behalf of why. The
// request completes as always, with ECANCELED or with its result. It may have completed and been
// released already; its slot's next request is not touched then.
func (r *ring) cancel(req *request, id uint64, why cause) {
	for {
		r.mu.Lock()
		if r.broken.Load() != nil || !r.slab.current(req, id) || cause(req.cause.Load()) != notCancelled {
			r.mu.Unlock()
			return
		}
		if r.cancels < uint32(len(r.slab.slots)) {
			break
		}
		r.mu.Unlock()
		runtime.Gosched() // cancellations complete at once; one of them will make room
	}
	req.cause.Store(uint32(why))
	if r.polling.io { // a cancellation is EINVAL there; the request completes by itself
		r.mu.Unlock()
		return
	}
	r.engine.stats.cancels.add(1)
	r.askCancel(id)
	r.submitAndUnlock()
}

// askCancel publishes a cancellation of the request with the given user_data. mu is held.
func (r *ring) askCancel(id uint64) {
	r.cancels++
	sqe := r.sqe()
	sqe.PrepCancel64(id, 0)
	sqe.UserData = idCancel
	r.u.Flush()
}

// cancelFile cancels the requests of f that match, on behalf of why.
func (r *ring) cancelFile(f *File, match func(opcode) bool, why cause) {
	r.cancelAll(func(req *request) bool { return (f == nil || req.file == f) && match(req.code) }, why)
}

// cancelAll cancels the requests that match, on behalf of why. match is called with mu held.
func (r *ring) cancelAll(match func(*request) bool, why cause) {
	for i := range r.slab.slots {
		req := &r.slab.slots[i]
		r.mu.Lock()
		hit := phase(req.phase.Load()) != idle && match(req)
		id := r.slab.id(req)
		r.mu.Unlock()
		if hit {
			r.cancel(req, id, why)
		}
	}
}
