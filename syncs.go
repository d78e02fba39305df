package ringfile

import (
	"sync"

	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/route"
)

// syncs is where those wait who want a file synced while it is being synced: the next sync is made for all of
// them. It begins after they have asked for it, and so covers every write that had returned by then, as one of
// their own would.
//
// The kernel reports that data could not be written once for each open file, to the sync that finds out. So a
// sync that fails has failed for all that run beside it, and for those that wait for the next one: their data
// may have been part of it.
type syncs struct {
	mu      sync.Mutex
	running int      // syncs under way
	waiting requests // for the next one; their completers are syncing
	failed  int      // syncs that failed
	err     error    // of the last of them
}

// maxSyncs is how many syncs of a file are under way at a time. Two, so that two who sync do not wait for each
// other: file systems commit both at once.
const maxSyncs = 2

// syncing is who waits for a sync.
type syncing interface {
	completer
	over() cause  // why it does not want one any more
	synced(error) // ends it
	giveUp(cause) // ends it
}

// sharesSyncs reports whether a sync of the file waits for something: else sharing it costs more than it saves.
func (t *target) sharesSyncs() bool { return t.Stored && t.dev.facts.memory.Get() == route.No }

// sync carries out op, a sync, or has part in one. The caller has called begin.
func (t *target) sync(op *operation) error {
	t.engine.stats.syncs.Add(1)
	if !t.sharesSyncs() {
		_, err := t.perform(op)
		return err
	}
	s := &t.syncs
	s.mu.Lock()
	if s.running < maxSyncs {
		s.running++
		s.mu.Unlock()
		err := t.syncNow(op)
		t.next()
		return err
	}
	s.mu.Unlock()
	p := newParked(op, 0)
	t.syncLater(&p.request, p)
	<-p.done
	err := p.err
	p.free()
	return err
}

// syncLater has a request have part in the next sync.
func (t *target) syncLater(req *request, w syncing) {
	req.to = w
	s := &t.syncs
	s.mu.Lock()
	// Whoever has given it up since it was started has not seen it here.
	if why := w.over(); why != notCancelled {
		s.mu.Unlock()
		w.giveUp(why)
		return
	}
	s.waiting.push(req)
	start := s.running < maxSyncs
	if start {
		s.running++
	}
	s.mu.Unlock()
	if start {
		outside.Go(t.serveSyncs) // it may serve the callers of several bubbles of tests
	}
}

// next ends a sync of one who does not make the next one.
func (t *target) next() {
	s := &t.syncs
	s.mu.Lock()
	more := s.waiting.n > 0
	if !more {
		s.running--
	}
	s.mu.Unlock()
	if more {
		outside.Go(t.serveSyncs)
	}
}

// serveSyncs makes syncs until nobody waits for one.
func (t *target) serveSyncs() {
	labelGoroutine("sync")
	s := &t.syncs
	for {
		s.mu.Lock()
		round := s.waiting
		if s.waiting = (requests{}); round.n == 0 {
			s.running--
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		op := operation{code: opFdatasync, desc: &t.descriptor}
		for r := round.head; r != nil; r = r.next {
			if r.code == opFsync {
				op.code = opFsync
			}
		}
		t.engine.stats.sharedSyncs.Add(uint64(round.n - 1))
		err := t.refused(op.code.name())
		if err == nil {
			err = t.syncNow(&op)
		}
		round.synced(err)
	}
}

// syncNow makes a sync, and tells those who wait for the next one if it fails.
func (t *target) syncNow(op *operation) error {
	s := &t.syncs
	s.mu.Lock()
	before := s.failed
	s.mu.Unlock()
	err := t.makeSync(op)
	var gone requests
	s.mu.Lock()
	switch {
	case err != nil:
		s.failed++
		s.err = err
		gone, s.waiting = s.waiting, requests{}
	case s.failed != before:
		err = s.err
	}
	s.mu.Unlock()
	gone.synced(err)
	return err
}

// A goroutine that is parked until a sync is made.

func (p *parked) over() cause {
	if p.desc.closed() {
		return byFileClose
	}
	return notCancelled
}

func (p *parked) synced(err error) {
	p.err = err
	p.done <- struct{}{}
}

func (p *parked) giveUp(why cause) { p.synced(p.desc.wrap(p.code.name(), why.err(nil))) }

// onSync, if a test has set it, is called before each sync that is shared: it may have it fail, and what it returns
// is called when the sync has ended.
var onSync func() (ended func(), err error)

// makeSync makes the system call, or its like on a ring.
func (t *target) makeSync(op *operation) error {
	if onSync != nil {
		ended, err := onSync()
		if err != nil {
			return err
		}
		defer ended()
	}
	_, err := t.perform(op)
	return err
}

// synced ends all of a line whose sync ended with err.
func (l *requests) synced(err error) {
	for l.n > 0 {
		l.pop().to.(syncing).synced(err)
	}
}

// dismiss gives up those that match and wait for the next sync, on behalf of why.
func (s *syncs) dismiss(match func(*request) bool, why cause) {
	s.mu.Lock()
	gone := s.waiting.take(match)
	s.mu.Unlock()
	for gone.n > 0 {
		gone.pop().to.(syncing).giveUp(why)
	}
}
