package ringfile

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrChainBroken is the Err, in a *fs.PathError, of the operations of a Chain that were not carried
// out because one before them failed.
var ErrChainBroken = errors.New("not carried out: an earlier operation of the chain failed")

// Chain is operations that are carried out one after the other, each if the one before it has
// succeeded in full. Where that pays they are handed to the kernel together, which goes from one to
// the next by itself (IOSQE_IO_LINK, io_uring_enter(2)): the goroutine is parked once, and needs no
// thread meanwhile. A write and a Datasync are a durable append, for example.
//
//	var c ringfile.Chain
//	c.WriteAt(log, record, end)
//	c.Datasync(log)
//	err := c.Run()
//
// The methods that are named after those of File add an operation and return its index. Run carries
// out what has not been carried out.
//
// An operation fails as the method of File would: a transfer that the kernel cuts short is continued
// before the chain goes on, and fails only if that leads to an error, io.EOF included. Then the
// chain is broken: Result has what the operation moved and its error, and for all operations behind
// it ErrChainBroken; they have not been started. Another Run tries again: it goes on behind the
// bytes that were moved, and with the operations after that. Anyway has a chain go on in spite of an
// error.
//
// The files may be of several engines, and where there is no ring, or the file system would have a
// ring block kernel threads, the operations are system calls, one after the other, with the same
// outcome.
//
// The buffers belong to the chain until Run returns. The zero value is ready for use. A Chain is not
// safe for concurrent use, and must not be copied.
type Chain struct {
	_ noCopy

	links   []*link // the first n are in use
	n       int
	next    int // the first that is still to be carried out
	dull    int // before this one nothing that follows another gains by a ring
	running bool
	drain   bool // it runs alone
	ctx     context.Context
	stop    <-chan struct{} // of ctx

	cancelled atomic.Bool
	inFlight  atomic.Int32  // links that are published
	wake      chan struct{} // one element: none is any more

	mu   sync.Mutex
	ring *ring // where links are in flight
}

// link is one operation of a chain. Its address is the promise of its request.
type link struct {
	op     operation
	chain  *Chain
	anyway bool  // the next is carried out whatever becomes of this one
	held   bool  // it has a use of the file
	path   *byte // of opOpenDirect
	slot   int   // in the ring's table of files

	n     int // bytes moved so far
	moved int // those of them by the latest submission
	errno syscall.Errno
	why   cause
	ran   bool // it has been submitted and completed, and has not been looked at
	done  bool // err is valid
	err   error
}

// ReadAt adds f.ReadAt(p, off).
func (c *Chain) ReadAt(f *File, p []byte, off int64) int {
	return c.add(operation{code: opRead, file: f, buf: p, off: off})
}

// WriteAt adds f.WriteAt(p, off). p is read when its turn comes, and so may be what an earlier
// operation has read.
func (c *Chain) WriteAt(f *File, p []byte, off int64) int {
	return c.add(operation{code: opWrite, file: f, buf: p, off: off})
}

// ReadvAt adds f.ReadvAt(vec, off). vec itself, too, belongs to the chain.
func (c *Chain) ReadvAt(f *File, vec [][]byte, off int64) int {
	return c.add(operation{code: opReadv, file: f, vec: vec, off: off})
}

// WritevAt adds f.WritevAt(vec, off). vec itself, too, belongs to the chain.
func (c *Chain) WritevAt(f *File, vec [][]byte, off int64) int {
	return c.add(operation{code: opWritev, file: f, vec: vec, off: off})
}

// Sync adds f.Sync().
func (c *Chain) Sync(f *File) int { return c.add(operation{code: opFsync, file: f}) }

// Datasync adds f.Datasync().
func (c *Chain) Datasync(f *File) int { return c.add(operation{code: opFdatasync, file: f}) }

// Anyway has the operation that is added next be carried out even if the one added last fails
// (IOSQE_IO_HARDLINK). If the kernel cuts that one short, its rest may be moved after the next.
// What failed does not count as the failure of the chain: look at its Result.
func (c *Chain) Anyway() {
	if c.n > 0 {
		c.links[c.n-1].anyway = true
	}
}

// Drain has the next Run wait until the chains have ended that run now on the engine of its first
// file, and those that come later wait for it: what IOSQE_IO_DRAIN does within one ring, on all
// roads. A checkpoint behind all appends is an example. A context ends the wait, a deadline does not.
// Only chains take part, neither other calls nor ReadFileInto.
func (c *Chain) Drain() { c.drain = true }

