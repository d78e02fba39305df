package ringfile

import (
	"sync"
	"sync/atomic"
	"time"
)

// limiter bounds how many goroutines are in a blocking system call, each of which holds an OS
// thread: the Go runtime ends the program at 10,000 threads.
//
// Up to soft calls run at once. A caller that has waited for a while, patience to twice that, goes
// ahead while fewer than hard are running: calls that wait for one another (a FIFO being opened at
// both ends, a FUSE server in this very process) would otherwise lock each other out.
//
// A place that becomes free goes to whoever is first, not to the one that has waited longest, who
// is only woken up. Handing it over looks fairer and costs a goroutine switch for each call, from
// the moment on at which all places are taken once (docs/decisions.md).
type limiter struct {
	soft, hard uint32
	patience   time.Duration

	// state packs the places that are taken (low half: by calls that run, and in seats) and how many wait
	// for one (high half: in the queue, about to be there, or draining).
	state atomic.Uint64
	slow  atomic.Int32 // callers in acquireSlow

	_     [64]byte // everybody reads state
	seats seats

	mu      sync.Mutex
	queue   queue[*turn] // those that wait
	clock   *time.Timer  // calls impatient every patience while somebody waits
	ticking bool
	round   uint64 // of the clock
}

// turn is the place of one caller in the queue.
type turn struct {
	wake     chan struct{} // one element
	round    uint64        // of the limiter when the caller came
	overtook bool          // it was woken up with a place, beyond the soft bound
}

var turns = sync.Pool{New: func() any { return &turn{wake: make(chan struct{}, 1)} }}

const (
	oneRunning = 1
	oneWaiting = 1 << 32

	minusOneRunning = ^uint64(oneRunning - 1)
	minusOneWaiting = ^uint64(oneWaiting - 1)
)

func newLimiter(soft, hard int) *limiter {
	return &limiter{soft: uint32(soft), hard: uint32(max(soft, hard)), patience: 25 * time.Millisecond}
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
	l.slow.Add(1)
	defer l.slow.Add(-1)
	t := turns.Get().(*turn)
	defer turns.Put(t)
	t.overtook = false
	for woken := false; !l.acquireOrQueue(t, woken); woken = true {
		if stop == nil && late == nil {
			<-t.wake
		} else {
			select {
			case <-t.wake:
			case <-stop:
			case <-late:
			}
			if closed(stop) || closed(late) {
				return l.giveUp(t)
			}
		}
		if t.overtook {
			return true
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

// acquireOrQueue takes a place if there is one, or else puts t in the queue: in front if woken tells
// that it was there before.
func (l *limiter) acquireOrQueue(t *turn, woken bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	gathered := 0
	for {
		s := l.state.Load()
		if running(s) < l.soft {
			if l.state.CompareAndSwap(s, s+oneRunning) {
				// Whoever has left those seats meanwhile wakes nobody, as it finds them empty.
				for range gathered - 1 {
					l.wake()
				}
				return true
			}
		} else if l.state.CompareAndSwap(s, s+oneWaiting) {
			if n := l.gather(); n > 0 {
				gathered += n
				l.state.Add(minusOneWaiting)
				continue
			}
			if woken {
				l.queue.pushFront(t)
			} else {
				t.round = l.round
				l.queue.push(t)
			}
			l.tick()
			return false
		}
	}
}

// tick starts the clock if it does not run. mu is held.
func (l *limiter) tick() {
	switch {
	case l.ticking:
		return
	case l.clock == nil:
		l.clock = time.AfterFunc(l.patience, l.impatient)
	default:
		l.clock.Reset(l.patience)
	}
	l.ticking = true
}

// impatient lets those run beyond the soft bound, while the hard one is not reached, that have
// waited for a whole round of the clock.
func (l *limiter) impatient() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.queue.len() > 0 && (*l.queue.at(0)).round != l.round && l.overtake() {
		t := l.queue.pop()
		t.overtook = true
		t.wake <- struct{}{}
	}
	l.round++
	l.ticking = false
	if l.queue.len() > 0 {
		l.tick()
	}
}

// overtake makes one that waits one that runs, if the hard bound allows it. mu is held.
func (l *limiter) overtake() bool {
	for {
		s := l.state.Load()
		if running(s) >= l.hard {
			return false
		}
		if l.state.CompareAndSwap(s, s-oneWaiting+oneRunning) {
			return true
		}
	}
}

// giveUp ends the wait of t. It reports whether t has got a place in the meantime.
func (l *limiter) giveUp(t *turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.remove(t) {
		l.state.Add(minusOneWaiting)
		return false
	}
	select {
	case <-t.wake:
	default: // received already
	}
	if t.overtook {
		return true
	}
	l.wake() // on behalf of the wake-up that was ours
	return false
}

// release gives the place back and wakes up the caller that has waited longest, if there is one.
func (l *limiter) release() {
	s := l.state.Add(minusOneRunning)
	if waiting(s) > 0 && running(s) < l.soft {
		l.mu.Lock()
		l.wake()
		l.mu.Unlock()
	}
}

// wake wakes up the caller that has waited longest if there is a place. mu is held.
func (l *limiter) wake() {
	if l.queue.len() > 0 && running(l.state.Load()) < l.soft {
		l.state.Add(minusOneWaiting)
		l.queue.pop().wake <- struct{}{}
	}
}

// holders reports how many calls hold a place now. While calls come and go it is an estimate.
func (l *limiter) holders() int { return max(int(running(l.state.Load()))-l.unseated(), 0) }

// drain waits until no call holds a place or waits for one, or limit has passed, and returns how
// many still do.
func (l *limiter) drain(limit time.Duration) int {
	l.state.Add(oneWaiting) // so that no place stays in a seat
	defer l.state.Add(minusOneWaiting)
	if n := l.gather(); n > 0 {
		l.mu.Lock()
		for range n { // as in acquireOrQueue
			l.wake()
		}
		l.mu.Unlock()
	}
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if left := l.present(); left == 0 || time.Now().After(end) {
			return left
		}
	}
}

// present returns how many calls hold a place or wait for one; some may be counted twice. Who takes a
// place after a wait is running before it is no longer slow.
func (l *limiter) present() int {
	waiting := int(l.slow.Load())
	return waiting + int(running(l.state.Load()))
}

// free reports whether a call would not have to wait; it may not be told so when places are in seats.
func (l *limiter) free() bool { return running(l.state.Load()) < l.soft }
