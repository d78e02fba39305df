package ringfile

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSeats follows places into seats and back.
func TestSeats(t *testing.T) {
	const soft = few + 8
	l := newLimiter(soft, soft)
	state := func(want string, holders, unseated int) {
		t.Helper()
		if h, u := l.holders(), l.unseated(); h != holders || u != unseated {
			t.Fatalf("%s: %d calls and %d free seats, want %d and %d", want, h, u, holders, unseated)
		}
	}
	s := &l.seats[3]
	if s.sit(true) {
		t.Fatal("a seat before there was a place to put there")
	}
	l.acquire()
	l.leave(s)
	state("left", 0, 1)
	if !s.sit(true) {
		t.Fatal("no seat, though one is free")
	}
	if s.sit(true) {
		t.Error("the same seat twice")
	}
	state("taken", 1, 0)
	time.Sleep(time.Millisecond)
	if now := clock(); now-l.oldest(now) < int64(time.Millisecond) {
		t.Errorf("the call seems to have begun %d ns ago, want a millisecond or more", now-l.oldest(now))
	}
	l.stand(s)
	state("free again", 0, 1)
	if !s.sit(false) {
		t.Fatal("no seat, though one is free")
	}
	if now := clock(); l.oldest(now) != now {
		t.Error("a call that is not noted has an age")
	}
	l.stand(s)

	// The place in the seat is one of those that there are, and is found when it is the last.
	for range soft - 1 {
		l.acquire()
	}
	state("all but one", soft-1, 1)
	over := make(chan struct{})
	close(over)
	if !l.acquireUntil(over, nil) {
		t.Error("the place in the seat was not found")
	}
	state("all", soft, 0)
	if l.acquireUntil(over, nil) {
		t.Error("one place more than there are")
	}
	// Whoever waits gets the place that is left, and so no seat.
	got := make(chan struct{})
	go func() { l.acquire(); close(got) }()
	for waiting(l.state.Load()) == 0 {
		time.Sleep(time.Millisecond)
	}
	l.leave(s)
	<-got
	state("handed on", soft, 0)
	for range soft {
		l.leave(s)
	}
	state("all left", 0, 1)
	if n := l.drain(0); n != 0 || l.unseated() != 0 || l.state.Load() != 0 {
		t.Errorf("%d calls, %d free seats, state %#x are left", n, l.unseated(), l.state.Load())
	}
	// A call that has a seat is waited for.
	l.acquire()
	l.leave(s)
	if !s.sit(true) {
		t.Fatal("no seat, though one is free")
	}
	if n := l.drain(0); n != 1 {
		t.Errorf("%d calls are waited for, want the one that has a seat", n)
	}
	l.stand(s)

	small := newLimiter(few, few)
	small.acquire()
	small.leave(&small.seats[3])
	if small.unseated() != 0 {
		t.Error("a seat of a limiter that has no places to spare")
	}
}

// TestSeatsBound has callers of all kinds come and go: there are never more than the bound, nobody
// waits for ever, and no place is lost.
func TestSeatsBound(t *testing.T) {
	const soft = few + 1
	l := newLimiter(soft, soft)
	var now, most atomic.Int64
	var wg sync.WaitGroup
	for g := range 3 * soft {
		wg.Go(func() {
			for i := range 200 {
				s := l.seat()
				seated := s.sit(i%2 == 0)
				if !seated {
					l.acquire()
				}
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				for i == 0 && most.Load() < soft {
					time.Sleep(time.Millisecond)
				}
				if (i+g)%10 == 0 { // long enough for others to come
					time.Sleep(time.Microsecond)
				}
				now.Add(-1)
				switch {
				case seated:
					l.stand(s)
				case (i+g)%3 == 0:
					l.release()
				default:
					l.leave(s)
				}
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > soft {
		t.Errorf("%d calls ran at once, want %d at most", n, soft)
	}
	if n := l.drain(0); n != 0 || l.state.Load() != 0 {
		t.Errorf("%d calls, state %#x are left", n, l.state.Load())
	}
	over := make(chan struct{})
	close(over)
	for i := range soft {
		if !l.acquireUntil(over, nil) {
			t.Errorf("call %d was not admitted, want %d at once", i, soft)
		}
	}
	if l.acquireUntil(over, nil) {
		t.Error("one call too many was admitted")
	}
}

// TestSeatsGathered has a caller take the places of seats that others are just leaving, while somebody
// waits: who has waited gets one of them.
func TestSeatsGathered(t *testing.T) {
	for _, by := range []string{"a caller", "drain"} {
		const soft = few + 1
		l := newLimiter(soft, soft)
		l.patience = time.Hour
		for range soft {
			l.acquire()
		}
		one, two := &l.seats[1], &l.seats[2] // two of those have seats
		one.since.Store(untimed)
		two.since.Store(untimed)
		admitted := make(chan struct{})
		go func() { l.acquire(); close(admitted) }()
		for waiting(l.state.Load()) != 1 {
			time.Sleep(time.Millisecond)
		}
		one.since.Store(freeSeat) // they leave,
		two.since.Store(freeSeat)
		if by == "drain" {
			l.drain(0)
		} else {
			l.acquire()
		}
		l.yield(one) // and have left
		l.yield(two)
		select {
		case <-admitted:
		case <-time.After(10 * time.Second):
			t.Errorf("gathered by %s: one waits, though only %d of %d places are taken", by, running(l.state.Load()), soft)
		}
	}
}

// TestSeatsBeyond has places that were given to those who had waited, beyond the soft bound: they do not
// stay in seats, where others would take them who have not.
func TestSeatsBeyond(t *testing.T) {
	const soft = few + 1
	l := newLimiter(soft, 4*soft)
	l.patience = time.Millisecond
	for range soft + len(l.seats) {
		l.acquire()
	}
	for i := range l.seats {
		l.leave(&l.seats[i])
	}
	if n := l.unseated(); n != 0 {
		t.Errorf("%d places beyond the bound are for whoever comes", n)
	}
}
