package ringfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/ringfile/ringfile/internal/ctxerr"
)

// ReadAtContext is ReadAt with a context. When ctx ends it returns the error of ctx in a *fs.PathError;
// p may have been partly filled. The data is copied through the engine's own memory, so p belongs to
// the caller again when the call returns, in every case. With a context that cannot end it is ReadAt.
//
// With O_DIRECT the address of p need not be aligned, as the copy is; ReadAt and others would fail with EINVAL.
func (f *File) ReadAtContext(ctx context.Context, p []byte, off int64) (n int, err error) {
	return f.at(ctx, operation{code: opRead, buf: p, off: off})
}

// WriteAtContext is WriteAt with a context. When ctx ends it returns the error of ctx in a
// *fs.PathError. Bytes beyond the n reported may or may not reach the file, even later; a later write
// through this File to the same place waits for that. p belongs to the caller again when the call
// returns, in every case.
func (f *File) WriteAtContext(ctx context.Context, p []byte, off int64) (n int, err error) {
	return f.at(ctx, operation{code: opWrite, buf: p, off: off})
}

// ReadvAtContext is ReadvAt with a context. See ReadAtContext.
func (f *File) ReadvAtContext(ctx context.Context, vec [][]byte, off int64) (n int, err error) {
	return f.at(ctx, operation{code: opReadv, vec: vec, off: off})
}

// WritevAtContext is WritevAt with a context. See WriteAtContext.
func (f *File) WritevAtContext(ctx context.Context, vec [][]byte, off int64) (n int, err error) {
	return f.at(ctx, operation{code: opWritev, vec: vec, off: off})
}

// ReadContext is Read with a context. When ctx ends it returns the error of ctx in a *fs.PathError.
// Pipes and other files that the runtime's poller serves are read through os, with ctx converted into a
// deadline; a concurrent Read without a context that is waiting is interrupted too. What os cannot
// interrupt (a device, a pipe in blocking mode), ReadContext cannot either.
func (f *File) ReadContext(ctx context.Context, p []byte) (n int, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	if !f.t.Seekable || len(p) == 0 {
		return f.pollUntil(ctx, opRead, (*os.File).SetReadDeadline, func() (int, error) { return f.t.OS.Read(p) })
	}
	if ctx.Done() == nil {
		return f.Read(p)
	}
	return f.t.readWriteUntil(ctx, operation{code: opRead, once: true, desc: &f.t.descriptor, buf: p, off: offCurrent})
}

// WriteContext is Write with a context. When ctx ends it returns the error of ctx in a *fs.PathError.
// Bytes beyond the n reported may or may not reach the file, even later; later transfers at the
// position wait for that. See ReadContext about pipes.
func (f *File) WriteContext(ctx context.Context, p []byte) (n int, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	if !f.t.Seekable || len(p) == 0 {
		return f.pollUntil(ctx, opWrite, (*os.File).SetWriteDeadline, func() (int, error) { return f.t.OS.Write(p) })
	}
	if ctx.Done() == nil {
		return f.Write(p)
	}
	return f.t.readWriteUntil(ctx, operation{code: opWrite, desc: &f.t.descriptor, buf: p, off: offCurrent})
}

// SyncContext is Sync with a context. When ctx ends it returns; the kernel may go on with the sync.
func (f *File) SyncContext(ctx context.Context) error {
	return f.control(ctx, operation{code: opFsync})
}

// DatasyncContext is Datasync with a context. When ctx ends it returns; the kernel may go on with the
// sync.
func (f *File) DatasyncContext(ctx context.Context) error {
	return f.control(ctx, operation{code: opFdatasync})
}

// CloseContext is Close with a context: it waits until ctx ends at most, and then returns the error of
// ctx in a *fs.PathError. The file is closed in any case, even if ctx has already ended. Closing can
// take time on file servers (NFS, FUSE), which may have to store what was written; an error that they
// report after ctx has ended is lost.
func (f *File) CloseContext(ctx context.Context) error {
	if err := f.shut(); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return f.t.release()
	}
	done := make(chan error, 1)
	go func() {
		permit := f.t.dev.calls.Acquire()
		defer f.t.dev.calls.Release(&permit)
		permit.Note(clock())
		done <- f.t.release()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return f.t.wrap("close", ctxerr.Of(ctx))
	}
}

