package ringfile

import (
	"context"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/internal/ctxerr"
)

// LockMode says which other locks a lock excludes.
type LockMode uint8

const (
	LockExclusive LockMode = iota // excludes every other lock; the file must be open for writing
	LockShared                    // excludes exclusive locks; the file must be open for reading
)

// Lock takes an advisory lock on the length bytes at off; a length of zero means everything from off
// on, wherever the file ends, so that Lock(ctx, 0, 0, mode) locks the whole file. It waits until no
// conflicting lock is held, ctx ends, or the file is closed. In the last two cases the error is a
// *fs.PathError that wraps the error of ctx or matches fs.ErrClosed.
//
// The lock belongs to the open file (fcntl(2), F_OFD_SETLK). It excludes other Files that ask for
// locks, in this program and in others, and does not affect reads and writes. Goroutines that share a
// File share its locks, as do its duplicates (Dup): to lock against each other they must open the file
// once each, or use a sync.Mutex. Locking a range that the File has already locked changes the mode, at
// once if nobody else holds a conflicting lock; two holders of a shared lock that both ask for an
// exclusive one wait for each other until a context ends. Unlock releases the lock, as does closing the
// last descriptor of the open file.
//
// While it waits, Lock holds no thread; it retries, after 1 ms at first and later every 50 ms at most.
// It therefore notices a released lock, and Close, with that delay, and waiters are not queued in
// order. If ctx ends while a file server does not answer, Lock returns 100 ms later and may still take
// the lock after that; Unlock releases it.
//
// On Windows (LockFileEx; not covered by the package's tests) locks also block reads and writes by
// others, and the mode of a locked range cannot be changed. The error matches errors.ErrUnsupported on
// systems other than Linux, macOS and Windows, and on file systems without locks.
func (f *File) Lock(ctx context.Context, off, length int64, mode LockMode) error {
	for pause := minLockPause; ; pause = min(2*pause, maxLockPause) {
		if ok, err := f.tryLock(ctx, off, length, mode); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return f.t.wrap("lock", ctxerr.Of(ctx))
		case <-time.After(pause):
		}
	}
}

// How long Lock waits before it tries again.
const (
	minLockPause = time.Millisecond
	maxLockPause = 50 * time.Millisecond
)

// lockPatience is how long a locking call is waited for after its context has ended.
const lockPatience = 100 * time.Millisecond

// TryLock is Lock without waiting. It reports whether it took the lock.
func (f *File) TryLock(off, length int64, mode LockMode) (bool, error) {
	return f.tryLock(context.Background(), off, length, mode)
}

// Lockable reports whether TryLock would take the lock, without taking it. The answer may be out of date
// when it returns. See fcntl(2), F_OFD_GETLK; on Windows the lock is taken for a moment.
func (f *File) Lockable(off, length int64, mode LockMode) (bool, error) {
	return f.lockMode(context.Background(), lockOp{name: "lock", off: off, length: length, mode: mode, test: true})
}

// Unlock releases the File's locks on the length bytes at off; a length of zero means everything from
// off on. Unlocking a range that is not locked is not an error. On Windows the range must be exactly
// one that was locked.
func (f *File) Unlock(off, length int64) error {
	_, err := f.lockCall(context.Background(), lockOp{name: "unlock", off: off, length: length})
	return err
}

func (f *File) tryLock(ctx context.Context, off, length int64, mode LockMode) (bool, error) {
	return f.lockMode(ctx, lockOp{name: "lock", off: off, length: length, mode: mode})
}

// lockMode is lockCall for an operation that has a mode.
func (f *File) lockMode(ctx context.Context, op lockOp) (bool, error) {
	if f.valid() && op.mode > LockShared {
		return false, f.t.wrap(op.name, syscall.EINVAL)
	}
	return f.lockCall(ctx, op)
}

// lockOp is a locking call; its name is the one in errors.
type lockOp struct {
	name        string
	off, length int64
	mode        LockMode
	test        bool // only tells whether the lock could be taken
}

func (op lockOp) call(t *target) (ok bool, err error) {
	switch {
	case op.name == "unlock":
		return true, t.UnlockRange(op.off, op.length)
	case op.test:
		return t.LockableRange(op.off, op.length, op.mode == LockShared)
	}
	return t.LockRange(op.off, op.length, op.mode == LockShared)
}

// lockCall makes a locking call, one at a time for each file: an abandoned call must not take a lock
// that has been released since.
func (f *File) lockCall(ctx context.Context, op lockOp) (ok bool, err error) {
	if !f.valid() {
		return false, fs.ErrInvalid
	}
	t := &f.t
	if err := ctxerr.Of(ctx); err != nil {
		return false, t.wrap(op.name, err)
	}
	if op.off < 0 || op.length < 0 {
		return false, t.wrap(op.name, syscall.EINVAL)
	}
	if err := t.begin(op.name); err != nil {
		return false, err
	}
	if ctx.Done() != nil {
		return f.lockUntil(ctx, op.name, func() (bool, error) { return op.call(t) })
	}
	f.locking.Lock(nil, nil)
	permit := t.dev.calls.Acquire()
	permit.Note(clock())
	ok, err = op.call(t)
	t.dev.calls.Release(&permit)
	f.locking.Unlock()
	t.end()
	return ok, t.wrap(op.name, err)
}

// lockUntil is the rest of lockCall, with the reference to the descriptor that lockCall has taken, for
// a context that can end.
func (f *File) lockUntil(ctx context.Context, name string, call func() (bool, error)) (ok bool, err error) {
	t := &f.t
	if !f.locking.Lock(ctx.Done(), nil) {
		t.leave(true)
		return false, t.wrap(name, ctxerr.Of(ctx))
	}
	permit, ok := t.dev.calls.AcquireUntil(ctx.Done(), nil)
	if !ok {
		f.locking.Unlock()
		t.leave(true)
		return false, t.wrap(name, ctxerr.Of(ctx))
	}
	type result struct {
		ok  bool
		err error
	}
	done := make(chan result, 1)
	var decided atomic.Bool // that the call is made, or that it is not, as ctx has ended
	go func() {
		var r result
		if decided.CompareAndSwap(false, true) {
			permit.Note(clock())
			r.ok, r.err = call()
		}
		t.dev.calls.Release(&permit)
		f.locking.Unlock()
		t.leave(true)
		r.err = t.wrap(name, r.err)
		done <- r
	}()
	select {
	case r := <-done:
		return r.ok, r.err
	case <-ctx.Done():
	}
	if !decided.CompareAndSwap(false, true) {
		// Nobody knows yet whether it takes the lock. It ends at once, but for a file server.
		select {
		case r := <-done:
			return r.ok, r.err
		case <-time.After(lockPatience):
		}
	}
	return false, t.wrap(name, ctxerr.Of(ctx))
}
