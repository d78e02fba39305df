package ringfile

import (
	"context"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile/uring"
)

// call says what a file-system call is to do: what its error is made of, and, if a ring can carry it
// out, how.
type call struct {
	word  string // Op of the error
	name  string
	other string // the second name of a link call
	link  bool   // errors are *os.LinkError

	op    uring.Op // OpNop: no ring has it
	flags uint32   // AT_ flags
	perm  fs.FileMode
	value []byte // extended attributes: memory of the engine
}

// wrap makes err what os would return.
func (c *call) wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case c.link:
		return &os.LinkError{Op: c.word, Old: c.name, New: c.other, Err: err}
	}
	return &fs.PathError{Op: c.word, Path: c.name, Err: err}
}

// pathCall is a call on its way through a ring, with all the memory that the kernel is given.
// It is allocated for one call and referred to by its request, so that a caller may leave.
type pathCall struct {
	call
	dir   int          // the open directory that name is relative to, or atCwd
	block func() error // of a call on an open file: what the blocking road does, see callUntil
	pathMemory
}

// admit returns the engine, or the error of a call that comes too late for it.
func (s FileSystem) admit(c *call) (*Engine, error) {
	e := s.engine
	if e == nil {
		var err error
		if e, err = Default(); err != nil {
			return nil, c.wrap(err)
		}
	}
	if e.closed.Load() {
		return nil, c.wrap(ErrEngineClosed)
	}
	if s.ctx != nil {
		if err := context.Cause(s.ctx); err != nil {
			return nil, c.wrap(err)
		}
	}
	return e, nil
}

// do carries c out: by the function block in this goroutine, or, if there is a context, on a ring
// or by block in a goroutine of its own until that ends.
func (s FileSystem) do(c call, block func() error) error {
	e, err := s.admit(&c)
	if err != nil {
		return err
	}
	if s.ctx == nil {
		defer e.leaveCall(e.enterCall())
		return block()
	}
	if e.offers(c.op) {
		if _, handled, err := s.onRing(e, &pathCall{call: c, dir: atCwd}); handled {
			return err
		}
	}
	own := c // on the heap, which the calls without a context are spared
	_, err = blockUntil(s.ctx, e, &own, func() (struct{}, error) { return struct{}{}, block() }, nil)
	return err
}

// value is do for calls that return more than an error, and that no ring has.
func value[T any](s FileSystem, c call, block func() (T, error), drop func(T)) (T, error) {
	e, err := s.admit(&c)
	if err != nil {
		return *new(T), err
	}
	if s.ctx == nil {
		defer e.leaveCall(e.enterCall())
		return block()
	}
	own := c
	return blockUntil(s.ctx, e, &own, block, drop)
}

// offers reports whether there are rings that know op. Those that poll devices know transfers only.
func (e *Engine) offers(op uring.Op) bool {
	return op != uring.OpNop && len(e.rings) > 0 && !e.config.IOPoll && e.probe.Supports(op)
}

// onRing carries p out on a ring, until the context ends; then p, and what its memory is for, stay
// the kernel's until the completion, and the error is the cause. It returns the kernel's result.
// handled is false if the call must be made on another road; then nothing has been done.
func (s FileSystem) onRing(e *Engine, p *pathCall) (n int, handled bool, err error) {
	if err := p.pin(); err != nil {
		return 0, true, p.wrap(err)
	}
	r := e.pick()
	req, _ := r.start(&operation{code: opPath, path: p}, 0, nil, false, s.ctx.Done(), nil)
	if req == nil {
		_, err := s.admit(&p.call)
		return 0, err != nil, err
	}
	e.stats.ring.add(1)
	select {
	case <-req.done:
	case <-s.ctx.Done():
		id := r.slab.id(req)
		if req.phase.CompareAndSwap(uint32(submitted), uint32(abandoned)) {
			r.cancel(req, id, byCaller)
			return 0, true, p.wrap(context.Cause(s.ctx))
		}
		<-req.done // it was completed at that very moment
	}
	n, errno, why := req.n, req.errno, cause(req.cause.Load())
	r.release(req)
	if why == notCancelled && blockingRoadHelps(errno) {
		e.stats.refused.add(1)
		return 0, false, nil
	}
	return n, true, p.wrap(pathError(errno, why))
}

// pathError returns the error of a call that completed with errno, 0 if it succeeded.
func pathError(errno syscall.Errno, why cause) error {
	switch {
	case errno == 0:
		return nil
	case errno == syscall.ECANCELED && why == byEngineClose:
		return ErrEngineClosed
	}
	return errno
}

// blockUntil makes a blocking call in a goroutine of its own and waits for it until ctx ends. When
// that happens the call goes on if it has begun, and drop, if not nil, gets its result.
func blockUntil[T any](ctx context.Context, e *Engine, c *call, block func() (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var state atomic.Uint32 // a phase, as of a request
	state.Store(uint32(submitted))
	done := make(chan result, 1)
	wrap := c.wrap
	go func() {
		var res result
		switch {
		case !e.blocking.acquireUntil(ctx.Done(), nil):
			res.err = wrap(context.Cause(ctx))
		default:
			switch {
			case phase(state.Load()) == abandoned:
			case e.closed.Load():
				res.err = wrap(ErrEngineClosed)
			default:
				e.stats.blocking.add(0)
				stamp := e.stats.stamps.begin()
				res.value, res.err = block()
				e.stats.stamps.end(stamp)
				if !state.CompareAndSwap(uint32(submitted), uint32(completed)) && drop != nil && res.err == nil {
					drop(res.value)
				}
			}
			e.blocking.release()
		}
		done <- res
	}()
	select {
	case res := <-done:
		return res.value, res.err
	case <-ctx.Done():
	}
	if !state.CompareAndSwap(uint32(submitted), uint32(abandoned)) {
		res := <-done // it was completed at that very moment
		return res.value, res.err
	}
	return *new(T), wrap(context.Cause(ctx))
}
