package ringfile

import (
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/sysio"
)

// request is an operation in progress: whoever started it waits for it, and somebody completes it. A
// plain call parks on it, a Future is one, a Batch counts its own, a call with a context waits for one
// or abandons it.
//
//	          ┌────────── withdrawn ◀──────────┐
//	          │                                │
//	new ──▶ waiting (for a slot) ──▶ flying ───┴──▶ completed
//
// While it is flying (in flight) the kernel may use everything that the operation refers to: the
// request, and through it the buffers and the descriptor, is reachable from its slot until the
// completion has arrived. It may fly several times, to continue with the rest of a transfer.
type request struct {
	operation // typed pointers to all that the kernel touches, where the collector sees them

	n     int           // bytes moved so far
	total int           // operation.want
	errno syscall.Errno // of the transfer that failed on a ring
	why   cause         // who has asked for it to be given up
	to    completer     // who is told when it is complete

	gaveUp atomic.Uint32   // a cause: nothing more is to be started
	begun  atomic.Bool     // of a write in line: it has the position, if it needs that
	late   <-chan struct{} // closed when the deadline has passed

	// Guarded by the queue's mu from submit on until it is complete.
	slot       *slot // while it is flying
	next, prev *request
	waiting    bool
	tries      uint8         // submissions without progress
	began      int64         // clock when it was submitted
	iovs       []sysio.Iovec // what the kernel reads of a vector; kept for reuse
}

// slot is room for one request in flight: the request that has it, and a generation, which changes each
// time the slot is released and identifies completions of earlier requests. Guarded by the queue's mu.
type slot struct {
	req   *request
	gen   uint16
	asked bool // its cancellation has been asked for
}

// completer receives the result of a request. complete must neither block nor run user code: the reaper
// calls it.
type completer interface{ complete(*request) }

// maxTries limits how often a request is resubmitted after a result that calls for it (EINTR, EAGAIN,
// or an ECANCELED or EFAULT that nobody caused) before a system call takes over.
const maxTries = 8

// settle adds the result of a completion to the request and reports whether it must be resubmitted to
// continue. Only the reaper calls it.
func (req *request) settle(res int32) (again bool) {
	switch {
	case res >= 0 && !req.code.moves(), res == 0:
		return false
	case res > 0:
		return req.moved(int(res))
	}
	req.errno = syscall.Errno(-res)
	switch req.errno {
	case syscall.EINTR, syscall.EAGAIN, syscall.ECANCELED, syscall.EFAULT:
		// ECANCELED comes unasked when the thread that submitted the request has ended: its goroutine
		// was locked to it. Once somebody did ask, it is the answer. EFAULT comes then for a buffered read
		// that waited for its pages (TestStormThreadExitCold).
		if req.why != notCancelled {
			req.errno = syscall.ECANCELED
		} else if req.tries < maxTries {
			req.tries++
			req.errno = 0
			return true
		}
	}
	return false
}

// moved counts n more bytes, and reports whether there are more to come.
func (req *request) moved(n int) (again bool) {
	if n > req.total-req.n {
		req.errno = syscall.EIO // more than was asked for: trust nothing of it
		return false
	}
	req.annotate(n)
	req.n += n
	req.tries = 0
	if req.n == req.total || req.enough(req.n) || req.atomic {
		return false // the rest of an atomic write would be a second one
	}
	if req.why != notCancelled {
		req.errno = syscall.ECANCELED
		return false
	}
	return true
}

// annotate tells the race detector that the kernel has used the next n bytes of the buffers.
func (req *request) annotate(n int) {
	if !race.Enabled {
		return
	}
	touch := race.Read
	if req.code.reads() {
		touch = race.Wrote
	}
	req.pieces(req.n, n, touch)
}

// requests is a first-in, first-out queue of requests.
type requests struct {
	head, tail *request
	n          int
}

func (l *requests) push(req *request) {
	req.waiting, req.next, req.prev = true, nil, l.tail
	if l.tail == nil {
		l.head = req
	} else {
		l.tail.next = req
	}
	l.tail = req
	l.n++
}

// pop removes the request that has waited longest; there must be one.
func (l *requests) pop() *request {
	req := l.head
	l.remove(req)
	return req
}

func (l *requests) remove(req *request) {
	if req.prev == nil {
		l.head = req.next
	} else {
		req.prev.next = req.next
	}
	if req.next == nil {
		l.tail = req.prev
	} else {
		req.next.prev = req.prev
	}
	req.waiting, req.next, req.prev = false, nil, nil
	l.n--
}

// take removes the requests that match.
func (l *requests) take(match func(*request) bool) (taken requests) {
	for r := l.head; r != nil; {
		next := r.next
		if match(r) {
			l.remove(r)
			taken.push(r)
		}
		r = next
	}
	return taken
}
