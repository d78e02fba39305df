package chain

import (
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/uring"
)

const (
	// depth is how many entries a ring may have in flight. A longer chain is split into parts.
	depth = 64
	// workers is how many kernel threads serve a ring: each sync needs one.
	workers = 16
)

// flight is a list of entries that the kernel gets together, as one chain. The caller, who holds the
// descriptors and the memory that they refer to, waits until the kernel has completed all of them.
type flight struct {
	sqes    []uring.SQE // but for UserData
	res     []int32     // what became of each; an entry that the kernel has not taken ends with EAGAIN
	pending int         // completions to come; guarded by the ring's mu
	done    chan struct{}
}

// ring is an io_uring that accepts whole chains. Callers queue flights and wait; they never enter it.
//
// The kernel consumes as many entries as io_uring_enter says, and ends a chain with the last of them.
// So only the submitter fills the submission queue and enters to submit, always with whole flights; the
// reaper only waits. mu is never held during a system call.
//
// The kernel delivers completions in the thread that submitted, which has to wait there for a
// submission that sleeps. So the submitter is bound to its thread, in which nothing else runs, until
// everything has completed.
type ring struct {
	u    *uring.Ring
	room gate // entries, depth in all

	mu         sync.Mutex
	queue      []*flight          // to be submitted
	flights    map[uint64]*flight // in the hands of the submitter, or of the kernel, by number
	number     uint64             // the last one
	owed       int                // completions that the kernel owes; briefly less than it does
	broken     bool               // entering it fails for good
	submitting bool               // there is a submitter
	resting    bool               // it waits for wake: to be given more, or until nothing is owed
	wake       chan struct{}      // of one element
	reaping    bool               // there is a reaper
}

// newRing prepares u for chains.
func newRing(u *uring.Ring) *ring {
	r := &ring{u: u, flights: make(map[uint64]*flight), wake: outside.Chan()}
	r.room.free = depth
	return r
}

// run has the kernel carry out f, which has at most depth entries, and waits for it.
func (r *ring) run(f *flight) {
	n := len(f.sqes)
	f.res = append(f.res[:0], make([]int32, n)...)
	f.pending, f.done = n, outside.Chan()
	r.room.enter(int64(n), nil)
	r.mu.Lock()
	r.queue = append(r.queue, f)
	start := !r.submitting
	r.submitting = true
	r.rouse()
	r.mu.Unlock()
	if start {
		outside.Go(r.submitter)
	}
	<-f.done
	outside.Free(f.done)
	f.done = nil
	r.room.leave(int64(n))
}

// submitter submits what is queued, until nothing is left and everything has completed.
func (r *ring) submitter() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ids []uint64 // scratch
	for r.fill() {
		ids = r.submit(ids[:0])
	}
}

// rouse wakes the submitter if it is idle. mu is held.
func (r *ring) rouse() {
	if r.resting {
		r.resting = false
		r.wake <- struct{}{}
	}
}

// fill moves what is queued into the submission queue, which is empty and has room for everything that
// may be in flight. If there is nothing, and everything has completed, it returns false, and the
// submitter must end.
func (r *ring) fill() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 && r.owed > 0 {
		r.resting = true
		r.mu.Unlock()
		<-r.wake
		r.mu.Lock()
	}
	for _, f := range r.queue {
		r.number++
		r.flights[r.number] = f
		for i := range f.sqes {
			sqe := r.u.GetSQE()
			*sqe = f.sqes[i]
			sqe.UserData = r.number*depth + uint64(i)
		}
	}
	r.submitting = len(r.queue) > 0
	clear(r.queue)
	r.queue = r.queue[:0]
	return r.submitting
}

// submit submits the entries of the submission queue. Entries that the kernel does not accept, for lack
// of memory, are not submitted later, when they would no longer be part of their chain: they end with
// EAGAIN.
func (r *ring) submit(ids []uint64) []uint64 {
	r.u.Flush()
	taken := r.enter()
	r.u.Withdraw(func(e *uring.SQE) { ids = append(ids, e.UserData) })
	r.mu.Lock()
	for _, id := range ids {
		r.complete(id, -int32(syscall.EAGAIN))
	}
	r.owed += taken
	if !r.reaping && r.reap() {
		r.reaping = true
		go r.reaper()
	}
	r.mu.Unlock()
	return ids
}

// enter has the kernel consume the visible entries, and returns how many it has consumed. If it refuses
// temporarily, for lack of memory, waiting is not worth it, because a call can do the work.
func (r *ring) enter() int {
	for {
		n, err := r.u.Enter(r.u.SQReady(), 0, 0)
		switch err {
		case nil:
			return n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM:
			return 0
		}
		r.mu.Lock()
		r.broken = true
		r.mu.Unlock()
		return 0
	}
}

func (r *ring) isBroken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// reaper waits for completions until none is outstanding.
func (r *ring) reaper() {
	for r.owes() {
		if _, err := r.u.Enter(0, 1, uring.EnterGetEvents); err != nil && err != syscall.EINTR {
			time.Sleep(time.Millisecond) // they come without being waited for, too
		}
	}
}

// owes reaps the completions that have arrived, and reports whether more are outstanding. If not, the
// reaper must end.
func (r *ring) owes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reaping = r.reap()
	return r.reaping
}

// reap reaps the completions that have arrived, and reports whether more are outstanding. mu is held.
// Only the reaper calls it, or the submitter while there is no reaper.
func (r *ring) reap() bool {
	var cqes [depth]uring.CQE
	for {
		n := r.u.CopyCQEs(cqes[:])
		if n == 0 {
			if r.owed <= 0 {
				r.rouse()
			}
			return r.owed > 0
		}
		for i := range cqes[:n] {
			r.owed--
			r.complete(cqes[i].UserData, cqes[i].Res)
		}
	}
}

// complete records the result of an entry. mu is held.
func (r *ring) complete(id uint64, res int32) {
	f := r.flights[id/depth]
	if f == nil || id%depth >= uint64(len(f.res)) {
		return // of no entry of ours
	}
	f.res[id%depth] = res
	f.pending--
	if f.pending == 0 {
		delete(r.flights, id/depth)
		f.done <- struct{}{}
	}
}
