package ringfile

import (
	"context"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"
)

// LockMode says whom a lock of a file keeps out.
type LockMode uint8

const (
	LockExclusive LockMode = iota // whoever wants a lock; the file must be open for writing
	LockShared                    // whoever wants an exclusive lock; the file must be open for reading
)

// Lock takes an advisory lock on the length bytes at off, zero for all behind off, wherever the file ends: Lock(ctx,
// 0, 0, mode) locks the whole file. It waits until nobody holds a lock that is in the way, or ctx ends, or the file
// is closed; then the error is the cause of ctx, or matches fs.ErrClosed, in a *fs.PathError.
//
// The lock is the open file's (fcntl(2), F_OFD_SETLK): it keeps out other Files, of this program and of others, that
// ask for locks, and hinders no read or write. Goroutines that share a File share its locks, as do duplicates of
// it (Dup): to lock against one another they open it once each, or use a sync.Mutex. A lock on what the File has
// locked already changes the mode, at once if nobody is in the way; two that hold a shared lock and want to have it
// exclusive wait for each other until a context ends. Unlock gives the lock up, as does Close with the last
// descriptor of the open file.
//
// While it waits Lock holds no thread and asks again, after 1 ms at first and up to 50 ms later on; so it learns of
// a lock that was given up, and of Close, with that delay, and those who wait have no order. If ctx ends while a
// file server does not answer, Lock returns 100 ms later, and may still take the lock after that; Unlock gives it up.
//
// On Windows (LockFileEx, not tried by the package's tests) locks also keep out reads and writes of others, and the
// mode of a range cannot be changed. The error matches errors.ErrUnsupported on systems other than these, Linux and
// macOS, and on file systems without locks.
func (f *File) Lock(ctx context.Context, off, length int64, mode LockMode) error {
	for pause := minLockPause; ; pause = min(2*pause, maxLockPause) {
		if ok, err := f.tryLock(ctx, off, length, mode); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return f.t.wrap("lock", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// How long Lock waits before it asks again.
const (
	minLockPause = time.Millisecond
	maxLockPause = 50 * time.Millisecond
)

// lockPatience is for how long a call about locks is waited for when its context has ended.
const lockPatience = 100 * time.Millisecond

// TryLock is Lock that does not wait: it reports whether it has taken the lock.
func (f *File) TryLock(off, length int64, mode LockMode) (bool, error) {
	return f.tryLock(context.Background(), off, length, mode)
}

// Lockable reports whether TryLock would take the lock, and does not take it. What it says may be over when it
// returns. See fcntl(2), F_OFD_GETLK; on Windows the lock is taken for a moment.
func (f *File) Lockable(off, length int64, mode LockMode) (bool, error) {
	return f.lockMode(context.Background(), lockOp{name: "lock", off: off, length: length, mode: mode, test: true})
}

// Unlock gives up what the File has locked of the length bytes at off, zero for all behind off. To unlock what is
// not locked is no error. On Windows the range must be one that was locked.
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

// lockOp is a call about locks, its name the one in errors.
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

// lockCall makes a call about locks, one at a time for each file: a call that was left behind must not take a lock
// that has been given up since.
func (f *File) lockCall(ctx context.Context, op lockOp) (ok bool, err error) {
	if !f.valid() {
		return false, fs.ErrInvalid
	}
	t := &f.t
	if err := context.Cause(ctx); err != nil {
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

// lockUntil is the rest of lockCall, with the use of the descriptor that this has begun, for a context that can end.
func (f *File) lockUntil(ctx context.Context, name string, call func() (bool, error)) (ok bool, err error) {
	t := &f.t
	if !f.locking.Lock(ctx.Done(), nil) {
		t.leave(true)
		return false, t.wrap(name, context.Cause(ctx))
	}
	permit, ok := t.dev.calls.AcquireUntil(ctx.Done(), nil)
	if !ok {
		f.locking.Unlock()
		t.leave(true)
		return false, t.wrap(name, context.Cause(ctx))
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
	return false, t.wrap(name, context.Cause(ctx))
}
