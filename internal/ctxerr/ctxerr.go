// Package ctxerr is the error of an operation whose context has ended.
package ctxerr

import (
	"context"
	"io"
)

// Of returns the error of an operation that ended because ctx has, nil if it has not. The error is ctx.Err(), or, where
// the context has a cause of its own, one that matches both. It is never the cause itself: that may be the error of
// something else, such as another file's, or an io.EOF that readers would take for the end of a file.
func Of(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != err {
		return &caused{err, cause}
	}
	return err
}

// caused matches the error of a context, and its cause by identity: not what the cause wraps.
type caused struct{ err, cause error }

func (e *caused) Error() string { return e.err.Error() + ": " + e.cause.Error() }

func (e *caused) Unwrap() error { return e.err }

func (e *caused) Timeout() bool {
	t, ok := e.err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

func (e *caused) Is(target error) bool { return target == e.cause && target != io.EOF }
