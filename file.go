package ringfile

import (
	"context"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/route"
	"github.com/ringfile/ringfile/internal/sysio"
)

// File is an open file. It has the methods of *os.File, with the same results and errors, but while a
// call waits for a device it parks the goroutine instead of blocking an OS thread.
//
// All methods are safe for concurrent use. Calls on a nil *File return fs.ErrInvalid. Errors are
// *fs.PathError with the operation names that os uses; io.EOF is returned bare. A buffer passed to a
// method belongs to it until the method returns and is not kept longer. A File must not be copied.
//
// Beyond os:
//
//   - deadlines work on regular files (SetDeadline);
//   - transfers, syncs and Close have forms with a context, and the Start methods return a Future;
//   - ReadvAt and WritevAt take several buffers; ReadAtMulti and Batch carry out many operations
//     together;
//   - WriteAtAtomic writes without tearing;
//   - Lock, TryLock and Lockable lock, or test for locks, against other files and programs;
//   - Datasync, Writeback, Allocate, PunchHole, NextData, Advise and Cached make system calls that os
//     lacks.
type File struct {
	_ noCopy
	t target

	// Held by calls with a context on files that the runtime's poller serves.
	reading, writing limit.Lock
	locking          limit.Lock // held by calls about advisory locks
}

var _ interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.ReaderFrom
	io.WriterTo
	io.StringWriter
	io.Closer
	fs.ReadDirFile
	syscall.Conn
} = (*File)(nil)

// noCopy makes go vet report copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Open opens the named file for reading. Errors are *fs.PathError.
func Open(name string) (*File, error) { return OpenFile(name, os.O_RDONLY, 0) }

// Create creates or truncates the named file, with mode 0666 before umask, for reading and
// writing. Errors are *fs.PathError.
func Create(name string) (*File, error) {
	return OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile opens the named file with the given flags and, if it is created, with mode perm before
// umask, as os.OpenFile does. With syscall.O_DIRECT in flag, transfers bypass the page cache, and
// buffers, lengths and offsets must be aligned as DirectAlign says. Errors are *fs.PathError.
func OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	e, err := Default()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.OpenFile(name, flag, perm)
}

// CreateTemp creates a new temporary file, as os.CreateTemp does, and opens it for reading and writing.
// The caller must remove it.
func CreateTemp(dir, pattern string) (*File, error) {
	e, err := Default()
	if err != nil {
		return nil, &fs.PathError{Op: "createtemp", Path: pattern, Err: err}
	}
	return e.CreateTemp(dir, pattern)
}

// Adopt makes a File from f, for example from os.Stdout or a file that an os.Root has opened. The File
// has f's name, descriptor and position, and closes f when it is closed. f may still be used, sharing
// the position, but must not be closed by anyone else; if f is to be closed separately, adopt a
// duplicate. If Adopt fails, f is unchanged; the error is fs.ErrInvalid if f is nil, otherwise that of
// [Default].
func Adopt(f *os.File) (*File, error) {
	if f == nil {
		return nil, fs.ErrInvalid
	}
	e, err := Default()
	if err != nil {
		return nil, &fs.PathError{Op: "adopt", Path: f.Name(), Err: err}
	}
	return e.Adopt(f), nil
}

// Open is the package-level Open on this engine.
func (e *Engine) Open(name string) (*File, error) { return e.OpenFile(name, os.O_RDONLY, 0) }

// Create is the package-level Create on this engine.
func (e *Engine) Create(name string) (*File, error) {
	return e.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile is the package-level OpenFile on this engine.
func (e *Engine) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	if e.devices.closed.Load() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrEngineClosed}
	}
	dir, known := e.devices.where(name)
	names := e.devices.namesOf(known)
	permit := names.Acquire()
	permit.Note(clock())
	h, status, err := sysio.Open(name, flag, perm)
	names.Release(&permit)
	if err != nil {
		return nil, err
	}
	f := new(File)
	f.t.open(e, h, status, known)
	if status.Known && !status.Block && known != f.t.dev {
		e.devices.names.learn(dir, f.t.dev)
	}
	return f, nil
}

