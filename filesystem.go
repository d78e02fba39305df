package ringfile

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// FileSystem has the calls of package os that take names instead of files, with the same results
// and errors: *fs.PathError, and *os.LinkError for calls with two names. The zero value works on the
// default engine; the functions of the package that have the same names are its methods.
//
// Without a context a call is the system call that os makes, in the caller's thread, a bounded
// number at a time: the kernel would only hand it from a ring to one of its threads. With a context
// (WithContext) a call returns when that ends, with the cause of the context in its error; if it
// had begun it may take effect even later, but none of its results is lost or leaked. Such calls go
// through a ring where the kernel has them: Stat and Lstat since Linux 5.6, Remove and Rename since
// 5.11, Mkdir, Link and Symlink since 5.15, Getxattr and Setxattr since 5.19. Others hold a thread.
// They are not made in the caller's thread, whose own credentials, if it has any, do not count.
//
// A FileSystem is a small value, to be copied. All methods are safe for concurrent use.
type FileSystem struct {
	engine *Engine         // nil: the default engine
	ctx    context.Context // nil: calls are not given up
}

// FileSystem returns the file-system calls on this engine.
func (e *Engine) FileSystem() FileSystem { return FileSystem{engine: e} }

// WithContext returns the same calls, given up when ctx ends.
func (s FileSystem) WithContext(ctx context.Context) FileSystem {
	if ctx.Done() == nil {
		ctx = nil // it never ends
	}
	s.ctx = ctx
	return s
}

// Open is Engine.Open. See OpenFile.
func (s FileSystem) Open(name string) (*File, error) { return s.OpenFile(name, os.O_RDONLY, 0) }

// Create is Engine.Create. See OpenFile.
func (s FileSystem) Create(name string) (*File, error) {
	return s.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile is Engine.OpenFile. It holds a thread while it waits; a file that is opened after the
// context has ended is closed again.
func (s FileSystem) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	e, err := s.admit(&call{word: "open", name: name})
	if err != nil {
		return nil, err
	}
	if s.ctx == nil {
		return e.OpenFile(name, flag, perm)
	}
	return value(s, call{word: "open", name: name},
		func() (*File, error) { return e.openFile(name, flag, perm) }, func(f *File) { f.Close() })
}

// CreateTemp is Engine.CreateTemp. A file that is made after the context has ended, whose name
// nobody knows, is removed again.
func (s FileSystem) CreateTemp(dir, pattern string) (*File, error) {
	c := call{word: "createtemp", name: pattern}
	e, err := s.admit(&c)
	if err != nil {
		return nil, err
	}
	return value(s, c, func() (*File, error) {
		f, err := os.CreateTemp(dir, pattern)
		if err != nil {
			return nil, err
		}
		return e.NewFile(f), nil
	}, discard)
}

// discard ends a temporary file that nobody knows of.
func discard(f *File) {
	f.Close()
	os.Remove(f.Name())
}

// ReadFile is Engine.ReadFile.
func (s FileSystem) ReadFile(name string) ([]byte, error) {
	if s.ctx != nil {
		return s.readFile(name)
	}
	f, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.contents()
}

// ReadFileInto is Engine.ReadFileInto. With a context it opens, reads and closes by calls of their
// own; the data is copied through memory of the engine, and p is the caller's again at the return in
// any case, with the n bytes that were read before the context ended.
func (s FileSystem) ReadFileInto(name string, p []byte) (n int, err error) {
	e, err := s.admit(&call{word: "open", name: name})
	if err != nil {
		return 0, err
	}
	if s.ctx == nil {
		return e.ReadFileInto(name, p)
	}
	f, err := s.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.CloseContext(s.ctx)
	return fill(func(p []byte) (int, error) { return f.ReadContext(s.ctx, p) }, p)
}

