package ringfile

import (
	"context"
	"io/fs"
	"sync"

	"github.com/ringfile/ringfile/internal/ctxerr"
)

// Future is the pending result of an operation that has been started. T is what the operation returns
// besides the error: int for transfers, struct{} for syncs.
//
// The operation's buffers belong to it until Await or AwaitContext returns, or Done is closed. Until
// then they must not be written, and the buffers of a read must not be read either. That holds after
// Cancel too, because the kernel may be in the middle of the transfer. A future that nobody awaits
// still completes and leaks nothing.
//
// All methods are safe for concurrent use.
type Future[T any] struct {
	task  task
	value func(n int) T // turns the bytes moved into a T

	// gate is locked until the outcome is there, and waiters lock it for reading. It is neither a
	// channel nor a WaitGroup, because one that was made in a synctest bubble may not be used by
	// goroutines outside of it, such as a reaper.
	gate sync.RWMutex

	mu        sync.Mutex
	complete  bool
	cancelled bool
	done      chan struct{} // made by Done
}

func intValue(n int) int         { return n }
func noValue(n int) (_ struct{}) { return }

// Await parks the goroutine until the operation has finished and returns its result, the same one each
// time. The buffers then belong to the caller again.
func (f *Future[T]) Await() (T, error) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	return f.value(f.task.n), f.task.err
}

// AwaitContext is Await with a context. When ctx ends first, it cancels the operation, waits until the
// kernel has released the buffers, and returns the operation's result if it finished after all,
// otherwise the error of ctx. A transfer between memory and a device cannot be recalled; waiting for it
// takes as long as the device does. To leave at once, with the buffers still in use, select on Done
// instead, or use the methods of File that take a context.
func (f *Future[T]) AwaitContext(ctx context.Context) (T, error) {
	if ctx.Done() != nil {
		select {
		case <-f.Done():
		case <-ctx.Done():
			f.cancel(ctxerr.Of(ctx))
		}
	}
	return f.Await()
}

// Done returns a channel that is closed when the operation has finished, for use in a select statement.
func (f *Future[T]) Done() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done == nil {
		done := make(chan struct{})
		f.done = done
		if f.complete {
			close(done)
		} else {
			// The channel may be of a test's bubble, and so is this goroutine then.
			go func() {
				f.Await()
				close(done)
			}()
		}
	}
	return f.done
}

// Cancel asks the kernel to cancel the operation and returns without waiting. Await then returns an
// error for which errors.Is(err, context.Canceled) holds, or the result if the operation finished first
// or could not be cancelled. Cancelling a finished operation does nothing.
func (f *Future[T]) Cancel() { f.cancel(context.Canceled) }

func (f *Future[T]) cancel(reason error) {
	f.mu.Lock()
	first := !f.complete && !f.cancelled
	if first {
		f.cancelled = true
		f.task.reason = reason
	}
	f.mu.Unlock()
	if first {
		f.task.cancel(byCaller)
	}
}

func (f *Future[T]) stays() bool { return true }

// finished is told by the task.
func (f *Future[T]) finished() {
	f.task.forget()
	f.mu.Lock()
	f.complete = true
	f.mu.Unlock()
	f.gate.Unlock()
}

// start starts op on f and returns its Future.
func start[T any](f *File, op operation, value func(int) T) *Future[T] {
	u := &Future[T]{value: value}
	u.gate.Lock()
	if !f.valid() {
		u.fail(fs.ErrInvalid)
		return u
	}
	t := &f.t
	op.desc = &t.descriptor
	if op.off < 0 {
		op.off = badOffset
	}
	if op.code.moves() && t.trivial(&op) {
		n, err := t.eachByOS(&op, 0)
		u.task.n = n
		u.fail(err)
		return u
	}
	if err := t.begin(op.code.name()); err != nil {
		u.fail(err)
		return u
	}
	u.task.reset(&op, 0)
	u.task.on, u.task.tell = t, u
	u.task.until.late = t.deadlineOf(op.code).late()
	if isClosed(u.task.until.late) {
		u.task.finish(0, u.task.wrap(byDeadline))
	} else {
		u.task.start()
	}
	return u
}

// fail finishes a future that was never started.
func (f *Future[T]) fail(err error) {
	f.task.err = err
	f.complete = true
	f.gate.Unlock()
}

// StartReadAt starts ReadAt(p, off) and returns its Future without waiting. p belongs to the operation
// until it has finished.
func (f *File) StartReadAt(p []byte, off int64) *Future[int] {
	return start(f, operation{code: opRead, buf: p, off: off}, intValue)
}

// StartWriteAt starts WriteAt(p, off) and returns its Future without waiting. p belongs to the
// operation until it has finished.
func (f *File) StartWriteAt(p []byte, off int64) *Future[int] {
	return start(f, operation{code: opWrite, buf: p, off: off}, intValue)
}

// StartReadvAt starts ReadvAt(vec, off) and returns its Future without waiting. vec and its buffers
// belong to the operation until it has finished.
func (f *File) StartReadvAt(vec [][]byte, off int64) *Future[int] {
	return start(f, operation{code: opReadv, vec: vec, off: off}, intValue)
}

// StartWritevAt starts WritevAt(vec, off) and returns its Future without waiting. vec and its buffers
// belong to the operation until it has finished.
func (f *File) StartWritevAt(vec [][]byte, off int64) *Future[int] {
	return start(f, operation{code: opWritev, vec: vec, off: off}, intValue)
}

// StartSync starts Sync and returns its Future without waiting. It covers writes that have returned, or
// whose futures have been awaited; writes in flight may or may not be covered.
func (f *File) StartSync() *Future[struct{}] {
	return start(f, operation{code: opFsync}, noValue)
}

// StartDatasync starts Datasync and returns its Future. See StartSync.
func (f *File) StartDatasync() *Future[struct{}] {
	return start(f, operation{code: opFdatasync}, noValue)
}