// CreateTemp is the package-level CreateTemp on this engine.
func (e *Engine) CreateTemp(dir, pattern string) (*File, error) {
	var f *os.File
	if dir == "" {
		dir = os.TempDir()
	}
	err := e.Call(context.Background(), dir+string(os.PathSeparator), func() (err error) {
		f, err = os.CreateTemp(dir, pattern)
		return err
	})
	if err == ErrEngineClosed {
		return nil, &fs.PathError{Op: "createtemp", Path: pattern, Err: err}
	} else if err != nil {
		return nil, err
	}
	file := e.Adopt(f)
	file.t.shared.Store(false) // nobody else has seen it
	return file, nil
}

// Adopt is the package-level Adopt on this engine. It returns nil if f is nil.
func (e *Engine) Adopt(f *os.File) *File {
	if f == nil {
		return nil
	}
	file := new(File)
	file.t.shared.Store(true)
	h, status := sysio.Adopt(f)
	dir, known := e.devices.where(f.Name()) // which is its path, if os has opened it
	file.t.open(e, h, status, known)
	if status.Seekable && !status.Block && known != file.t.dev {
		e.devices.names.learn(dir, file.t.dev)
	}
	return file
}

// Engine returns the engine that the file belongs to.
func (f *File) Engine() *Engine { return f.t.engine }

// at carries out op, a transfer at an offset, until ctx or the file's deadline ends.
func (f *File) at(ctx context.Context, op operation) (int, error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	return f.t.at(ctx, op)
}

// control carries out an operation that moves no data, until ctx or the file's deadline ends.
func (f *File) control(ctx context.Context, op operation) error {
	if !f.valid() {
		return fs.ErrInvalid
	}
	return f.t.control(ctx, op)
}

// valid reports whether f is usable at all.
func (f *File) valid() bool { return f != nil && f.t.OS != nil }

