package ringfile

import (
	"sync"
	"sync/atomic"
	"time"
)

// limiter bounds how many goroutines are in a blocking system call, each of which holds an OS
// thread: the Go runtime ends the program at 10,000 threads.
//
// Up to soft calls run at once. A caller that has waited for patience goes ahead while fewer than
// hard are running: calls that wait for one another (a FIFO being opened at both ends, a FUSE
// server in this very process) would otherwise lock each other out.
//
// A place that becomes free goes to whoever is first, not to the one that has waited longest, who
// is only woken up. Handing it over looks fairer and costs a goroutine switch for each call, from
// the moment on at which all places are taken once (docs/decisions.md).
type limiter struct {
	soft, hard uint32
	patience   time.Duration

	// state packs the calls that are running (low half) and those that wait (high half).
	state atomic.Uint64

	mu    sync.Mutex
	queue queue[*turn] // those that wait
}

// turn is the place of one caller in the queue.
type turn struct {
	woken chan struct{} // one element
	timer *time.Timer
}

var turns = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &turn{woken: make(chan struct{}, 1), timer: t}
}}

const (
	oneRunning = 1
	oneWaiting = 1 << 32
)

func newLimiter(soft, hard int) *limiter {
	return &limiter{soft: uint32(soft), hard: uint32(max(soft, hard)), patience: 50 * time.Millisecond}
}

func running(state uint64) uint32 { return uint32(state) }
func waiting(state uint64) uint32 { return uint32(state >> 32) }

// acquire waits for a place.
func (l *limiter) acquire() { l.acquireUntil(nil, nil) }

// acquireUntil waits for a place until stop or late is closed; it reports whether it got one.
func (l *limiter) acquireUntil(stop, late <-chan struct{}) bool {
	for {
		s := l.state.Load()
		if running(s) >= l.soft {
			return l.acquireSlow(stop, late)
		}
		if l.state.CompareAndSwap(s, s+oneRunning) {
			return true
		}
	}
}

func (l *limiter) acquireSlow(stop, late <-chan struct{}) bool {
	t := turns.Get().(*turn)
	defer turns.Put(t)
	t.timer.Reset(l.patience)
	defer t.timer.Stop()
	for !l.acquireOrQueue(t) {
		select {
		case <-t.woken:
			continue
		case <-t.timer.C:
			if l.overtake(t) {
				return true
			}
			t.timer.Reset(l.patience)
		case <-stop:
		case <-late:
		}
		if !l.leave(t) {
			<-t.woken
		}
		if closed(stop) || closed(late) {
			l.mu.Lock()
			l.wake() // on behalf of the wake-up that may have been ours
			l.mu.Unlock()
			return false
		}
	}
	return true
}

// closed reports whether c, which may be nil, is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// acquireOrQueue takes a place if there is one, or else puts t in the queue.
func (l *limiter) acquireOrQueue(t *turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		s := l.state.Load()
		if running(s) < l.soft {
			if l.state.CompareAndSwap(s, s+oneRunning) {
				return true
			}
		} else if l.state.CompareAndSwap(s, s+oneWaiting) {
			l.queue.push(t)
			return false
		}
	}
}

// overtake lets t run beyond the soft bound, unless the hard one is reached or t has been woken up
// in the meantime.
func (l *limiter) overtake(t *turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if running(l.state.Load()) >= l.hard || !l.queue.remove(t) {
		return false
	}
	l.state.Add(^uint64(oneWaiting - oneRunning - 1)) // from waiting to running
	return true
}

// leave takes t out of the queue; it reports false if t has been woken up in the meantime.
func (l *limiter) leave(t *turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.queue.remove(t) {
		return false
	}
	l.state.Add(^uint64(oneWaiting - 1)) // minus one
	return true
}

// release gives the place back and wakes up the caller that has waited longest, if there is one.
func (l *limiter) release() {
	s := l.state.Add(^uint64(oneRunning - 1)) // minus one
	if waiting(s) > 0 && running(s) < l.soft {
		l.mu.Lock()
		l.wake()
		l.mu.Unlock()
	}
}

// wake wakes up the caller that has waited longest if there is a place. mu is held.
func (l *limiter) wake() {
	if l.queue.len() > 0 && running(l.state.Load()) < l.soft {
		l.state.Add(^uint64(oneWaiting - 1)) // minus one
		l.queue.pop().woken <- struct{}{}
	}
}

// holders reports how many calls hold a place now.
func (l *limiter) holders() int { return int(running(l.state.Load())) }

// drain waits until no call holds a place or waits for one, or limit has passed, and returns how
// many still do.
func (l *limiter) drain(limit time.Duration) int {
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		s := l.state.Load()
		if left := int(running(s) + waiting(s)); left == 0 || time.Now().After(end) {
			return left
		}
	}
}
