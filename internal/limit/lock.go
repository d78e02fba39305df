package limit

import (
	"sync"
	"sync/atomic"
)

// Lock is a readers-writer lock, first come, first served once somebody has to wait, whose waiting can
// be given up. A shared hold of a lock that nobody wants for himself costs one atomic operation.
//
// state has the number of shared holds, and two flags above it: exclusive while somebody has the lock for
// himself, contended while somebody waits. Both flags are changed with mu held only.
type Lock struct {
	state atomic.Int32
	mu    sync.Mutex
	queue queue
}

const (
	exclusive = 1 << 30
	contended = 1 << 29
)

// Wanted reports whether somebody has the lock for himself, or waits.
func (l *Lock) Wanted() bool { return l.state.Load() >= contended }

// RLock takes a shared hold.
func (l *Lock) RLock() {
	if l.state.Add(1) < contended {
		return
	}
	l.state.Add(-1)
	l.wait(true, nil, nil)
}

// RUnlock ends a shared hold.
func (l *Lock) RUnlock() {
	if l.state.Add(-1) == contended {
		l.next()
	}
}

// Lock takes the lock for the caller alone, unless stop or late is closed first; it reports whether the
// caller has it.
func (l *Lock) Lock(stop, late <-chan struct{}) bool {
	if l.state.CompareAndSwap(0, exclusive) {
		return true
	}
	return l.wait(false, stop, late)
}

// Unlock gives the lock back.
func (l *Lock) Unlock() {
	if l.state.CompareAndSwap(exclusive, 0) {
		return
	}
	l.mu.Lock()
	l.state.Add(-exclusive)
	l.grant()
	l.mu.Unlock()
}

func (l *Lock) wait(shared bool, stop, late <-chan struct{}) bool {
	w := newWaiter()
	defer w.free()
	w.shared = shared
	l.mu.Lock()
	l.queue.push(w)
	l.state.Or(contended)
	l.grant() // it may have become free meanwhile
	l.mu.Unlock()
	if w.park(stop, late) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.remove(w) {
		l.grant() // those behind may share what it did not want to
		return false
	}
	<-w.wake
	return true
}

// next admits those whose turn it is.
func (l *Lock) next() {
	l.mu.Lock()
	l.grant()
	l.mu.Unlock()
}

// grant admits all that can be admitted, in order. mu is held.
//
// A shared hold that is being taken and released again in RLock counts for a moment; when it goes,
// RLock has seen the flag, waits, and so comes here.
func (l *Lock) grant() {
	for w := l.queue.first(); w != nil; w = l.queue.first() {
		s := l.state.Load()
		switch {
		case s&exclusive != 0, !w.shared && s&^contended != 0:
			return
		case w.shared:
			l.state.Add(1)
		case !l.state.CompareAndSwap(s, s|exclusive):
			continue
		}
		l.queue.pop()
		w.wake <- struct{}{}
	}
	l.state.And(^contended)
}
