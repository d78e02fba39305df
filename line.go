package ringfile

import (
	"sync"

	"github.com/ringfile/ringfile/internal/outside"
)

// line is the queue of writes to one file that are system calls and whose callers may leave: one
// goroutine makes them, in the order of arrival. File systems normally serialize writes to a file
// anyway. This way no write starves, a device that hangs holds one thread, and a write that has not
// begun can be dropped at once.
type line struct {
	mu      sync.Mutex
	waiting requests // whose completers are lined
	running bool     // the goroutine is there
}

// lined is a queued write.
type lined interface {
	completer
	over() cause    // why it is not to be started any more
	giveUp(cause)   // ends it
	writeBlocking() // makes the write, and ends it
}

// push queues a write, or cancels it if it comes too late.
func (l *line) push(req *request, w lined) {
	req.to = w
	l.mu.Lock()
	// Whoever has given it up since it was started has not seen it here.
	if why := w.over(); why != notCancelled {
		l.mu.Unlock()
		w.giveUp(why)
		return
	}
	l.waiting.push(req)
	start := !l.running
	l.running = true
	l.mu.Unlock()
	if start {
		outside.Go(l.serve) // it may serve the callers of several bubbles of tests
	}
}

// serve makes the writes until none are left.
func (l *line) serve() {
	labelGoroutine("writer")
	for {
		l.mu.Lock()
		if l.waiting.n == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		w := l.waiting.pop().to.(lined)
		l.mu.Unlock()
		w.writeBlocking()
	}
}

// dismiss cancels the writes that match and have not begun, because of why.
func (l *line) dismiss(match func(*request) bool, why cause) {
	l.mu.Lock()
	gone := l.waiting.take(match)
	l.mu.Unlock()
	for gone.n > 0 {
		gone.pop().to.(lined).giveUp(why)
	}
}
