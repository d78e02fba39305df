package limit

import "github.com/ringfile/ringfile/internal/outside"

// waiter is one that waits in a queue.
type waiter struct {
	next, prev *waiter
	queued     bool
	wake       chan struct{} // one element; of no test's bubble
	round      uint64        // of the pool's clock when it came; zero before that
	granted    bool          // it was woken with what it waits for
	permit     Permit        // of a Pool: that
	shared     bool          // of a Lock: it wants a shared hold
}

func newWaiter() *waiter { return &waiter{wake: outside.Chan()} }

func (w *waiter) free() { outside.Free(w.wake) }

// park waits until w is woken; false if stop or late was closed first.
func (w *waiter) park(stop, late <-chan struct{}) bool {
	if stop == nil && late == nil {
		<-w.wake
		return true
	}
	select {
	case <-w.wake:
		return true
	case <-stop:
	case <-late:
	}
	return false
}

// queue is a first-in, first-out queue.
type queue struct{ head, tail *waiter }

func (q *queue) first() *waiter { return q.head }

func (q *queue) push(w *waiter) {
	w.queued, w.next, w.prev = true, nil, q.tail
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
}

func (q *queue) pushFront(w *waiter) {
	w.queued, w.prev, w.next = true, nil, q.head
	if q.head == nil {
		q.tail = w
	} else {
		q.head.prev = w
	}
	q.head = w
}

// pop removes the first waiter, nil if there is none.
func (q *queue) pop() *waiter {
	w := q.head
	if w != nil {
		q.remove(w)
	}
	return w
}

// remove removes w and reports whether it was in the queue.
func (q *queue) remove(w *waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.queued, w.next, w.prev = false, nil, nil
	return true
}