// ReadAt reads len(p) bytes into p from offset off. It returns the number of bytes read, and a non-nil
// error if that is less than len(p): io.EOF at the end of the file. A read that ends exactly there
// returns len(p), nil. ReadAt neither uses nor moves the file position. See pread(2).
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	t := &f.t
	if !t.Seekable || off < 0 {
		return t.OS.ReadAt(p, off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if t.readBy.armed.Load() {
		return f.at(context.Background(), operation{code: opRead, buf: p, off: off})
	}
	n = t.readCached(p, off)
	switch {
	case n == len(p):
		return n, nil
	case n == 0 && t.plainReads():
		return t.transferNow(opRead, p, off)
	}
	if err := t.begin("read"); err != nil {
		return n, err
	}
	op := operation{code: opRead, desc: &t.descriptor, buf: p[n:], off: off + int64(n)}
	m, err := t.perform(&op)
	t.end()
	return n + m, err
}

// readCached reads what the page cache has of p, from off, unless earlier reads suggest that this is nothing: the
// shortest path. What it has may end before the file does.
func (t *target) readCached(p []byte, off int64) int {
	if !t.cached || t.misses.Load() != 0 || t.dev.facts.nowait.Get() != route.Yes {
		return 0
	}
	return t.readNow(p, off)
}

// readNow makes a read that is expected to be served at once, and returns how many bytes it got; with
// offCurrent at the file position, which the caller has to itself.
//
// pread(2) and read(2) cost a tenth less than preadv2(2), but only preadv2 can be told not to wait. So
// once the reads of a file have been served at once for a long time, it uses the former, except for the
// reads of every sixteenth page: these detect when that is over. Reads that wait in the meantime wait as
// os.File's would, with a permit.
func (t *target) readNow(p []byte, off int64) (n int) {
	pass, err := t.enter(&t.dev.hits, "read")
	if err != nil {
		return 0
	}
	if hits := t.hits.Load(); hits >= hotHits && off >= 0 && off>>12&15 != 0 {
		n, _ = t.Pread(p, off, true)
	} else {
		var errno syscall.Errno
		n, errno = t.PreadNowait(p, off)
		switch {
		case errno != 0 || n == 0:
			t.hits.Store(0)
		case hits < hotHits:
			t.hits.Store(hits + 1)
		}
	}
	t.exit(&t.dev.hits, &pass, n, n > 0)
	return n
}

// readHot is readNow for one that has not got the position to itself. It returns 0 if the file's reads have not been served
// at once for long, or there is nothing to be read.
func (t *target) readHot(p []byte) (n int) {
	if t.hits.Load() < hotHits {
		return 0
	}
	pass, ok := t.enterHere(&t.dev.hits)
	if !ok {
		err := t.refused("") // at once, whoever has the position
		if err != nil {
			return 0
		}
		t.position.RLock()
		defer t.position.RUnlock()
		if pass, err = t.enter(&t.dev.hits, "read"); err != nil {
			return 0
		}
	}
	switch {
	case t.kernelsOwn():
	case rand.Uint32()%hotProbe == 0 && !t.cachedHere(p):
		t.hits.Store(0)
	default:
		n, _ = t.Pread(p, offCurrent, true)
	}
	t.exit(&t.dev.hits, &pass, n, n > 0)
	return n
}

// cachedHere reports whether the page cache has the byte at the position, for which it uses p.
func (t *target) cachedHere(p []byte) bool {
	pos, err := t.Handle.Seek(0, io.SeekCurrent)
	if err != nil {
		return false
	}
	_, errno := t.PreadNowait(p[:1], pos)
	return errno == 0
}

// hotProbe is one in how many reads at the position that are not told not to wait looks whether it would.
const hotProbe = 64

// hotHits is the number of reads in a row that the page cache must have served in full.
const hotHits = 64

// WriteAt writes len(p) bytes from p at offset off. It returns the number of bytes written, and a
// non-nil error if that is less than len(p). It neither uses nor moves the file position, and fails on
// a file opened with O_APPEND. See pwrite(2).
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	t := &f.t
	if !t.Seekable || off < 0 || t.Append {
		return t.OS.WriteAt(p, off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if t.writeBy.armed.Load() {
		return f.at(context.Background(), operation{code: opWrite, buf: p, off: off})
	}
	if !t.Direct && !t.left.any() {
		return t.transferNow(opWrite, p, off)
	}
	if err := t.begin("write"); err != nil {
		return 0, err
	}
	op := operation{code: opWrite, desc: &t.descriptor, buf: p, off: off}
	n, err = t.perform(&op)
	t.end()
	return n, err
}

// plainReads reports whether buffered reads are system calls, whatever the page cache has: there is no ring, or the file
// system cannot be told not to wait (tmpfs, FUSE, /proc).
func (t *target) plainReads() bool {
	return !t.Direct && (!t.cached || t.dev.facts.nowait.Get() == route.No)
}

// transferNow is a buffered transfer by a system call; with offCurrent at the file position.
func (t *target) transferNow(code opcode, p []byte, off int64) (n int, err error) {
	pass, err := t.enter(&t.dev.plain, code.name())
	if err != nil {
		return 0, err
	}
	return t.transferWith(&pass, code, p, off)
}

// transferWith is transferNow for a caller that has been admitted.
func (t *target) transferWith(pass *pass, code opcode, p []byte, off int64) (n int, err error) {
	region := startRegion("ringfile.blocking")
	if code == opWrite {
		n, err = t.Pwrite(p, off)
	} else {
		n, err = t.Pread(p, off, off == offCurrent)
	}
	endRegion(region)
	t.learn()
	t.exit(&t.dev.plain, pass, n, true)
	return n, t.wrap(code.name(), err)
}

// transferHere is transferNow at the file position.
func (t *target) transferHere(code opcode, p []byte) (n int, err error) {
	if pass, ok := t.enterHere(&t.dev.plain); ok {
		return t.transferWith(&pass, code, p, offCurrent)
	}
	if err = t.refused(code.name()); err != nil { // at once, whoever has the position
		return 0, err
	}
	t.position.RLock()
	n, err = t.transferNow(code, p, offCurrent)
	t.position.RUnlock()
	return n, err
}

// ReadvAt reads from offset off into the buffers of vec, one after another, as ReadAt does into one; n
// is the total. With O_DIRECT the address and the length of each buffer must be aligned. See preadv(2).
func (f *File) ReadvAt(vec [][]byte, off int64) (n int, err error) {
	return f.at(context.Background(), operation{code: opReadv, vec: vec, off: off})
}

// WritevAt writes the buffers of vec, one after another, at offset off, as WriteAt does with one; n is
// the total. With O_DIRECT the address and the length of each buffer must be aligned. See pwritev(2).
func (f *File) WritevAt(vec [][]byte, off int64) (n int, err error) {
	return f.at(context.Background(), operation{code: opWritev, vec: vec, off: off})
}

// Read reads up to len(p) bytes into p from the file position and advances it. At the end of the file
// it returns 0, io.EOF. See read(2).
func (f *File) Read(p []byte) (n int, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	if !f.t.Seekable || len(p) == 0 {
		return f.t.OS.Read(p)
	}
	late := f.t.readBy.armed.Load()
	if !late {
		if n, done := f.t.readCachedHere(p); done {
			return n, nil
		}
		if f.t.plainReads() {
			return f.t.transferHere(opRead, p)
		}
	}
	op := operation{code: opRead, once: true, desc: &f.t.descriptor, buf: p, off: offCurrent}
	if late {
		return f.t.readWriteUntil(context.Background(), op)
	}
	return f.t.readWrite(&op)
}

// readCachedHere is readCached at the file position; if it is not done, it has read nothing. If the page cache ends
// before the file does, the missing part is read as well, as read(2) does, so the position must not move in between.
func (t *target) readCachedHere(p []byte) (n int, done bool) {
	if !t.cached || t.misses.Load() != 0 || t.dev.facts.nowait.Get() != route.Yes {
		return 0, false
	}
	if n = t.readHot(p); n > 0 {
		return n, true
	}
	if t.refused("") != nil {
		return 0, false
	}
	t.lockPosition(nil, nil)
	if !t.kernelsOwn() {
		n = t.readNow(p, offCurrent)
		if n > 0 && n < len(p) && t.betweenPages() {
			m, _ := t.readWriteAlone(&operation{code: opRead, once: true, desc: &t.descriptor, buf: p[n:], off: offCurrent})
			n += m // the next Read meets the error, if there is one
		}
	}
	t.position.Unlock()
	return n, n > 0
}

// betweenPages reports whether the page cache can end at the position.
func (t *target) betweenPages() bool {
	pos, err := t.Handle.Seek(0, io.SeekCurrent)
	return err == nil && pos%4096 == 0
}

// Write writes len(p) bytes from p at the file position, or at the end of a file opened with O_APPEND,
// and advances the position. It returns a non-nil error if it wrote fewer. See write(2).
func (f *File) Write(p []byte) (n int, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	if !f.t.Seekable || len(p) == 0 {
		return f.t.OS.Write(p)
	}
	t := &f.t
	if !t.Direct && !t.writeBy.armed.Load() && !t.left.any() {
		return t.transferHere(opWrite, p)
	}
	op := operation{code: opWrite, desc: &t.descriptor, buf: p, off: offCurrent}
	if t.writeBy.armed.Load() {
		return t.readWriteUntil(context.Background(), op)
	}
	return t.readWrite(&op)
}

// WriteString is Write for a string.
func (f *File) WriteString(s string) (n int, err error) {
	return f.Write(stringBytes(s))
}

// Sync commits the file's data and metadata to the device. It covers all writes that returned before it
// started. Goroutines that sync the same File at the same time share the system calls, and a failure
// (docs/durability.md). A failed Sync may have dropped the data that it could not write: treat
// everything written since the last successful Sync as lost; a later success says nothing about it. See
// fsync(2).
func (f *File) Sync() error { return f.control(context.Background(), operation{code: opFsync}) }

// Datasync is Sync without the metadata that is not needed to read the data back, such as timestamps.
// It is shared, and fails, as Sync does; a Datasync that waits may be served by a Sync. See fdatasync(2).
func (f *File) Datasync() error { return f.control(context.Background(), operation{code: opFdatasync}) }

// Close closes the file. Later calls, and calls in flight that the kernel can cancel, fail with an
// error that matches fs.ErrClosed. While others are in flight the descriptor stays open, and the last
// of them closes it; Close then returns nil without waiting.
func (f *File) Close() error {
	if err := f.shut(); err != nil {
		return err
	}
	return f.t.release()
}

// shut does what Close does at once: it refuses further calls and cancels those in flight. The owner's
// reference to the descriptor must still be released.
func (f *File) shut() error {
	if !f.valid() {
		return fs.ErrInvalid
	}
	t := &f.t
	others, ok := t.close()
	if !ok {
		return t.wrap("close", fs.ErrClosed)
	}
	if others {
		for q := range t.dev.everyQueue {
			q.cancelFile(&t.descriptor, func(opcode) bool { return true }, byFileClose)
		}
		t.line.dismiss(func(*request) bool { return true }, byFileClose)
		t.syncs.dismiss(func(*request) bool { return true }, byFileClose)
	}
	t.awaitShort()
	for _, d := range []*deadline{&t.readBy, &t.writeBy} {
		if d.armed.Load() {
			d.set(time.Time{}, nil)
		}
	}
	return nil
}
