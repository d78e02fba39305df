// Package chain carries out operations on files one after another, each only if the one before it has
// fully succeeded. Where it pays off they are submitted to the kernel together, and the kernel proceeds
// from one to the next by itself (IOSQE_IO_LINK, io_uring_enter(2)): the goroutine is parked once, and
// needs no thread in the meantime. Elsewhere they are calls of the methods of File, in order, with the
// same outcome.
//
// The package has its own rings, one for each device, made when first needed. It has no goroutines
// while no chain is on a ring.
package chain

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ringfile/ringfile"
)

// ErrBroken is the Err, in a *fs.PathError, of operations that were not carried out because an earlier
// one failed.
var ErrBroken = errors.New("not carried out: an earlier operation of the chain failed")

// ErrNotRun is the Err of operations that no Run has reached: ringfile's, as for a Batch.
var ErrNotRun = ringfile.ErrNotRun

// Result is the outcome of one operation: what the method of File with that name would have returned. It is
// ringfile's, as for a Batch.
type Result = ringfile.Result

// Chain is a sequence of operations that are carried out in order. For example, a write and a Datasync
// are a durable append:
//
//	var c chain.Chain
//	c.WriteAt(log, record, end)
//	c.Datasync(log)
//	err := c.Run()
//
// The methods named after those of File add an operation and return its index. Run carries out the
// operations that have not been carried out yet.
//
// An operation fails as the method of File would: a transfer that the kernel cuts short is continued
// before the chain goes on, and fails only if that leads to an error, including io.EOF. The chain is
// then broken: Result has what the operation moved and its error, and ErrBroken for all later
// operations, which have not been started. Another Run retries: it continues after the bytes already
// moved, and then with the later operations. Anyway lets a chain continue in spite of an error.
//
// The files may belong to several engines and devices. Closing a file, or its engine, ends a chain
// before its next operation that has not been given to the kernel; closing the engine does not wait for
// operations that have. Deadlines of files apply only to operations carried out by the methods of File:
// a chain that must end in time needs a context.
//
// The buffers belong to the chain until Run returns. The zero value is ready for use. A Chain is not
// safe for concurrent use and must not be copied.
type Chain struct {
	_ noCopy

	links   []*link // the first n are in use
	n       int
	next    int // the first that is still to be carried out
	running bool
	drain   bool // it runs alone
	part    part // what is on a ring
}

// noCopy makes go vet report copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// link is one operation of a chain.
type link struct {
	op     opcode
	file   *ringfile.File
	buf    []byte
	vec    [][]byte
	off    int64
	anyway bool // the next is carried out whatever becomes of this one

	n    int // bytes moved so far
	done bool
	err  error // valid if done
}

// ReadAt adds f.ReadAt(p, off).
func (c *Chain) ReadAt(f *ringfile.File, p []byte, off int64) int {
	return c.add(link{op: opRead, file: f, buf: p, off: off})
}

// WriteAt adds f.WriteAt(p, off). p is read when the operation runs, so it may be what an earlier
// operation has read.
func (c *Chain) WriteAt(f *ringfile.File, p []byte, off int64) int {
	return c.add(link{op: opWrite, file: f, buf: p, off: off})
}

// ReadvAt adds f.ReadvAt(vec, off). The slice vec itself belongs to the chain too.
func (c *Chain) ReadvAt(f *ringfile.File, vec [][]byte, off int64) int {
	return c.add(link{op: opReadv, file: f, vec: vec, off: off})
}

// WritevAt adds f.WritevAt(vec, off). The slice vec itself belongs to the chain too.
func (c *Chain) WritevAt(f *ringfile.File, vec [][]byte, off int64) int {
	return c.add(link{op: opWritev, file: f, vec: vec, off: off})
}

// Sync adds f.Sync().
func (c *Chain) Sync(f *ringfile.File) int { return c.add(link{op: opSync, file: f}) }

// Datasync adds f.Datasync().
func (c *Chain) Datasync(f *ringfile.File) int { return c.add(link{op: opDatasync, file: f}) }

