package ringfile

import (
	"context"
	"syscall"
)

// submit has the kernel carry out the links, whose files are in use, as one chain, and waits until
// it is done with them. The links have the outcome then; those that were not submitted are as they
// were.
func (c *Chain) submit(links []*link) {
	r := c.ringFor(links[0])
	if r == nil {
		return // the engine has been closed: settle finds that out
	}
	c.mu.Lock()
	c.ring = r
	c.mu.Unlock()
	var unwatch func()
	if c.stop != nil {
		unwatch = c.watch()
	}
	n, lead := r.startChain(links, c.stop)
	if n > 0 {
		if c.late(links[:n]) {
			// Whoever cancelled may not have seen these links. A leader must not wait for room for
			// a cancellation, as nobody reaps meanwhile.
			if lead {
				r.handOver()
				lead = false
			}
			c.recheck(r, links[:n])
		}
		if lead {
			r.leadChain(c)
		}
		<-c.wake
	}
	if unwatch != nil {
		unwatch()
	}
}

// watch cancels what is in flight when the context ends.
func (c *Chain) watch() (unwatch func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(c.ctx, func() {
		c.cancelled.Store(true)
		c.cancelFlying()
		close(ended)
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

// cancelFlying cancels the requests of the chain.
func (c *Chain) cancelFlying() {
	c.mu.Lock()
	r := c.ring
	c.mu.Unlock()
	r.cancelAll(func(req *request) bool {
		l, ok := req.promise.(*link)
		return ok && l.chain == c && l.op.code != opCloseDirect // it would leave the file open
	}, byCaller)
}

// late reports whether a context or a deadline may have ended while the links were being published.
func (c *Chain) late(links []*link) bool {
	if c.cancelled.Load() {
		return true
	}
	for _, l := range links {
		if f := l.op.file; f != nil && f.deadlineOf(l.op.code).mayHavePassed() {
			return true
		}
	}
	return false
}

// recheck cancels what late has found.
func (c *Chain) recheck(r *ring, links []*link) {
	if c.cancelled.Load() {
		c.cancelFlying()
	}
	for _, l := range links {
		if f, code := l.op.file, l.op.code; f != nil && f.deadlineOf(code).hasPassed() {
			r.cancelFile(f, func(c opcode) bool { return c.reads() == code.reads() }, byDeadline)
		}
	}
}

// flying returns how many links are in the ring.
func (c *Chain) flying() int { return int(c.inFlight.Load()) }

// published counts the link. All of a chain are counted before the first can be completed, as the
// kernel sees them together.
func (l *link) published(*request, uint64) { l.chain.inFlight.Add(1) }

// fulfil takes the outcome from the reaper, or from the caller that leads.
func (l *link) fulfil(n int, errno syscall.Errno, why cause) {
	l.moved = n - l.n
	l.n, l.errno, l.why = n, errno, why
	l.ran = true
	if l.chain.inFlight.Add(-1) == 0 {
		l.chain.wake <- struct{}{}
	}
}

// closedSince reports whether the file has been closed since its use began.
func (l *link) closedSince() bool {
	return l.op.file != nil && l.op.file.life.closed()
}

// settle looks at what became of links that have been submitted, in order, finishes what the kernel
// has left undone without an error that is final, and returns the error of the one that broke the
// chain. Where the kernel stopped, the next segment goes on.
func (c *Chain) settle(links []*link) error {
	for i, l := range links {
		stopped := !l.ran
		switch {
		case !l.ran:
			if i > 0 {
				return nil
			}
			l.untaken()
		case l.errno != 0 && (l.why != notCancelled || !l.op.file.retreats(l.errno)):
			l.fail(l.errno, l.why)
		case l.errno != 0:
			stopped = true
			l.block()
		case l.moved > 0 && l.n < l.op.want():
			if !l.anyway {
				forget(links[i:])
				return nil
			}
			l.block()
		default:
			l.fail(0, notCancelled)
		}
		err := c.passed(l)
		if err != nil || stopped && !l.anyway {
			forget(links[i+1:])
			return err
		}
	}
	return nil
}

// untaken finishes a link that no ring has taken.
func (l *link) untaken() {
	if closed(l.chain.stop) {
		l.fail(syscall.ECANCELED, byCaller)
	} else if l.err = l.op.file.refused(l.op.code.word()); l.err == nil {
		l.block()
	}
}

// forget makes links what they were before they were submitted, as they have not been carried out.
func forget(links []*link) {
	for _, l := range links {
		l.ran, l.errno, l.why, l.moved = false, 0, notCancelled, 0
	}
}
