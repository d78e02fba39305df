package ringfile

import (
	"context"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// File is an open file: the method set of *os.File with the same results and errors, and calls
// that park the goroutine instead of holding an OS thread while they wait for a device.
//
// All methods are safe for concurrent use. Calls on a nil *File return fs.ErrInvalid. Errors are
// *fs.PathError with the words that os uses, except io.EOF, which is bare. A buffer that is passed
// to a method belongs to it until the method returns, and is never kept longer.
//
// What is beyond os: deadlines work on regular files (SetDeadline), most calls that wait have a
// form with a context, ReadvAt and WritevAt take several buffers, Datasync, Allocate and Prefetch
// reach the system calls of that name, and the Start methods return a Future. ReadMulti, Batch and
// Chain carry out many operations together or in order.
type File struct {
	engine *Engine
	os     *os.File // owns the descriptor; carries out what needs no ring and is not a mere transfer
	fd     int      // valid between begin and end
	life   life
	class  class
	direct bool // O_DIRECT
	append bool // O_APPEND

	opened   int64 // how large the file was when it was opened by its name; 0 if that is not known
	nonblock bool  // openFile has put the descriptor into non-blocking mode, for the poller
	volume   *volume

	// position is held by calls on disk that use the file position, writing while O_DIRECT is off.
	// Of other files, position is held by reads with a context and writing by writes with one.
	position sync.Mutex
	writing  sync.Mutex

	misses  atomic.Int32  // reads in a row that were not in the page cache
	size    atomic.Int64  // of the file when it was last asked for, see grows
	ram     atomic.Uint32 // an ability: whether the file is in memory for good, see learn
	synced  atomic.Int32  // direct writes to go until they are no longer those of one who syncs
	readBy  deadline
	writeBy deadline
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

// class is how a file is handled, by what it is.
type class uint8

const (
	// classOther leaves everything to os: pipes, FIFOs, sockets and terminals, which the runtime's
	// poller serves, directories and devices. They may wait for this very program, and so must not
	// take a place among requests in flight, whose number is bounded.
	classOther class = iota
	// classDisk is a regular file or a block device: offsets, a position, a page cache, and waits
	// that end by themselves.
	classDisk
)

// Open opens the named file for reading. Errors are *fs.PathError.
func Open(name string) (*File, error) { return OpenFile(name, os.O_RDONLY, 0) }

// Create creates or truncates the named file, with mode 0666 before umask, for reading and
// writing. Errors are *fs.PathError.
func Create(name string) (*File, error) {
	return OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile opens the named file with the flags and, if it is created, the mode before umask, as
// os.OpenFile does. With syscall.O_DIRECT among the flags transfers bypass the page cache, and
// buffers, lengths and offsets must be aligned as DirectAlign says. Errors are *fs.PathError.
func OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	e, err := Default()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.OpenFile(name, flag, perm)
}

// CreateTemp creates a new temporary file as os.CreateTemp does and opens it for reading and
// writing. The caller removes it.
func CreateTemp(dir, pattern string) (*File, error) { return FileSystem{}.CreateTemp(dir, pattern) }

// NewFile makes a File of f, which it takes over: f must not be used or closed any more, not even
// by others that hold it. The File keeps f's name, position and descriptor. It returns nil if f
// is nil, and for a default engine that cannot be made.
func NewFile(f *os.File) *File {
	e, err := Default()
	if err != nil {
		return nil
	}
	return e.NewFile(f)
}

// ReadFile reads the named file whole, as os.ReadFile does: reaching the end is not an error.
func ReadFile(name string) ([]byte, error) {
	e, err := Default()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.ReadFile(name)
}

// WriteFile writes data to the named file, creating it with mode perm before umask or truncating
// it, as os.WriteFile does. A failure half-way leaves the file half written.
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	e, err := Default()
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.WriteFile(name, data, perm)
}

// Open is the package's Open on this engine.
func (e *Engine) Open(name string) (*File, error) { return e.OpenFile(name, os.O_RDONLY, 0) }

// Create is the package's Create on this engine.
func (e *Engine) Create(name string) (*File, error) {
	return e.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile is the package's OpenFile on this engine.
func (e *Engine) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	if e.closed.Load() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrEngineClosed}
	}
	defer e.leaveCall(e.takePlace(true))
	return e.openFile(name, flag, perm)
}

