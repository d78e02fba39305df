package ringfile

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/ringfile/ringfile/internal/outside"
)

// leftWrites are the abandoned writes to a file that may still reach it. A newer write to the same
// range waits for them: it must not be overwritten by them once it has been acknowledged.
type leftWrites struct {
	n atomic.Int32

	mu   sync.Mutex
	all  []*leftWrite
	wake []chan struct{} // of those that wait
}

// leftWrite is the range of a write. One that appends, or is at the position, may be anywhere.
type leftWrite struct {
	of       *request // which does not wait for itself
	off, end int64
	position bool // it needs the position, which those who wait may have
}

func placeOf(op *operation, append bool) leftWrite {
	if op.off == offCurrent || append {
		return leftWrite{end: math.MaxInt64}
	}
	return leftWrite{off: op.off, end: op.off + int64(op.want()) + op.length}
}

func (l *leftWrites) any() bool { return l.n.Load() > 0 }

func (l *leftWrites) add(w *leftWrite) {
	l.mu.Lock()
	l.all = append(l.all, w)
	l.n.Add(1)
	l.mu.Unlock()
}

func (l *leftWrites) remove(w *leftWrite) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.all {
		if l.all[i] == w {
			l.all = append(l.all[:i], l.all[i+1:]...)
			l.n.Add(-1)
			break
		}
	}
	l.wakeAll()
}

// wakeAll makes all waiters look again. mu is held.
func (l *leftWrites) wakeAll() {
	for _, ch := range l.wake {
		ch <- struct{}{}
	}
	l.wake = l.wake[:0]
}

// poke makes waiters check whether they have been cancelled.
func (l *leftWrites) poke() {
	if l.any() {
		l.mu.Lock()
		l.wakeAll()
		l.mu.Unlock()
	}
}

// idle reports whether a write was abandoned while it waited for the position: it checks for that when
// it gets the position, and does not begin.
func (w *leftWrite) idle() bool {
	return w.position && w.of.gaveUp.Load() != uint32(notCancelled) && !w.of.begun.Load()
}

// wait waits until no abandoned write overlaps op, or op has been cancelled; it returns false if u ends
// first.
func (l *leftWrites) wait(op *operation, u until, gaveUp *atomic.Uint32) bool {
	for l.any() {
		l.mu.Lock()
		if gaveUp != nil && gaveUp.Load() != 0 {
			l.mu.Unlock()
			return true
		}
		place := placeOf(op, op.desc.Append)
		found := false
		for _, w := range l.all {
			found = found || &w.of.operation != op && w.off < place.end && place.off < w.end && !w.idle()
		}
		if !found {
			l.mu.Unlock()
			return true
		}
		ch := outside.Chan()
		l.wake = append(l.wake, ch)
		l.mu.Unlock()
		select {
		case <-ch:
			outside.Free(ch)
		case <-u.stop:
			l.forget(ch)
			return false
		case <-u.late:
			l.forget(ch)
			return false
		}
	}
	return true
}

// forget ends the wait at ch.
func (l *leftWrites) forget(ch chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.wake {
		if l.wake[i] == ch {
			l.wake = append(l.wake[:i], l.wake[i+1:]...)
			outside.Free(ch)
			return
		}
	}
	<-ch
	outside.Free(ch)
}
