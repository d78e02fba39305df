package ringfile

import "context"

// Call runs fn, which makes blocking system calls about the file or directory named path ("" if it is
// about none), as one of a bounded number at a time, and returns its error. When ctx ends first, Call
// returns the cause of ctx, bare, and fn runs on to its end in a goroutine of its own, or has never been
// started: what fn stores must not be looked at then, unless fn is known to have ended. A context that
// cannot end has fn run in the caller's goroutine.
func (e *Engine) Call(ctx context.Context, path string, fn func() error) error {
	if e.closed.Load() {
		return ErrEngineClosed
	}
	if ctx.Done() == nil {
		defer e.leaveCall(e.enterCall())
		return fn()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		if !e.blocking.acquireUntil(ctx.Done(), nil) {
			done <- context.Cause(ctx)
			return
		}
		defer e.blocking.release()
		if err := context.Cause(ctx); err != nil {
			done <- err
			return
		}
		e.stats.blocking.add(0)
		stamp := e.stats.stamps.begin()
		defer e.stats.stamps.end(stamp)
		done <- fn()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Engine returns the engine that f belongs to.
func (f *File) Engine() *Engine { return f.engine }
