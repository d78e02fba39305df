package ringfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// The methods in this file do what os does, through os. Those that can wait for a device take one of
// the permits for blocking calls.

// osCall makes a call of os, named for its errors, with a reference to the descriptor and a permit.
func osCall[T any](f *File, name string, call func(*os.File) (T, error)) (v T, err error) {
	if !f.valid() {
		return v, fs.ErrInvalid
	}
	if err := f.t.begin(name); err != nil {
		return v, err
	}
	defer f.t.end()
	permit := f.t.dev.calls.Acquire()
	defer f.t.dev.calls.Release(&permit)
	return call(f.t.OS)
}

// osDo is osCall for a call that returns only an error.
func osDo(f *File, name string, call func(*os.File) error) error {
	_, err := osCall(f, name, func(o *os.File) (struct{}, error) { return struct{}{}, call(o) })
	return err
}

// Name returns the name that the file was opened with.
func (f *File) Name() string { return f.t.OS.Name() }

// Fd returns the file descriptor, which still belongs to the File: it is valid until Close. As with
// os.File.Fd, a descriptor that os has put into non-blocking mode is set back to blocking mode.
func (f *File) Fd() uintptr {
	if !f.valid() {
		return ^uintptr(0)
	}
	f.t.setBlocking()
	return f.t.OS.Fd()
}

// Dup returns an *os.File with its own descriptor for the same open file, sharing the position. It is
// for interfaces that accept nothing else, such as exec.Cmd's Stdin, Stdout and ExtraFiles, or
// net.FileConn. Both files must be closed. Dup waits for a Read or Write of a file on disk in progress.
// A pipe or terminal that os put into non-blocking mode is set back to blocking mode, as by Fd: the open
// file has one mode, and programs expect that one. The error matches errors.ErrUnsupported on systems
// without dup(2).
func (f *File) Dup() (*os.File, error) {
	if !f.valid() {
		return nil, fs.ErrInvalid
	}
	if err := f.t.begin("dup"); err != nil {
		return nil, err
	}
	defer f.t.end()
	if f.t.Seekable {
		f.t.leaveToKernel()
	} else {
		f.t.setBlocking()
	}
	o, err := f.t.Handle.Dup()
	return o, f.t.wrap("dup", err)
}

// SyscallConn gives raw access to the descriptor, which cannot be closed while it is being used. A call
// made with it blocks a thread that ringfile does not count, and ignores deadlines. So on a file on disk
// that has a read deadline the RawConn's Read fails, without calling its function: net, which uses it to
// have the kernel send the file to a connection (io.CopyN, http.ServeContent), then uses File.Read.
func (f *File) SyscallConn() (syscall.RawConn, error) {
	if !f.valid() {
		return nil, fs.ErrInvalid
	}
	raw, err := f.t.OS.SyscallConn()
	if err != nil || !f.t.Seekable {
		return raw, err
	}
	return rawConn{raw, &f.t}, nil
}

// rawConn is the RawConn of a file on disk.
type rawConn struct {
	syscall.RawConn
	t *target
}

func (c rawConn) Read(fn func(fd uintptr) bool) error {
	if c.t.readBy.armed.Load() {
		return c.t.wrap("rawread", errDeadlineRaw)
	}
	c.t.leaveToKernel() // as fn may move it
	return c.RawConn.Read(fn)
}

func (c rawConn) Write(fn func(fd uintptr) bool) error {
	c.t.leaveToKernel()
	return c.RawConn.Write(fn)
}

var errDeadlineRaw = errors.New("the file has a deadline, which a call with its descriptor does not know: use its Read, or SetReadDeadline(time.Time{})")

// Stat describes the file. See fstat(2).
func (f *File) Stat() (fs.FileInfo, error) {
	if !f.valid() {
		return nil, fs.ErrInvalid
	}
	if !f.t.Seekable {
		return osCall(f, "stat", (*os.File).Stat)
	}
	if err := f.t.refused("stat"); err != nil {
		return nil, err
	}
	permit := f.t.dev.calls.Acquire()
	defer f.t.dev.calls.Release(&permit)
	return f.t.OS.Stat() // which keeps the descriptor open itself, and never has Close wait
}

