package ringfile

import (
	"io"
	"io/fs"

	"syscall"
)

// The methods in this file do what os does, through os. Those that can wait for a device take a
// place among the bounded blocking calls.

// enter admits a call that is left to os; leave ends it. Whatever the file is, its inode and, of a
// directory, its entries may be on a device.
func (f *File) enter(word string) error {
	if err := f.begin(word); err != nil {
		return err
	}
	f.engine.blocking.acquire()
	return nil
}

func (f *File) leave() {
	f.engine.blocking.release()
	f.end()
}

// Name returns the name that the file was opened with.
func (f *File) Name() string { return f.os.Name() }

// Fd returns the descriptor, which stays the File's: it is valid until Close. A descriptor that
// os put into non-blocking mode is set back to blocking mode, as by os.File.Fd.
func (f *File) Fd() uintptr {
	if f == nil || f.os == nil {
		return ^uintptr(0)
	}
	if f.nonblock {
		setBlocking(f.fd)
	}
	return f.os.Fd()
}

// SyscallConn gives raw access to the descriptor, which cannot be closed in the meantime.
func (f *File) SyscallConn() (syscall.RawConn, error) {
	if f == nil || f.os == nil {
		return nil, fs.ErrInvalid
	}
	return f.os.SyscallConn()
}

// Stat describes the file. See fstat(2).
func (f *File) Stat() (fs.FileInfo, error) {
	if err := f.enter("stat"); err != nil {
		return nil, err
	}
	defer f.leave()
	return f.os.Stat()
}

// Seek moves the file position to offset, relative to the start, the position or the end
// (io.SeekStart, io.SeekCurrent, io.SeekEnd), and returns it. It waits for no device, but for a Read
// or Write that is under way, and, relative to the end, for a file server. See lseek(2).
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if err := f.begin("seek"); err != nil {
		return 0, err
	}
	defer f.end()
	if f.class == classDisk {
		f.position.Lock()
		defer f.position.Unlock()
	}
	return f.os.Seek(offset, whence)
}

// Truncate changes the file's size; it does not move the position. See ftruncate(2).
func (f *File) Truncate(size int64) error {
	if err := f.enter("truncate"); err != nil {
		return err
	}
	defer f.leave()
	return f.os.Truncate(size)
}

// Chmod changes the file's mode. See fchmod(2).
func (f *File) Chmod(mode fs.FileMode) error {
	if err := f.enter("chmod"); err != nil {
		return err
	}
	defer f.leave()
	return f.os.Chmod(mode)
}

// Chown changes the file's owner and group; -1 leaves one as it is. See fchown(2).
func (f *File) Chown(uid, gid int) error {
	if err := f.enter("chown"); err != nil {
		return err
	}
	defer f.leave()
	return f.os.Chown(uid, gid)
}

// Chdir makes the file, a directory, the current directory. See fchdir(2).
func (f *File) Chdir() error {
	if err := f.enter("chdir"); err != nil {
		return err
	}
	defer f.leave()
	return f.os.Chdir()
}

// ReadDir reads the directory's next n entries, all that are left if n <= 0; then the error is nil
// at the end, and io.EOF otherwise.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	if err := f.enter("readdir"); err != nil {
		return nil, err
	}
	defer f.leave()
	return f.os.ReadDir(n)
}

// Readdir is ReadDir with a FileInfo for each entry.
func (f *File) Readdir(n int) ([]fs.FileInfo, error) {
	if err := f.enter("readdir"); err != nil {
		return nil, err
	}
	defer f.leave()
	return f.os.Readdir(n)
}

// Readdirnames is ReadDir for the names alone.
func (f *File) Readdirnames(n int) (names []string, err error) {
	if err := f.enter("readdir"); err != nil {
		return nil, err
	}
	defer f.leave()
	return f.os.Readdirnames(n)
}

// ReadFrom copies from r to the file until r ends. From another file, a pipe or a connection the
// data moves inside the kernel where that is possible (copy_file_range(2), splice(2)).
func (f *File) ReadFrom(r io.Reader) (n int64, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	src, ok := kernelSource(r)
	if f.class == classOther {
		// Without begin: os counts its users itself, so that Close can interrupt the copy.
		if !ok {
			src = r
		}
		return copied(r, src)(f.os.ReadFrom(src))
	}
	if !ok || f.direct || f.writeBy.armed.Load() {
		return io.Copy(writerOnly{f}, r)
	}
	if err := f.begin("write"); err != nil {
		return 0, err
	}
	defer f.end()
	f.position.Lock()
	defer f.position.Unlock()
	return copied(r, src)(f.os.ReadFrom(src))
}

// copied returns a function that passes a result on, and charges what was copied from src, which
// stood in for r, to r if that is limited.
func copied(r, src io.Reader) func(n int64, err error) (int64, error) {
	return func(n int64, err error) (int64, error) {
		if lim, ok := r.(*io.LimitedReader); ok && src != r {
			lim.N = src.(*io.LimitedReader).N
		}
		return n, err
	}
}

// WriteTo copies the file from its position to w until it ends. To a connection or another file
// the data moves inside the kernel where that is possible (sendfile(2), copy_file_range(2)).
func (f *File) WriteTo(w io.Writer) (n int64, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	if dst, ok := w.(*File); ok && dst != nil && dst.os != nil {
		return dst.ReadFrom(f)
	}
	if f.class == classOther {
		return f.os.WriteTo(w) // without begin, as in ReadFrom
	}
	if _, ok := w.(syscall.Conn); !ok || f.direct || f.readBy.armed.Load() {
		return io.Copy(w, readerOnly{f})
	}
	if err := f.begin("read"); err != nil {
		return 0, err
	}
	defer f.end()
	f.position.Lock()
	defer f.position.Unlock()
	return f.os.WriteTo(w)
}

// writerOnly and readerOnly hide ReadFrom and WriteTo from io.Copy, which would call them again.
type writerOnly struct{ io.Writer }
type readerOnly struct{ io.Reader }

// kernelSource returns r as os knows it, if r may be something that the kernel can copy from.
func kernelSource(r io.Reader) (io.Reader, bool) {
	switch r := r.(type) {
	case *File:
		if r == nil || r.os == nil || r.direct || r.readBy.armed.Load() {
			return nil, false
		}
		return r.os, true
	case *io.LimitedReader:
		src, ok := kernelSource(r.R)
		if !ok {
			return nil, false
		}
		if src == r.R {
			return r, true
		}
		return &io.LimitedReader{R: src, N: r.N}, true
	case syscall.Conn: // *os.File, network connections
		return r.(io.Reader), true
	}
	return nil, false
}
