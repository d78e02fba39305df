package ringfile

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/ringfile/ringfile/internal/count"
	"github.com/ringfile/ringfile/internal/outside"
)

// syncs is where callers wait that want a file synced while it is being synced: the next sync serves
// all of them. It begins after they have asked for it, and so covers every write that had returned by
// then, as a sync of their own would.
//
// The kernel reports a failed write of data once per open file, to the sync that finds it. So a sync
// that fails has also failed for those that wait for the next one, and for those served by one that
// runs concurrently: their data may have been part of it.
type syncs struct {
	mu      sync.Mutex
	running int      // syncs under way, or about to be
	waiting requests // for the next one; their completers are syncing
	failed  int      // syncs that failed
	err     error    // of the last of them

	// made holds the running syncs, until it is known whether they failed, and who waits for that.
	made [maxSyncs]struct {
		busy bool
		wake []chan struct{}
	}

	shared *count.Counter // of the engine: those that had part in one made for others
}

// maxSyncs is how many syncs of a file run at a time. Two, so that two callers that sync do not wait
// for each other: file systems commit both at once.
const maxSyncs = 2

// syncMaker is the file.
type syncMaker interface {
	makeSync(code opcode) error
	refused(name string) error // it is closed, or its engine
}

// syncing is a caller that waits for a sync.
type syncing interface {
	completer
	over() cause  // why it does not want one any more
	synced(error) // ends it
	giveUp(cause) // ends it
}

// now makes a sync for its caller, if that is possible without waiting for others.
func (s *syncs) now(file syncMaker, code opcode) (ok bool, err error) {
	s.mu.Lock()
	if s.running == maxSyncs {
		s.mu.Unlock()
		return false, nil
	}
	s.running++
	err = s.makeAndUnlock(file, code, false)
	s.mu.Lock()
	more := s.waiting.n > 0
	if !more {
		s.running--
	}
	s.mu.Unlock()
	if more {
		outside.Go(func() { s.serve(file) })
	}
	return true, err
}

// later makes a request part of the next sync.
func (s *syncs) later(file syncMaker, req *request, w syncing) {
	req.to = w
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
		outside.Go(func() { s.serve(file) }) // it may serve the callers of several bubbles of tests
	}
}

// serve makes syncs until nobody waits for one.
func (s *syncs) serve(file syncMaker) {
	labelGoroutine("sync")
	for {
		s.mu.Lock()
		round := s.waiting
		if s.waiting = (requests{}); round.n == 0 {
			s.running--
			s.mu.Unlock()
			return
		}
		code := opFdatasync
		for r := round.head; r != nil; r = r.next {
			if r.code == opFsync {
				code = opFsync
			}
		}
		err := s.makeAndUnlock(file, code, true)
		s.shared.Add(uint64(round.n - 1))
		round.synced(err)
	}
}

// makeAndUnlock makes a sync, and notifies those that wait for the next one if it fails. mu is held
// when it is called, so that no failure is missed between deciding whom the sync serves and making it.
// A shared sync waits for concurrent ones: the kernel may have reported to them a failure that it would
// have reported to this one. A sync that its caller makes for itself returns what os would return.
func (s *syncs) makeAndUnlock(file syncMaker, code opcode, shared bool) error {
	before, own := s.failed, 0
	for s.made[own].busy {
		own++
	}
	m := &s.made[own]
	m.busy = true
	s.mu.Unlock()

	err := file.refused(code.name())
	if err == nil {
		err = file.makeSync(code)
	}
	var gone requests
	s.mu.Lock()
	if err != nil && !wasGivenUp(err) {
		s.failed++
		s.err = err
		gone, s.waiting = s.waiting, requests{}
	}
	m.busy = false
	for _, ch := range m.wake {
		ch <- struct{}{}
	}
	m.wake = m.wake[:0]
	if err == nil && shared {
		s.waitBeside(own)
	}
	if err == nil && s.failed != before {
		err = s.err
	}
	s.mu.Unlock()
	gone.synced(err)
	return err
}

// waitBeside waits until it is known whether the syncs have failed that ran concurrently with one that
// has ended. mu is held on entry and on return.
func (s *syncs) waitBeside(own int) {
	for i := range s.made {
		if i == own || !s.made[i].busy {
			continue
		}
		ch := outside.Chan()
		s.made[i].wake = append(s.made[i].wake, ch)
		s.mu.Unlock()
		<-ch
		outside.Free(ch)
		s.mu.Lock()
	}
}

// wasGivenUp reports whether a sync ended because it was cancelled, and so says nothing about the disk.
func wasGivenUp(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrClosed) || errors.Is(err, ErrEngineClosed)
}

// synced ends all requests of a list whose sync ended with err.
func (l *requests) synced(err error) {
	for l.n > 0 {
		l.pop().to.(syncing).synced(err)
	}
}

// dismiss cancels the requests that match and wait for the next sync, because of why.
func (s *syncs) dismiss(match func(*request) bool, why cause) {
	s.mu.Lock()
	gone := s.waiting.take(match)
	s.mu.Unlock()
	for gone.n > 0 {
		gone.pop().to.(syncing).giveUp(why)
	}
}