// CreateTemp is the package's CreateTemp on this engine.
func (e *Engine) CreateTemp(dir, pattern string) (*File, error) {
	return e.FileSystem().CreateTemp(dir, pattern)
}

// NewFile is the package's NewFile on this engine.
func (e *Engine) NewFile(f *os.File) *File {
	if f == nil {
		return nil
	}
	file := &File{engine: e, os: f, fd: -1}
	file.life.init()
	file.classify()
	return file
}

// ReadFile is the package's ReadFile on this engine.
func (e *Engine) ReadFile(name string) ([]byte, error) { return e.FileSystem().ReadFile(name) }

// WriteFile is the package's WriteFile on this engine.
func (e *Engine) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return e.FileSystem().WriteFile(name, data, perm)
}

// begin admits an operation: the descriptor stays open until end. word is for the error.
func (f *File) begin(word string) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	if !f.life.incref() {
		return &fs.PathError{Op: word, Path: f.os.Name(), Err: fs.ErrClosed}
	}
	if f.engine.closed.Load() {
		f.life.decref(f)
		return &fs.PathError{Op: word, Path: f.os.Name(), Err: ErrEngineClosed}
	}
	return nil
}

func (f *File) end() { f.life.decref(f) }

// wrap makes err, from a transfer, what os would return.
func (f *File) wrap(word string, err error) error {
	switch err {
	case nil, io.EOF:
		return err
	}
	if _, ok := err.(*fs.PathError); ok {
		return err
	}
	return &fs.PathError{Op: word, Path: f.os.Name(), Err: err}
}

// outcome turns what became of an operation into an error: why it was cancelled if it was, the
// kernel's error, or the rule for transfers that ended early.
func (f *File) outcome(code opcode, word string, n int, want int64, errno syscall.Errno, why cause, reason error) error {
	switch {
	case errno == syscall.ECANCELED && why == byCaller && reason != nil:
		return f.wrap(word, reason)
	case errno == syscall.ECANCELED && why == byDeadline:
		return f.wrap(word, os.ErrDeadlineExceeded)
	case errno == syscall.ECANCELED && why == byFileClose:
		return f.wrap(word, fs.ErrClosed)
	case errno == syscall.ECANCELED && why == byEngineClose:
		return f.wrap(word, ErrEngineClosed)
	case errno != 0:
		return f.wrap(word, f.explain(errno))
	case code.reads() && int64(n) < want:
		return io.EOF
	case code.writes() && int64(n) < want:
		return f.wrap(word, io.ErrUnexpectedEOF)
	}
	return nil
}

// perform carries op out, on the road that is best for it, and waits until it is finished. The
// caller has called begin. word is for the error; it is the word of os, which is the same for all
// reads and for all writes.
func (f *File) perform(op *operation, word string) (int, error) {
	n, errno, road := f.tryInline(op)
	if road == roadRing {
		if op.code.writes() && f.syncs() {
			road = roadBlocking
		} else if a := f.alone(op, n); a != nil {
			defer a.leave()
			road = roadBlocking
		}
	}
	if road == roadRing {
		var handled bool
		var why cause
		if op.code <= opWrite && op.off == offCurrent && f.class == classDisk {
			n, errno, why, handled = f.runAtPosition(op, n)
		} else {
			n, errno, why, handled = f.engine.run(op, n)
		}
		if handled {
			f.engine.stats.ring.add(1)
			if why != notCancelled || !f.retreats(errno) {
				return n, f.outcome(op.code, word, n, f.due(op), errno, why, nil)
			}
		} else if err := f.refused(word); err != nil {
			return n, err
		}
		road = roadBlocking
	}
	if road == roadBlocking {
		return f.block(op, n, word)
	}
	return n, f.outcome(op.code, word, n, f.due(op), errno, notCancelled, nil)
}