// Seek sets the file position to offset, relative to the start, the current position or the end
// (io.SeekStart, io.SeekCurrent, io.SeekEnd), and returns the new position. It never waits for a disk,
// but it waits for a Read or Write in progress and, relative to the end, for a file server. See
// lseek(2).
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	if err := f.t.begin("seek"); err != nil {
		return 0, err
	}
	defer f.t.end()
	if f.t.Seekable && whence <= io.SeekCurrent {
		// It can wait for nothing but the position, which nobody else has now, unless it was left behind with it.
		f.t.lockPosition(nil, nil)
		if !f.t.kernelsOwn() && !f.t.left.any() {
			pos, err := f.t.Handle.Seek(offset, whence)
			f.t.position.Unlock()
			return max(pos, 0), f.t.wrap("seek", err)
		}
		f.t.position.Unlock()
	}
	f.t.position.RLock()
	defer f.t.position.RUnlock()
	if f.t.Seekable { // it may wait for a transfer that has the position in the kernel
		permit := f.t.dev.calls.Acquire()
		defer f.t.dev.calls.Release(&permit)
	}
	return f.t.OS.Seek(offset, whence)
}

// Truncate changes the file's size; it does not move the position. See ftruncate(2).
func (f *File) Truncate(size int64) error {
	return osDo(f, "truncate", func(o *os.File) error { return o.Truncate(size) })
}

// Chmod changes the file's mode. See fchmod(2).
func (f *File) Chmod(mode fs.FileMode) error {
	return osDo(f, "chmod", func(o *os.File) error { return o.Chmod(mode) })
}

// Chown changes the file's owner and group; -1 leaves either unchanged. See fchown(2).
func (f *File) Chown(uid, gid int) error {
	return osDo(f, "chown", func(o *os.File) error { return o.Chown(uid, gid) })
}

// Chdir changes the current directory to the file, which must be a directory. See fchdir(2).
func (f *File) Chdir() error { return osDo(f, "chdir", (*os.File).Chdir) }

// ReadDir reads the next n entries of the directory. If n <= 0 it reads all that are left and returns a
// nil error at the end of the directory; otherwise it returns io.EOF there.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	return osCall(f, "readdir", func(o *os.File) ([]fs.DirEntry, error) { return o.ReadDir(n) })
}

// Readdir is ReadDir with a FileInfo for each entry.
func (f *File) Readdir(n int) ([]fs.FileInfo, error) {
	return osCall(f, "readdir", func(o *os.File) ([]fs.FileInfo, error) { return o.Readdir(n) })
}

// Readdirnames is ReadDir returning only the names.
func (f *File) Readdirnames(n int) (names []string, err error) {
	return osCall(f, "readdir", func(o *os.File) ([]string, error) { return o.Readdirnames(n) })
}

// Direct reports whether the file was opened with O_DIRECT.
func (f *File) Direct() bool { return f.valid() && f.t.Direct }

// Alignment is what O_DIRECT requires of transfers on a file.
type Alignment struct {
	Memory int // of a buffer's address, in bytes
	Offset int // of a transfer's offset and length, in bytes
	// Reported is true if the kernel supplied these values (statx(2) with STATX_DIOALIGN, Linux 6.1).
	// Otherwise they are 4096, which suits nearly all devices.
	Reported bool
}

// DirectAlign returns the alignment that transfers on this file need if it is opened with O_DIRECT. The
// error matches errors.ErrUnsupported if the file cannot be opened with O_DIRECT.
func (f *File) DirectAlign() (Alignment, error) {
	return osCall(f, "statx", func(*os.File) (Alignment, error) {
		memory, offset, err := f.t.Alignment()
		if err != nil {
			return Alignment{}, f.t.wrap("statx", err)
		}
		if memory == 0 {
			return Alignment{Memory: 4096, Offset: 4096}, nil
		}
		return Alignment{Memory: memory, Offset: offset, Reported: true}, nil
	})
}

