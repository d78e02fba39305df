package ringfile

import "sync/atomic"

// seats are places of a limiter that stay with those who come often: who sits down finds a place, room
// to note when the call began, and counters, in one cache line that as a rule no other P uses. A call
// that is a copy in memory would otherwise spend a tenth of its time on what all calls share.
//
// A seat is empty, or it has a place, which the limiter counts as running: then it is free or taken.
// Free seats are there only while nobody waits for a place. Whoever is about to wait says so first
// and gathers the places of the free seats then; whoever leaves frees the seat first and looks then
// whether anybody waits. So one of the two sees the other.
type seats [32]seat

type seat struct {
	since      atomic.Int64  // emptySeat, freeSeat, or when the call began that has it
	ops, bytes atomic.Uint64 // of the calls that came by, seated or not
	_          [40]byte
}

const (
	emptySeat = 0
	freeSeat  = -1
	untimed   = 1 // when a call began that needs no note, as it cannot hang
)

// few is up to how many places a limiter has none to spare for seats.
const few = 64

// place is what a blocking call has while it runs.
type place struct {
	seat   *seat
	seated bool          // whether it has that seat, or else an ordinary place
	stamp  *atomic.Int64 // when it began, if it is noted here
}

// takePlace waits for a place, and notes when the call began if it is timed.
func (e *Engine) takePlace(timed bool) (p place) {
	p.seat = e.blocking.seat()
	if p.seated = p.seat.sit(timed); !p.seated {
		e.blocking.acquire()
		if timed {
			p.stamp = e.stats.stamps.begin()
		}
	}
	return p
}

// enterCall is takePlace for a call that is an operation, and counted as one.
func (e *Engine) enterCall() place {
	p := e.takePlace(true)
	p.count(0)
	return p
}

// count counts the call, which moved n bytes.
func (p *place) count(n int) {
	p.seat.ops.Add(1)
	if n > 0 {
		p.seat.bytes.Add(uint64(n))
	}
}

// leaveCall gives the place back.
func (e *Engine) leaveCall(p place) {
	if p.seated {
		e.blocking.stand(p.seat)
		return
	}
	e.stats.stamps.end(p.stamp)
	e.blocking.leave(p.seat)
}

// seat returns the seat to try. It may be another one at the next call, as it goes by where the caller's
// stack is.
func (l *limiter) seat() *seat { return &l.seats[shard(uintptr(len(l.seats)))] }

// sit takes the seat if it is free. Unless timed, it is not noted when.
func (s *seat) sit(timed bool) bool {
	if s.since.Load() != freeSeat {
		return false
	}
	began := int64(untimed)
	if timed {
		began = clock()
	}
	return s.since.CompareAndSwap(freeSeat, began)
}

// stand frees the seat that the caller has.
func (l *limiter) stand(s *seat) {
	s.since.Store(freeSeat)
	l.yield(s)
}

// leave is release for a place that may stay in s.
func (l *limiter) leave(s *seat) {
	// What is beyond the soft bound was for whoever had waited.
	state := l.state.Load()
	if l.soft <= few || waiting(state) > 0 || running(state) > l.soft || !s.since.CompareAndSwap(emptySeat, freeSeat) {
		l.release()
		return
	}
	l.yield(s)
}

// yield gives up a seat that has just become free if somebody waits.
func (l *limiter) yield(s *seat) {
	if waiting(l.state.Load()) > 0 && s.since.CompareAndSwap(freeSeat, emptySeat) {
		l.release()
	}
}

// gather takes the places of the free seats back, and returns how many those were.
func (l *limiter) gather() (n int) {
	for i := range l.seats {
		if l.seats[i].since.Load() == freeSeat && l.seats[i].since.CompareAndSwap(freeSeat, emptySeat) {
			n++
		}
	}
	if n > 0 {
		l.state.Add(-uint64(n) * oneRunning)
	}
	return n
}

// unseated returns the number of free seats.
func (l *limiter) unseated() (n int) {
	for i := range l.seats {
		if l.seats[i].since.Load() == freeSeat {
			n++
		}
	}
	return n
}

// oldest returns when the oldest timed call began that has a seat, or now.
func (l *limiter) oldest(now int64) int64 {
	for i := range l.seats {
		if t := l.seats[i].since.Load(); t > untimed {
			now = min(now, t)
		}
	}
	return now
}

// counted returns the operations and bytes that were counted at seats.
func (l *limiter) counted() (ops, bytes uint64) {
	for i := range l.seats {
		ops += l.seats[i].ops.Load()
		bytes += l.seats[i].bytes.Load()
	}
	return ops, bytes
}