// alone admits op, behind the first n bytes, to the transfers that are left to system calls as they are
// few; nil if it is not one of those. The caller leaves.
func (f *File) alone(op *operation, n int) *alone {
	reads := op.code.reads() && !f.direct && op.want()-n >= f.engine.tuning.aloneRead
	if !reads && !op.code.writes() {
		return nil
	}
	r := f.engine.pick()
	a := &r.writes
	if reads {
		a = &r.reads
	}
	if !a.enter(r) {
		return nil
	}
	return a
}

// refused returns the error of an operation that came too late for a ring, because the file or the
// engine has been closed since begin; nil if another road may be taken.
func (f *File) refused(word string) error {
	switch {
	case f.life.closed():
		return f.wrap(word, fs.ErrClosed)
	case f.engine.closed.Load():
		return f.wrap(word, ErrEngineClosed)
	}
	return nil
}

// block carries op out in this goroutine, behind the first n bytes, with its thread.
func (f *File) block(op *operation, n int, word string) (int, error) {
	if f.class != classDisk {
		return f.blockCounted(op, n, word)
	}
	place, region := f.engine.takePlace(f.mayHang()), startRegion("ringfile.blocking")
	m, err := f.blockingCall(op, n, word)
	endRegion(region)
	f.leavePlain(place, m-n)
	return m, err
}

// blockCounted is blockingCall for a caller that has its place or needs none, counted.
func (f *File) blockCounted(op *operation, n int, word string) (int, error) {
	stats := &f.engine.stats
	region := startRegion("ringfile.blocking")
	stamp := stats.stamps.begin()
	m, err := f.blockingCall(op, n, word)
	stats.stamps.end(stamp)
	endRegion(region)
	stats.blocking.add(max(m-n, 0))
	return m, err
}

// blockUnless is block for an operation that may be given up while it waits for its place, by stop,
// late or givenUp: the cause says by whom, and then nothing has been done.
func (f *File) blockUnless(op *operation, n int, word string, stop, late <-chan struct{}, givenUp func() bool) (int, cause, error) {
	if f.class == classDisk || op.code == opPath {
		if !f.engine.blocking.acquireUntil(stop, late) {
			return n, byCaller, nil
		}
		defer f.engine.blocking.release()
	}
	switch {
	case givenUp():
		return n, byCaller, nil
	case f.life.closed():
		return n, byFileClose, nil
	case f.engine.closed.Load():
		return n, byEngineClose, nil
	}
	n, err := f.blockCounted(op, n, word)
	return n, notCancelled, err
}

// due returns how many bytes op must have moved not to have ended early. One that is content with
// a single transfer must have moved something.
func (f *File) due(op *operation) int64 {
	want := op.want()
	if op.once {
		want = min(want, 1)
	}
	return int64(want)
}