// pollUntil makes a call of os that a deadline can interrupt, and interrupts it when ctx ends. Only one
// runs at a time in each direction, because they use the same deadline.
func (f *File) pollUntil(ctx context.Context, code opcode, set func(*os.File, time.Time) error, call func() (int, error)) (int, error) {
	t := &f.t
	if err := ctxerr.Of(ctx); err != nil {
		return 0, t.wrap(code.name(), err)
	}
	if ctx.Done() == nil {
		return call()
	}
	lock, by := &f.reading, t.deadlineOf(code)
	if code.writes() {
		lock = &f.writing
	}
	if !lock.Lock(ctx.Done(), nil) {
		return 0, t.wrap(code.name(), ctxerr.Of(ctx))
	}
	defer lock.Unlock()
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		by.mu.Lock()
		set(t.OS, time.Unix(1, 0))
		by.mu.Unlock()
		close(interrupted)
	})
	n, err := call()
	if !stop() {
		<-interrupted
		by.mu.Lock()
		set(t.OS, by.at) // as the user has it
		by.mu.Unlock()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = &fs.PathError{Op: code.name(), Path: t.OS.Name(), Err: ctxerr.Of(ctx)}
		}
	}
	return n, err
}

// SetDeadline sets the read and the write deadline. Once t has passed, calls in flight and later calls
// fail with an error that matches os.ErrDeadlineExceeded; the zero time removes the deadlines. Unlike
// with os, files on disk have deadlines too: a call returns on time even if the device hangs. The
// transfer in progress is cancelled if possible; a write may still reach the file later, in whole or in
// part.
//
// While a deadline is set, transfers are copied through the engine's own memory, because the kernel may
// use their buffers for longer than the call lasts. A call on a file on disk that was already in flight
// without a deadline when one is set is interrupted only if the kernel can cancel it.
//
// Calls made with the descriptor (Fd, SyscallConn) ignore deadlines; but see SyscallConn for what net does.
//
// Directories, and devices that os cannot poll, have no deadlines: os.ErrNoDeadline.
func (f *File) SetDeadline(t time.Time) error {
	return f.setDeadline(t, (*os.File).SetDeadline, true, true)
}

// SetReadDeadline sets the deadline of Read, ReadAt and the other reads. See SetDeadline.
func (f *File) SetReadDeadline(t time.Time) error {
	return f.setDeadline(t, (*os.File).SetReadDeadline, true, false)
}

// SetWriteDeadline sets the deadline of Write, WriteAt and the other writes, and of Sync and Datasync.
// See SetDeadline.
func (f *File) SetWriteDeadline(t time.Time) error {
	return f.setDeadline(t, (*os.File).SetWriteDeadline, false, true)
}

func (f *File) setDeadline(at time.Time, set func(*os.File, time.Time) error, reads, writes bool) error {
	if !f.valid() {
		return fs.ErrInvalid
	}
	t := &f.t
	if !t.Seekable {
		for _, d := range []*deadline{&t.readBy, &t.writeBy} {
			if d == &t.readBy && reads || d == &t.writeBy && writes {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.at = at
			}
		}
		return set(t.OS, at)
	}
	if err := t.begin("set deadline"); err != nil {
		return err
	}
	defer t.releaseAsync()
	if reads {
		t.readBy.set(at, func() { t.expire(opcode.reads) })
	}
	if writes {
		t.writeBy.set(at, func() { t.expire(func(c opcode) bool { return c.writes() || c.syncs() }) })
	}
	return nil
}

// expire cancels the requests that match, because their deadline has passed.
func (t *target) expire(match func(opcode) bool) {
	for q := range t.dev.everyQueue {
		q.cancelFile(&t.descriptor, match, byDeadline)
	}
	late := func(r *request) bool { return match(r.code) }
	t.line.dismiss(late, byDeadline)
	t.syncs.dismiss(late, byDeadline)
}