// ReadFrom copies from r to the file until r ends. From another file, a pipe or a connection, the data
// is moved inside the kernel where possible (copy_file_range(2), splice(2)). A copy from a pipe or a
// connection, which may be silent for long, does not count against the limit on blocking calls.
func (f *File) ReadFrom(r io.Reader) (n int64, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	src, silent := osReader(r)
	if src.Reader == nil {
		src.Reader = r
		if f.t.Seekable {
			return io.Copy(writerOnly{f}, r)
		}
	}
	if f.t.Seekable && (f.t.Direct || f.t.writeBy.armed.Load()) {
		return io.Copy(writerOnly{f}, r)
	}
	if src.of != nil && src.of.Seekable {
		src.of.beginCopy(true) // not alone, as two Files may be copied to one another
		defer src.of.endCopy(true)
	}
	// Without a use of the descriptor: os counts its users itself, so that Close can end the copy.
	if f.t.Seekable {
		if err := f.t.begin("write"); err != nil {
			return 0, err
		}
		f.t.end()
		f.t.beginCopy(silent)
		defer f.t.endCopy(silent)
		if !silent {
			permit := f.t.dev.calls.Acquire()
			defer f.t.dev.calls.Release(&permit)
		}
	}
	n, err = f.t.OS.ReadFrom(src.Reader)
	src.took(n)
	return n, f.closedError("write", err)
}

// closedError gives an error of os about a closed file its usual form.
func (f *File) closedError(name string, err error) error {
	if err != nil && f.t.closed() && errors.Is(err, os.ErrClosed) {
		return f.t.wrap(name, fs.ErrClosed)
	}
	return err
}

// WriteTo copies the file from its position to its end to w. If w is a connection or another file, the
// data is moved inside the kernel where possible (sendfile(2), copy_file_range(2)).
func (f *File) WriteTo(w io.Writer) (n int64, err error) {
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	if dst, ok := w.(*File); ok && dst.valid() {
		return dst.ReadFrom(f)
	}
	if !f.t.Seekable {
		return f.t.OS.WriteTo(w)
	}
	if _, ok := w.(syscall.Conn); !ok || f.t.Direct || f.t.readBy.armed.Load() {
		return io.Copy(w, readerOnly{f})
	}
	if err := f.t.begin("read"); err != nil {
		return 0, err
	}
	f.t.end()
	o, ok := w.(*os.File)
	silent := !ok || mayBeSilent(o)
	f.t.beginCopy(silent)
	defer f.t.endCopy(silent)
	if !silent {
		permit := f.t.dev.calls.Acquire()
		defer f.t.dev.calls.Release(&permit)
	}
	n, err = f.t.OS.WriteTo(w)
	return n, f.closedError("read", err)
}

// writerOnly and readerOnly hide ReadFrom and WriteTo from io.Copy, which would call them again.
type writerOnly struct{ io.Writer }
type readerOnly struct{ io.Reader }

// source is a reader as os knows it, and the limited reader, if there is one, that the copied bytes are
// deducted from.
type source struct {
	io.Reader
	limited *io.LimitedReader
	of      *target // of the File that is read, if it is one
}

func (s source) took(n int64) {
	if s.limited != nil {
		s.limited.N -= n
	}
}

// osReader returns r as os knows it, if it may be something that the kernel can copy from, and whether
// it may be silent for long.
func osReader(r io.Reader) (src source, silent bool) {
	switch r := r.(type) {
	case *File:
		if r.valid() && !r.t.Direct && !r.t.readBy.armed.Load() {
			return source{Reader: r.t.OS, of: &r.t}, !r.t.Seekable && !isDir(r.t.OS)
		}
	case *os.File:
		return source{Reader: r}, mayBeSilent(r)
	case *io.LimitedReader:
		if _, nested := r.R.(*io.LimitedReader); nested {
			return src, false
		}
		if src, silent = osReader(r.R); src.Reader != nil {
			return source{&io.LimitedReader{R: src.Reader, N: r.N}, r, src.of}, silent
		}
	case syscall.Conn: // network connections
		return source{Reader: r.(io.Reader)}, true
	}
	return src, false
}

// mayBeSilent reports whether transfers of f may wait for somebody, rather than for a device.
func mayBeSilent(f *os.File) bool {
	st, err := f.Stat()
	return err != nil || !st.Mode().IsRegular() && !st.IsDir()
}

func isDir(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.IsDir()
}