// ReadAt reads len(p) bytes into p from offset off. It returns how many it read, and a non-nil
// error if that is less: io.EOF at the end of the file. A read that ends exactly there returns
// len(p), nil. It neither uses nor moves the file position. See pread(2).
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	if f.class != classDisk || off < 0 {
		return f.os.ReadAt(p, off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.readBy.armed.Load() {
		return f.transferUntil(context.Background(), operation{code: opRead, file: f, buf: p, off: off}, "read")
	}
	if err := f.begin("read"); err != nil {
		return 0, err
	}
	if n, done := f.readHot(p, off); done {
		f.end()
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	if f.plain(true) {
		n, err = f.plainReadAt(p, off)
	} else {
		op := operation{code: opRead, file: f, buf: p, off: off}
		n, err = f.perform(&op, "read")
	}
	f.end()
	return n, err
}

// WriteAt writes len(p) bytes from p at offset off. It returns how many it wrote, and a non-nil
// error if that is less. It neither uses nor moves the file position, and fails on a file opened
// with O_APPEND. See pwrite(2).
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	if f.class != classDisk || off < 0 || f.append {
		return f.os.WriteAt(p, off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.writeBy.armed.Load() {
		return f.transferUntil(context.Background(), operation{code: opWrite, file: f, buf: p, off: off}, "write")
	}
	if err := f.begin("write"); err != nil {
		return 0, err
	}
	if f.plain(false) {
		n, err = f.plainWriteAt(p, off)
	} else {
		op := operation{code: opWrite, file: f, buf: p, off: off}
		n, err = f.perform(&op, "write")
	}
	f.end()
	return n, err
}

// ReadvAt reads into the buffers of vec, one after the other, from offset off, as ReadAt does into
// one: the count is over all of them. For direct transfers each of them must be aligned, address and
// length. See preadv(2).
func (f *File) ReadvAt(vec [][]byte, off int64) (n int, err error) {
	return f.vectored(opReadv, vec, off, "read")
}

// WritevAt writes the buffers of vec, one after the other, at offset off, as WriteAt does with
// one: the count is over all of them. For direct transfers each of them must be aligned, address and
// length. See pwritev(2).
func (f *File) WritevAt(vec [][]byte, off int64) (n int, err error) {
	return f.vectored(opWritev, vec, off, "write")
}

func (f *File) vectored(code opcode, vec [][]byte, off int64, word string) (n int, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	op := operation{code: code, file: f, vec: vec, off: off}
	if f.class != classDisk || off < 0 || code.writes() && f.append {
		n, err = f.eachAt(&op, 0)
		return n, err
	}
	if op.want() == 0 {
		return 0, nil
	}
	if f.deadlineOf(code).armed.Load() {
		return f.transferUntil(context.Background(), op, word)
	}
	if err := f.begin(word); err != nil {
		return 0, err
	}
	n, err = f.perform(&op, word)
	f.end()
	return n, err
}

// Read reads up to len(p) bytes into p from the file position and moves it on. At the end of the
// file it returns 0, io.EOF. See read(2).
func (f *File) Read(p []byte) (n int, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	if f.class == classOther {
		return f.os.Read(p)
	}
	if len(p) == 0 {
		if err := f.begin("read"); err != nil {
			return 0, err
		}
		defer f.end()
		return f.os.Read(p)
	}
	if f.readBy.armed.Load() {
		return f.readUntil(context.Background(), p)
	}
	f.position.Lock()
	defer f.position.Unlock()
	if err := f.begin("read"); err != nil {
		return 0, err
	}
	defer f.end()
	op := operation{code: opRead, once: true, file: f, buf: p, off: offCurrent}
	return f.perform(&op, "read")
}

// Write writes len(p) bytes from p at the file position, or at the end of a file opened with
// O_APPEND, and moves the position on. It returns a non-nil error if it wrote fewer. See write(2).
func (f *File) Write(p []byte) (n int, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	if f.class == classOther {
		return f.os.Write(p)
	}
	if len(p) == 0 {
		if err := f.begin("write"); err != nil {
			return 0, err
		}
		defer f.end()
		return f.os.Write(p)
	}
	if f.writeBy.armed.Load() {
		return f.writeUntil(context.Background(), p)
	}
	f.position.Lock()
	defer f.position.Unlock()
	if err := f.begin("write"); err != nil {
		return 0, err
	}
	defer f.end()
	if f.plain(false) {
		return f.plainWriteAt(p, offCurrent)
	}
	op := operation{code: opWrite, file: f, buf: p, off: offCurrent}
	return f.perform(&op, "write")
}

// WriteString is Write for a string.
func (f *File) WriteString(s string) (n int, err error) {
	return f.Write(stringBytes(s))
}

// Sync commits the file's data and metadata to the device. See fsync(2). A failed Sync may have
// dropped the data that it could not write: what was written since the last successful one must
// be taken for lost, and a later success says nothing about it.
func (f *File) Sync() error { return f.sync(opFsync) }

// Datasync is Sync without the metadata that is not needed to read the data back, such as times.
// See fdatasync(2).
func (f *File) Datasync() error { return f.sync(opFdatasync) }

func (f *File) sync(code opcode) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	if f.class != classDisk {
		return f.os.Sync()
	}
	if f.writeBy.armed.Load() {
		return f.controlUntil(context.Background(), &operation{code: code, file: f}, "sync")
	}
	// Not through a ring: a goroutine saves its thread there at the price of a kernel thread, and
	// of a quarter more processor time (docs/decisions.md).
	if err := f.begin("sync"); err != nil {
		return err
	}
	defer f.end()
	if f.direct {
		f.synced.Store(syncMemory)
	}
	place, region := f.engine.takePlace(f.mayHang()), startRegion("ringfile.blocking")
	err := f.flush(code)
	endRegion(region)
	f.leavePlain(place, 0)
	return err
}

// control carries out an operation that moves no data.
func (f *File) control(op *operation, word string) error {
	if err := f.begin(word); err != nil {
		return err
	}
	defer f.end()
	_, err := f.perform(op, word)
	return err
}

// Allocate reserves space on the device for the length bytes at off and extends the file to hold
// them, so that writing there cannot fail for lack of space. See fallocate(2). The error matches
// errors.ErrUnsupported on file systems that cannot.
func (f *File) Allocate(off, length int64) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	return f.control(&operation{code: opAllocate, file: f, off: off, length: length}, "allocate")
}

// Prefetch asks for the length bytes at off to be read into the page cache, and does not wait for
// them; a length of zero means up to the end of the file. It is a hint: there may be no room, and
// O_DIRECT reads do not use the page cache. See posix_fadvise(2), POSIX_FADV_WILLNEED.
func (f *File) Prefetch(off, length int64) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	if length < 0 {
		return f.wrap("prefetch", syscall.EINVAL)
	}
	return f.control(&operation{code: opPrefetch, file: f, off: off, length: length}, "prefetch")
}