// Anyway lets the next operation added run even if the last one added fails (IOSQE_IO_HARDLINK). If the
// kernel cuts that one short, the rest of it may be transferred after the next one. Its failure does
// not count as a failure of the chain: look at its Result.
func (c *Chain) Anyway() {
	if c.n > 0 {
		c.links[c.n-1].anyway = true
	}
}

// Drain makes the next Run wait until the chains now running on the engine of its first file have
// ended, and makes later chains wait for it: what IOSQE_IO_DRAIN does within one ring, on all routes.
// An example is a checkpoint after all appends. A context ends the wait, a deadline does not. Only
// chains take part, no other calls.
func (c *Chain) Drain() { c.drain = true }

func (c *Chain) add(l link) int {
	if c.n == len(c.links) {
		c.links = append(c.links, new(link))
	}
	*c.links[c.n] = l
	c.n++
	return c.n - 1
}

// Len returns how many operations have been added since the last Reset.
func (c *Chain) Len() int { return c.n }

// Run carries out, in order, the operations that have not been carried out yet. It returns the error of
// the one that broke the chain; io.EOF is bare.
func (c *Chain) Run() error { return c.RunContext(context.Background()) }

// RunContext is Run with a context. When ctx ends it returns, whatever the device does, and the buffers
// belong to the caller again. The Err of the abandoned operation is the error of ctx in a
// *fs.PathError; the operation may still be carried out, as described for the methods of File with a
// context. Later operations are not started. With a context that can end, all operations are methods of
// File.
func (c *Chain) RunContext(ctx context.Context) error {
	if c.running {
		panic("chain: Chain is running already")
	}
	c.running = true
	for _, l := range c.links[c.next:c.n] {
		l.done, l.err = false, nil
	}
	order, weight := c.order(), int64(1)
	if c.drain {
		weight, c.drain = maxChains, false
	}
	// If the context ends in the meantime, the first operation finds that out.
	held := order != nil && order.enter(weight, ctx.Done())
	err := c.advance(ctx)
	if held {
		order.leave(weight)
	}
	for _, l := range c.links[c.next:c.n] {
		if !l.done { // the first of those that are left has broken the chain
			l.done, l.err = true, l.wrap(ErrBroken)
		}
	}
	c.running = false
	return err
}

// advance carries out the links from next on, until all are done or one breaks the chain.
func (c *Chain) advance(ctx context.Context) error {
	for c.next < c.n {
		if ctx.Done() == nil {
			if ran, err := c.onRing(); err != nil {
				return err
			} else if ran {
				continue
			}
		}
		l := c.links[c.next]
		l.call(ctx)
		if err := c.passed(l); err != nil {
			return err
		}
	}
	return nil
}

// passed records that l has been carried out, and returns its error if that has broken the chain.
func (c *Chain) passed(l *link) error {
	l.done = true
	if l.err != nil && !l.anyway {
		return l.err
	}
	c.next++
	return nil
}

// Result returns the outcome of operation i. Until a Run has reached it, Err is ErrNotRun.
func (c *Chain) Result(i int) Result {
	if i < 0 || i >= c.n || !c.links[i].done {
		return Result{Err: ErrNotRun}
	}
	return Result{N: c.links[i].n, Err: c.links[i].err}
}

// Reset empties the chain for new operations and drops its references to files and buffers.
func (c *Chain) Reset() {
	for _, l := range c.links[:c.n] {
		*l = link{}
	}
	c.n, c.next, c.drain = 0, 0, false
}

// wrap makes err an error of this operation.
func (l *link) wrap(err error) error {
	if !isFile(l.file) {
		return fs.ErrInvalid
	}
	return &fs.PathError{Op: l.op.name(), Path: l.file.Name(), Err: err}
}

// isFile reports whether f is one: neither nil nor the zero value.
func isFile(f *ringfile.File) bool { return f != nil && f.Engine() != nil }
