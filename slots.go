package ringfile

import (
	"sync"
	"syscall"

	"github.com/ringfile/ringfile/internal/race"
)

// waiter is a caller that waits for a slot.
type waiter struct {
	hand chan *request // which is handed over through this
	file *File         // of its operation; nil if that has none, or the caller several
}

// awaitSlot parks until a slot is handed over. mu is held at the call and at the return with a
// slot, and not at the return without: the ring takes no more requests, f has been closed, or stop
// or late has fired.
func (r *ring) awaitSlot(f *File, stop, late <-chan struct{}) *request {
	if r.closed || r.broken.Load() != nil || f != nil && f.life.closed() {
		r.mu.Unlock()
		return nil
	}
	hand := hands.Get().(chan *request)
	w := waiter{hand, f}
	r.waiting.push(w)
	r.stats.slotWaits++
	r.mu.Unlock()
	defer hands.Put(hand)
	select {
	case req := <-hand:
		if req != nil {
			r.mu.Lock()
		}
		return req
	case <-stop:
	case <-late:
	}
	r.mu.Lock()
	left := r.waiting.remove(w)
	r.mu.Unlock()
	if !left {
		if req := <-hand; req != nil { // handed over in the meantime
			r.release(req)
		}
	}
	return nil
}

// dismiss sends those who wait for a slot away, as there will be none for them. mu is held.
func (r *ring) dismiss() {
	for r.waiting.len() > 0 {
		r.waiting.pop().hand <- nil
	}
}

// dismissFile is dismiss for those who wait on behalf of f, which has been closed.
func (r *ring) dismissFile(f *File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range r.waiting.len() {
		if w := r.waiting.pop(); w.file == f {
			w.hand <- nil
		} else {
			r.waiting.push(w)
		}
	}
}

// hands are the channels, of one element, through which slots are handed over.
var hands = sync.Pool{New: func() any { return make(chan *request, 1) }}

// release ends a request's life: what it referred to is forgotten, later completions with its
// user_data are no longer its own, and the slot goes to the caller that has waited longest.
func (r *ring) release(req *request) {
	r.mu.Lock()
	req.operation = operation{}
	clear(req.iovs[:cap(req.iovs)])
	req.promise, req.bounce = nil, nil
	if race.Enabled {
		req.n, req.errno = poisonN, syscall.Errno(poisonByte)
	}
	req.phase.Store(uint32(idle))
	req.gen.Add(1)
	if r.waiting.len() > 0 {
		r.waiting.pop().hand <- req
	} else {
		r.free = append(r.free, req)
	}
	r.mu.Unlock()
}