// Close closes the file. Calls that come later, and those in flight that the kernel can give up,
// fail with an error that matches fs.ErrClosed. While others are in flight the descriptor stays
// open, and the last of them closes it; then Close returns nil without waiting.
func (f *File) Close() error {
	if err := f.shut(); err != nil {
		return err
	}
	return f.life.decref(f)
}

// shut does what Close does at once: it refuses further calls and cancels those in flight. The
// owner's use of the descriptor is then still to be dropped.
func (f *File) shut() error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	others, ok := f.life.close()
	if !ok {
		return &fs.PathError{Op: "close", Path: f.os.Name(), Err: fs.ErrClosed}
	}
	if others {
		for r := range f.engine.everyRing {
			r.dismissFile(f)
			r.cancelFile(f, func(opcode) bool { return true }, byFileClose)
		}
	}
	f.readBy.set(time.Time{}, nil)
	f.writeBy.set(time.Time{}, nil)
	return nil
}

// life counts what uses the descriptor: its owner, until Close, and each operation in flight.
// The last one closes it, once.
type life struct {
	uses atomic.Int64 // with closedBit
}

const closedBit = 1 << 62

func (l *life) init() { l.uses.Store(1) }

// incref admits a user; false after close.
func (l *life) incref() bool {
	for {
		n := l.uses.Load()
		if n&closedBit != 0 {
			return false
		}
		if l.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// closed reports whether close has been called.
func (l *life) closed() bool { return l.uses.Load()&closedBit != 0 }

// share adds a use on behalf of somebody who has one.
func (l *life) share() { l.uses.Add(1) }

// close refuses further users; ok is false if that was done before. others reports whether there
// are users beside the owner, who must still call decref.
func (l *life) close() (others, ok bool) {
	for {
		n := l.uses.Load()
		if n&closedBit != 0 {
			return false, false
		}
		if l.uses.CompareAndSwap(n, n|closedBit) {
			return n > 1, true
		}
	}
}

// decref ends a use. The last one closes the descriptor and returns what came of it.
func (l *life) decref(f *File) error {
	if l.uses.Add(-1) == closedBit {
		return f.os.Close()
	}
	return nil
}

// decrefAsync is decref for those who must not wait: closing can take long.
func (l *life) decrefAsync(f *File) {
	if l.uses.Add(-1) == closedBit {
		go f.os.Close()
	}
}
