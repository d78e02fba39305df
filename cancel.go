package ringfile

import "time"

// cancel cancels a request because of why, if it is still here: a waiting one is completed at once; for
// one in flight the kernel is asked, and it completes as usual, with ECANCELED or with its result.
func (q *queue) cancel(req *request, why cause) {
	q.cancelAll(func(r *request) bool { return r == req }, why)
}

// cancelFile cancels the requests on a file that match.
func (q *queue) cancelFile(d *descriptor, match func(opcode) bool, why cause) {
	q.cancelAll(func(r *request) bool { return r.desc == d && match(r.code) }, why)
}

// cancelAll cancels the requests that match. match is called with mu held.
func (q *queue) cancelAll(match func(*request) bool, why cause) {
	q.mu.Lock()
	gone := q.dismiss(match, why)
	for i := range q.slots.all {
		if r := q.slots.all[i].req; r != nil && r.why == notCancelled && match(r) {
			r.why = why
			q.dueCancel = !q.polling.io // a cancellation is EINVAL there; the request completes by itself
		}
	}
	if q.dueCancel && q.broken.Load() == nil {
		q.askCancels()
		q.wakeAndUnlock()
	} else {
		q.mu.Unlock()
	}
	gone.complete()
}

// refuse makes the queue accept no more requests and cancels those that it has.
func (q *queue) refuse() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cancelAll(func(*request) bool { return true }, byEngineClose)
	q.mu.Lock()
	q.settleDown()
	q.mu.Unlock()
}

// close waits until nothing is in flight and the ring is closed. It returns the number of requests that
// are left after the time limit; then everything stays as it is.
func (q *queue) close(limit time.Duration) int {
	select {
	case <-q.finished:
		return 0
	case <-time.After(limit):
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return 0
	}
	return max(int(q.inFlight.Load())+q.waiting.n, 1)
}
