package ringfile

import (
	"context"
	"errors"

	"github.com/ringfile/ringfile/internal/ctxerr"
	"github.com/ringfile/ringfile/internal/limit"
)

// Call runs fn, which makes blocking system calls on the file or directory named path ("" if there is
// none), and returns its error. The number of such calls at a time is bounded (Config.BlockingLimit).
// Calls in a directory where files have been opened share the permits of the device there, so that a
// device that hangs delays only its own users.
//
// When ctx ends first, Call returns the error of ctx, bare. fn then runs to its end in a goroutine of
// its own, or is never started: the caller must not look at what fn stores unless it knows that fn has
// returned. With a context that cannot end, fn runs in the caller's goroutine.
func (e *Engine) Call(ctx context.Context, path string, fn func() error) error {
	if e.devices.closed.Load() {
		return ErrEngineClosed
	}
	pool := e.devices.near(path)
	if ctx.Done() == nil {
		permit := pool.Acquire()
		defer pool.Release(&permit)
		return e.call(&permit, fn)
	}
	if err := ctxerr.Of(ctx); err != nil {
		return err
	}
	permit, ok := pool.AcquireUntil(ctx.Done(), nil)
	if !ok {
		return ctxerr.Of(ctx)
	}
	done := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			pool.Release(&permit)
			done <- err
		}()
		err = e.call(&permit, fn)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// errGoexit is the error of a call whose function has called runtime.Goexit.
var errGoexit = errors.New("ringfile: the function called runtime.Goexit")

// call is one blocking call with a permit.
func (e *Engine) call(permit *limit.Permit, fn func() error) error {
	if e.devices.closed.Load() {
		return ErrEngineClosed
	}
	permit.Note(clock())
	e.stats.blocking.Add(0)
	return fn()
}