// WriteFile is Engine.WriteFile. When the context ends the file is left half written.
func (s FileSystem) WriteFile(name string, data []byte, perm fs.FileMode) error {
	f, err := s.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	var err1 error
	if s.ctx == nil {
		_, err = f.Write(data)
		err1 = f.Close()
	} else {
		_, err = f.WriteContext(s.ctx, data)
		err1 = f.CloseContext(s.ctx)
	}
	if err == nil {
		err = err1
	}
	return err
}

// Stat describes the named file, or what it leads to if it is a symbolic link. What a call with a
// context returns is known to SameFile, but not to os.SameFile. See stat(2), statx(2).
func (s FileSystem) Stat(name string) (fs.FileInfo, error) {
	return s.stat(call{word: "stat", name: name, op: uring.OpStatx}, os.Stat)
}

// Lstat is Stat, but describes a symbolic link itself.
func (s FileSystem) Lstat(name string) (fs.FileInfo, error) {
	return s.stat(call{word: "lstat", name: name, op: uring.OpStatx, flags: atNoFollow}, os.Lstat)
}

func (s FileSystem) stat(c call, block func(string) (fs.FileInfo, error)) (fs.FileInfo, error) {
	e, err := s.admit(&c)
	if err != nil {
		return nil, err
	}
	if s.ctx == nil {
		defer e.leaveCall(e.enterCall())
		return block(c.name)
	}
	own := c // on the heap, which the calls without a context are spared
	if e.offers(c.op) {
		p := &pathCall{call: own, dir: atCwd}
		if _, handled, err := s.onRing(e, p); err != nil {
			return nil, err
		} else if handled {
			return p.info(p.name), nil
		}
	}
	return blockUntil(s.ctx, e, &own, func() (fs.FileInfo, error) { return block(own.name) }, nil)
}

// Mkdir makes a directory with the mode perm before umask. See mkdir(2).
func (s FileSystem) Mkdir(name string, perm fs.FileMode) error {
	return s.do(call{word: "mkdir", name: name, op: uring.OpMkdirat, perm: perm},
		func() error { return os.Mkdir(name, perm) })
}

// MkdirAll makes a directory and those above it that are missing, with the mode perm before umask.
// It does nothing if the directory exists.
func (s FileSystem) MkdirAll(path string, perm fs.FileMode) error {
	if s.ctx == nil {
		return s.do(call{word: "mkdir", name: path}, func() error { return os.MkdirAll(path, perm) })
	}
	return s.mkdirAll(path, perm)
}

// MkdirTemp makes a new directory with the mode 0700 before umask, as os.MkdirTemp does, and returns
// its name. The caller removes it. One that is made after the context has ended is removed again.
func (s FileSystem) MkdirTemp(dir, pattern string) (string, error) {
	return value(s, call{word: "mkdirtemp", name: pattern},
		func() (string, error) { return os.MkdirTemp(dir, pattern) }, func(name string) { os.Remove(name) })
}

// Remove removes a file or an empty directory. See unlink(2), rmdir(2).
func (s FileSystem) Remove(name string) error {
	if s.ctx == nil {
		return s.do(call{word: "remove", name: name}, func() error { return os.Remove(name) })
	}
	return s.remove(name)
}

// RemoveAll removes a file or a directory with all that is in it; that there is none is not an
// error. It does not follow symbolic links. When the context ends it stops where it is.
func (s FileSystem) RemoveAll(path string) error {
	c := call{word: "unlinkat", name: path}
	if s.ctx == nil {
		return s.do(c, func() error { return os.RemoveAll(path) })
	}
	ctx := s.ctx
	return s.do(c, func() error { return removeAll(ctx, path) })
}

// Rename moves a file; one that has the name newname already, and is no directory, is replaced.
// Errors are *os.LinkError. See rename(2).
func (s FileSystem) Rename(oldname, newname string) error {
	if s.ctx == nil {
		return s.do(call{word: "rename", name: oldname, other: newname, link: true},
			func() error { return os.Rename(oldname, newname) })
	}
	return s.rename(oldname, newname)
}

