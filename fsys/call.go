package fsys

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/ringfile/ringfile"
)

// target is what a call is about, for the errors that os does not return.
type target struct {
	op, name string
	newname  string // of a link call
	link     bool   // errors are *os.LinkError
	at       string // where in the file system it happens, if not at name
}

// wrap turns err, which is bare, into the error of the call.
func (t *target) wrap(err error) error {
	if t.link {
		return &os.LinkError{Op: t.op, Old: t.name, New: t.newname, Err: err}
	}
	return &fs.PathError{Op: t.op, Path: t.name, Err: err}
}

// use returns the engine.
func (s FS) use() (*ringfile.Engine, error) {
	if s.engine != nil {
		return s.engine, nil
	}
	return ringfile.Default()
}

// The states of an outcome.
const (
	awaited uint32 = iota
	left           // the caller has left, or never waited: nobody will look at the result
	there
)

// outcome is what fn has returned, for whoever waits for it.
type outcome[T any] struct {
	state atomic.Uint32
	value T
	err   error
}

// call has the engine run fn, which calls os, until ctx ends, and returns what fn does. When ctx ends
// first, the error is that of ctx, and drop, if not nil, gets what fn later returns without an error.
func call[T any](ctx context.Context, s FS, t target, fn func() (T, error), drop func(T)) (T, error) {
	e, err := s.use()
	if err != nil {
		return *new(T), t.wrap(err)
	}
	o := new(outcome[T])
	err = e.Call(ctx, cmp.Or(t.at, t.name), func() error {
		o.value, o.err = fn()
		if !o.state.CompareAndSwap(awaited, there) && o.err == nil && drop != nil {
			drop(o.value)
		}
		return o.err
	})
	if o.state.CompareAndSwap(awaited, left) {
		return *new(T), t.wrap(err) // of Call itself: fn has not ended, or has never been called
	}
	return o.value, o.err // even if ctx ended at that very moment
}

// do is call for functions that return only an error.
func do(ctx context.Context, s FS, t target, fn func() error) error {
	_, err := call(ctx, s, t, func() (struct{}, error) { return struct{}{}, fn() }, nil)
	return err
}