func (c *Chain) add(op operation) int {
	if c.n == len(c.links) {
		c.links = append(c.links, &link{chain: c})
	}
	op.linked = true
	c.links[c.n].op = op
	c.n++
	return c.n - 1
}

// Len returns how many operations have been added since the last Reset.
func (c *Chain) Len() int { return c.n }

// Run carries out the operations that have not been carried out, in order, and returns the error of
// the one that broke the chain; io.EOF is bare.
func (c *Chain) Run() error { return c.RunContext(context.Background()) }

// RunContext is Run, given up when ctx ends: what can be cancelled is, and what cannot is waited
// for, so that the buffers are the caller's again at the return. The Err of the operation that was
// given up is the cause of ctx, in a *fs.PathError.
func (c *Chain) RunContext(ctx context.Context) error {
	if c.running {
		panic("ringfile: Chain is running already")
	}
	c.begin(ctx)
	e := c.engine()
	weight := int64(1)
	if c.drain {
		weight = maxChains
		c.drain = false
	}
	// If the context ends in the meantime, the first operation finds that out.
	held := e != nil && e.chainOrder.Acquire(ctx, weight) == nil
	err := c.advance()
	if held {
		e.chainOrder.Release(weight)
	}
	c.end()
	return err
}

// maxChains is how many chains run at a time on an engine, more than there can be.
const maxChains = 1 << 40

// engine returns that of the first file that is still to be used, nil if there is none.
func (c *Chain) engine() *Engine {
	if c.next == c.n || isFile(c.links[c.next].op.file) != nil {
		return nil
	}
	return c.links[c.next].op.file.engine
}

// Result returns what became of operation i. Before a Run has come to it Err is ErrNotRun.
func (c *Chain) Result(i int) Result {
	if i < 0 || i >= c.n || !c.links[i].done {
		return Result{Err: ErrNotRun}
	}
	return Result{N: c.links[i].n, Err: c.links[i].err}
}

// Reset empties the chain, for new operations, and forgets files and buffers.
func (c *Chain) Reset() {
	for _, l := range c.links[:c.n] {
		*l = link{chain: c}
	}
	c.n, c.next, c.drain = 0, 0, false
}

func (c *Chain) begin(ctx context.Context) {
	c.running = true
	if c.wake == nil {
		c.wake = make(chan struct{}, 1)
	}
	c.cancelled.Store(false)
	c.dull = 0
	c.ctx, c.stop = ctx, ctx.Done()
	for _, l := range c.links[c.next:c.n] {
		l.done, l.err = false, nil
	}
	forget(c.links[c.next:c.n])
}

func (c *Chain) end() {
	for _, l := range c.links[c.next:c.n] {
		l.leave()
		if !l.done { // the first of those that are left has broken the chain
			l.done = true
			l.err = l.wrap(ErrChainBroken)
		}
	}
	c.ctx, c.stop = nil, nil
	c.running = false
}