// Link gives the file oldname a further name. Errors are *os.LinkError. See link(2).
func (s FileSystem) Link(oldname, newname string) error {
	return s.do(call{word: "link", name: oldname, other: newname, link: true, op: uring.OpLinkat},
		func() error { return os.Link(oldname, newname) })
}

// Symlink makes newname a symbolic link to oldname. Errors are *os.LinkError. See symlink(2).
func (s FileSystem) Symlink(oldname, newname string) error {
	return s.do(call{word: "symlink", name: oldname, other: newname, link: true, op: uring.OpSymlinkat},
		func() error { return os.Symlink(oldname, newname) })
}

// Readlink returns where a symbolic link leads. See readlink(2).
func (s FileSystem) Readlink(name string) (string, error) {
	return value(s, call{word: "readlink", name: name}, func() (string, error) { return os.Readlink(name) }, nil)
}

// Truncate changes the size of a file, in bytes. See truncate(2).
func (s FileSystem) Truncate(name string, size int64) error {
	return s.do(call{word: "truncate", name: name}, func() error { return os.Truncate(name, size) })
}

// Chmod changes the mode of a file, or of what a symbolic link leads to. See chmod(2).
func (s FileSystem) Chmod(name string, mode fs.FileMode) error {
	return s.do(call{word: "chmod", name: name}, func() error { return os.Chmod(name, mode) })
}

// Chown changes the owner and the group of a file, or of what a symbolic link leads to; -1 leaves
// one as it is. See chown(2).
func (s FileSystem) Chown(name string, uid, gid int) error {
	return s.do(call{word: "chown", name: name}, func() error { return os.Chown(name, uid, gid) })
}

// Lchown is Chown, but of a symbolic link itself.
func (s FileSystem) Lchown(name string, uid, gid int) error {
	return s.do(call{word: "lchown", name: name}, func() error { return os.Lchown(name, uid, gid) })
}

// Chtimes changes the times of the last access and of the last modification; a zero time leaves one
// as it is. See utimensat(2).
func (s FileSystem) Chtimes(name string, atime, mtime time.Time) error {
	return s.do(call{word: "chtimes", name: name}, func() error { return os.Chtimes(name, atime, mtime) })
}

// ReadDir returns the entries of a directory, sorted by name. After an error it returns those that
// it has read. See getdents(2).
func (s FileSystem) ReadDir(name string) ([]fs.DirEntry, error) {
	return value(s, call{word: "open", name: name}, func() ([]fs.DirEntry, error) { return os.ReadDir(name) }, nil)
}

// Getxattr returns the value of the extended attribute attr of a file, or of what a symbolic link
// leads to. See getxattr(2), xattr(7).
func (s FileSystem) Getxattr(name, attr string) ([]byte, error) {
	return s.getxattr(call{word: "getxattr", name: name, other: attr, op: uring.OpGetxattr})
}

// Setxattr sets the extended attribute attr of a file, or of what a symbolic link leads to, be it
// new or not. See setxattr(2).
func (s FileSystem) Setxattr(name, attr string, data []byte) error {
	data = slices.Clone(data) // with a context the caller may leave before it is stored
	return s.do(call{word: "setxattr", name: name, other: attr, op: uring.OpSetxattr, value: data},
		func() error { return setxattr(name, attr, data) })
}

// Listxattr returns the names of the extended attributes of a file, or of what a symbolic link
// leads to. See listxattr(2).
func (s FileSystem) Listxattr(name string) ([]string, error) {
	return value(s, call{word: "listxattr", name: name}, func() ([]string, error) { return listxattr(name) }, nil)
}

// Removexattr removes the extended attribute attr of a file, or of what a symbolic link leads to.
// See removexattr(2).
func (s FileSystem) Removexattr(name, attr string) error {
	return s.do(call{word: "removexattr", name: name}, func() error { return removexattr(name, attr) })
}
