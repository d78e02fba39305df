package ringfile

import "github.com/ringfile/ringfile/internal/limit"

// pass is what a short call holds while it runs: a reference to the descriptor and a permit. As a rule an express
// ticket is both; where there is none, they are taken one by one.
type pass struct {
	ticket limit.Ticket
	permit limit.Permit
}

// enter admits a short call, which counts as one of s; name is used in the error.
func (t *target) enter(s *shortCalls, name string) (p pass, err error) {
	if p.ticket = s.Enter(t.id); !p.ticket.OK() {
		if err = t.begin(name); err == nil {
			p.permit = t.dev.calls.Acquire()
			p.permit.Note(clock())
		}
		return p, err
	}
	if err = t.refused(name); err != nil {
		s.Leave(p.ticket, t.id, false, 0)
	}
	return p, err
}

// exit ends a call that moved n bytes, and counts it if it is done: if not, another is made in its place.
func (t *target) exit(s *shortCalls, p *pass, n int, done bool) {
	if p.ticket.OK() {
		s.Leave(p.ticket, t.id, done, n)
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
	for _, s := range []*shortCalls{&t.dev.hits, &t.dev.plain} {
		if s.Uses(t.id) {
			t.share()
			s.Await(t.id, func() { t.release() })
		}
	}
}
