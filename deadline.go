package ringfile

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfile/ringfile/internal/ctxerr"
)

// deadline is the moment after which one direction of a file fails.
type deadline struct {
	armed atomic.Bool // there is one, passed or not

	mu     sync.Mutex
	at     time.Time // of a file whose deadlines are up to os
	timer  *time.Timer
	passed chan struct{} // closed at the moment; made anew when a later one is set after that
	turn   uint64        // tells a timer that was replaced while it fired
}

// set makes t the deadline; the zero time means none. When t passes, it closes passed and then calls
// fire with mu held, so that operations that start after the next set are not affected.
func (d *deadline) set(t time.Time, fire func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if t.IsZero() {
		d.armed.Store(false)
		return
	}
	d.armed.Store(true)
	if d.passed == nil || isClosed(d.passed) {
		d.passed = make(chan struct{})
	}
	wait := time.Until(t)
	if wait <= 0 {
		close(d.passed)
		fire()
		return
	}
	turn := d.turn
	d.timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.turn == turn {
			close(d.passed)
			fire()
		}
	})
}

// late returns a channel that is closed when the deadline has passed, nil if there is none.
func (d *deadline) late() <-chan struct{} {
	if !d.armed.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

// until is what ends a wait early: a context and a deadline.
type until struct {
	ctx  context.Context
	stop <-chan struct{} // of ctx
	late <-chan struct{} // of the deadline
}

// err returns the reason if the wait has ended, and its kind.
func (u *until) err() (cause, error) {
	switch {
	case isClosed(u.stop):
		return byCaller, ctxerr.Of(u.ctx)
	case isClosed(u.late):
		return byDeadline, os.ErrDeadlineExceeded
	}
	return notCancelled, nil
}

// never reports whether nothing can end the wait.
func (u *until) never() bool { return u.stop == nil && u.late == nil }

// isClosed reports whether c, which may be nil, is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
