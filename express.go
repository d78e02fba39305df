package ringfile

import (
	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/outside"
)

// pass is what a short call holds while it runs: a reference to the descriptor and a permit. As a rule an express
// ticket is both; where there is none, they are taken one by one.
type pass struct {
	ticket limit.Ticket
	permit limit.Permit
}

// expressCalls is how many short calls a file has made before its next ones have tickets. Close, and who wants the
// position for himself, look for tickets from then on, which takes as long as a short call.
const expressCalls = 64

// enter admits a short call, which counts as one of s; name is used in the error.
func (t *target) enter(s *shortCalls, name string) (p pass, err error) {
	if t.shorts.Load() >= expressCalls {
		if p.ticket = s.Enter(t.id); p.ticket.OK() {
			if err = t.refused(name); err != nil {
				s.Leave(p.ticket, false, 0)
			}
			return p, err
		}
	} else {
		t.shorts.Add(1)
	}
	if err = t.begin(name); err == nil {
		p.permit = t.dev.calls.Acquire()
		p.permit.Note(limit.Unseen)
	}
	return p, err
}

// enterHere is enter for a call at the file position, which the kernel moves. Its ticket is a shared hold of the
// position, too: it is not admitted if somebody has or wants the position for himself.
func (t *target) enterHere(s *shortCalls) (p pass, ok bool) {
	if t.shorts.Load() < expressCalls {
		return p, false
	}
	if p.ticket = s.Enter(t.id + 1); !p.ticket.OK() {
		return p, false
	}
	if t.position.Wanted() || t.refused("") != nil {
		s.Leave(p.ticket, false, 0)
		return p, false
	}
	return p, true
}

// exit ends a call that moved n bytes, and counts it if it is done: if not, another is made in its place.
func (t *target) exit(s *shortCalls, p *pass, n int, done bool) {
	if p.ticket.OK() {
		s.Leave(p.ticket, done, n)
		return
	}
	if done {
		s.beside.Add(n)
	}
	t.dev.calls.Release(&p.permit)
	t.end()
}

// awaitShort gives a reference to the descriptor to the short calls in progress, if there are any. The descriptor is
// closed to others.
func (t *target) awaitShort() {
	if t.shorts.Load() < expressCalls {
		return
	}
	for _, s := range []*shortCalls{&t.dev.hits, &t.dev.plain} {
		for _, id := range []uint32{t.id, t.id + 1} {
			if s.Uses(id) {
				t.share()
				s.Await(id, func() { t.release() })
			}
		}
	}
}

// lockPosition gives the caller the position to itself, unless stop or late is closed first.
func (t *target) lockPosition(stop, late <-chan struct{}) bool {
	if !t.position.Lock(stop, late) {
		return false
	}
	if t.shorts.Load() < expressCalls {
		return true
	}
	for _, s := range []*shortCalls{&t.dev.hits, &t.dev.plain} {
		if s.Uses(t.id+1) && !t.awaitHere(s, stop, late) {
			t.position.Unlock()
			return false
		}
	}
	return true
}

// awaitHere waits until none of s is at the position, where no more are admitted.
func (t *target) awaitHere(s *shortCalls, stop, late <-chan struct{}) bool {
	gone := outside.Chan()
	defer outside.Free(gone)
	w := s.Await(t.id+1, func() { gone <- struct{}{} })
	select {
	case <-gone:
		return true
	case <-stop:
	case <-late:
	}
	if !s.Forget(w) {
		<-gone
	}
	return false
}