// advance carries out the links from next on, until all are done or one breaks the chain.
func (c *Chain) advance() error {
	for c.next < c.n {
		segment, err := c.segment()
		if len(segment) > 0 {
			c.submit(segment)
			err = c.settle(segment)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// segment returns links from next on for the kernel to carry out as one chain. If there are none,
// one link has been carried out, with an error if it broke the chain.
func (c *Chain) segment() ([]*link, error) {
	first := c.links[c.next]
	road, ok := first.begin()
	if !ok {
		return nil, c.passed(first)
	}
	end := c.next + 1
	waits := road == roadRing && first.op.code.reads() ||
		(road == roadRing || first.n > 0) && c.gains(first)
	r := c.ringFor(first)
	if r != nil && (waits || c.next >= c.dull) {
		for last := min(c.n, c.next+chainDepth); end < last; end++ {
			l := c.links[end]
			if !l.admit() {
				l.err = nil // its turn may never come; if it does, it fails again
				break
			}
			if !l.suits(first.op.file.engine) {
				l.leave()
				break
			}
			waits = waits || c.gains(l)
		}
		if !waits {
			c.dull = end
		}
	}
	if r == nil || !waits {
		for _, l := range c.links[c.next+1 : end] {
			l.leave()
		}
		first.block()
		return nil, c.passed(first)
	}
	return c.links[c.next:end], nil
}

// gains reports whether it can pay to leave l, whose file is in use, to the kernel. On a ring, syncs
// and writes into the page cache or behind the end of a file take a kernel thread each, where the
// caller has its own (docs/decisions.md). With a context, that must end a sync, there is no choice.
func (c *Chain) gains(l *link) bool {
	f := l.op.file
	switch {
	case l.op.code.reads() || l.op.code.writes():
		return f.direct && !f.punts(&l.op)
	case l.op.code == opFsync || l.op.code == opFdatasync:
		return c.stop != nil
	}
	return false
}

// ringFor returns the ring for a chain that begins with l, nil if that is not for a ring.
func (c *Chain) ringFor(l *link) *ring {
	if !l.suits(l.op.file.engine) {
		return nil
	}
	return l.op.file.engine.chainRing()
}

// passed takes note that l has been carried out, and returns its error if it has broken the chain.
func (c *Chain) passed(l *link) error {
	l.leave()
	l.done, l.ran = true, false
	if l.err != nil && !l.anyway {
		return l.err
	}
	c.next++
	return nil
}

// leave ends the use of the file.
func (l *link) leave() {
	if l.held {
		l.held = false
		l.op.file.life.decrefAsync(l.op.file)
	}
}

// plain reports whether there is nothing special about the operation: os carries it out.
func (l *link) plain() bool {
	f := l.op.file
	return f.class != classDisk || l.op.off < 0 || l.op.code.writes() && f.append
}

// suits reports whether l, whose file is in use, can follow on a ring of an engine.
func (l *link) suits(e *Engine) bool {
	f := l.op.file
	if isFile(f) != nil || f.engine != e || l.plain() || f.waitingRoad() != roadRing || f.inMemory() {
		return false
	}
	if l.op.code.reads() && !f.direct && e.falseEOF {
		return false
	}
	if !l.op.code.reads() && !l.op.code.writes() {
		return true
	}
	// The kernel would take the first part of a longer transfer for the whole.
	left := l.op.want() - l.n
	return left > 0 && left <= maxTransfer && len(l.op.vec) <= maxIovecs
}

// isFile returns the error of an operation on what is no file.
func isFile(f *File) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	return nil
}

// admit makes sure of the file, or fails.
func (l *link) admit() bool {
	f, word := l.op.file, l.op.code.word()
	if !l.held {
		if l.err = isFile(f); l.err != nil {
			return false
		}
		if l.err = f.begin(word); l.err != nil {
			return false
		}
		l.held = true
	}
	if f.deadlineOf(l.op.code).hasPassed() {
		l.fail(syscall.ECANCELED, byDeadline)
		return false
	}
	return true
}

// begin carries l, whose turn it is, out as far as that takes no waiting. It reports false if that
// was all.
func (l *link) begin() (road, bool) {
	if !l.admit() {
		return roadDone, false
	}
	if closed(l.chain.stop) {
		l.fail(syscall.ECANCELED, byCaller)
		return roadDone, false
	}
	moves := l.op.code.reads() || l.op.code.writes()
	if moves && l.n == l.op.want() && !l.plain() {
		return roadDone, false
	}
	if l.plain() || l.n > 0 || l.op.code.writes() && !l.op.file.direct {
		return roadBlocking, true
	}
	n, errno, road := l.op.file.tryInline(&l.op)
	l.n = n
	if road == roadDone {
		l.fail(errno, notCancelled)
		return roadDone, false
	}
	return road, true
}

// fail sets the error that an outcome means, if any.
func (l *link) fail(errno syscall.Errno, why cause) {
	var want int64
	if l.op.code.reads() || l.op.code.writes() {
		want = int64(l.op.want())
	}
	var reason error
	if why == byCaller {
		reason = context.Cause(l.chain.ctx)
	}
	l.err = l.op.file.outcome(l.op.code, l.op.code.word(), l.n, want, errno, why, reason)
}

// wrap makes err an error of this operation.
func (l *link) wrap(err error) error {
	if isFile(l.op.file) != nil {
		return fs.ErrInvalid
	}
	return l.op.file.wrap(l.op.code.word(), err)
}

// block carries the rest of l out by system calls.
func (l *link) block() {
	f, op, c := l.op.file, &l.op, l.chain
	if l.plain() {
		if op.code.reads() || op.code.writes() {
			var n int
			n, l.err = f.eachAt(op, l.n)
			l.n = n
		} else {
			l.err = f.os.Sync()
		}
		return
	}
	d := f.deadlineOf(op.code)
	n, why, err := f.blockUnless(op, l.n, op.code.word(), c.stop, d.late(), func() bool { return closed(c.stop) })
	l.n, l.err = n, err
	if why == notCancelled {
		return
	}
	if why == byCaller && !closed(c.stop) {
		why = byDeadline
	}
	l.fail(syscall.ECANCELED, why)
}
