// Package fsys has the functions of package os that take names, with a context: Stat, Rename, RemoveAll
// and so on. DirFS and WalkDir are built on them. Results and errors are those of package os, which
// makes the calls: os.SameFile, errors.Is and type assertions work on them as usual.
//
// A call whose context can end is made in a goroutine of its own, which holds an OS thread while it
// waits; the number of such threads is bounded (ringfile.Config.BlockingLimit). When the context ends
// first, the call returns its cause, in the *fs.PathError or *os.LinkError that os would have returned.
// Work that had begun goes on in the background and may take effect even later. Its results do not
// leak: a file that is opened too late is closed; a temporary file or directory, whose name nobody
// knows, is removed.
//
// With a context that cannot end (its Done method returns nil, as that of context.Background does), the
// call is a plain one in the caller's goroutine, subject to the same bound.
//
// The functions use ringfile's default engine; the methods of the FS that On returns use another one.
// All are safe for concurrent use.
package fsys

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"time"

	"github.com/ringfile/ringfile"
)

// FS has the functions of this package as methods that use one engine. It is a small value, meant to be
// copied. The zero value uses the default engine.
type FS struct {
	engine *ringfile.Engine // nil: the default engine
}

// On returns the functions of this package on engine e, with its limit on blocking calls and its Stats.
// Those that open files make them Files of e.
func On(e *ringfile.Engine) FS { return FS{e} }

// Open is the function Open on this engine.
func (s FS) Open(ctx context.Context, name string) (*ringfile.File, error) {
	return s.OpenFile(ctx, name, os.O_RDONLY, 0)
}

// Create is the function Create on this engine.
func (s FS) Create(ctx context.Context, name string) (*ringfile.File, error) {
	return s.OpenFile(ctx, name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile is the function OpenFile on this engine.
func (s FS) OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*ringfile.File, error) {
	t := target{op: "open", name: name}
	e, err := s.use()
	if err != nil {
		return nil, t.wrap(err)
	}
	if ctx.Done() == nil {
		return e.OpenFile(name, flag, perm)
	}
	return call(ctx, On(e), t, func() (*ringfile.File, error) {
		f, err := os.OpenFile(name, flag, perm)
		if err != nil {
			return nil, err
		}
		return e.Adopt(f), nil
	}, closeLate)
}

// closeLate closes a file that nobody waits for any more. It may wait for a file server, so it must not
// be part of a call that counts against the limit: closing may itself count.
func closeLate(f *ringfile.File) { go f.Close() }

// CreateTemp is the function CreateTemp on this engine.
func (s FS) CreateTemp(ctx context.Context, dir, pattern string) (*ringfile.File, error) {
	t := target{op: "createtemp", name: pattern, at: cmp.Or(dir, os.TempDir())}
	e, err := s.use()
	if err != nil {
		return nil, t.wrap(err)
	}
	return call(ctx, On(e), t, func() (*ringfile.File, error) {
		f, err := os.CreateTemp(dir, pattern)
		if err != nil {
			return nil, err
		}
		return e.Adopt(f), nil
	}, removeLate)
}

// removeLate is closeLate for a temporary file, whose name nobody knows.
func removeLate(f *ringfile.File) {
	os.Remove(f.Name())
	closeLate(f)
}

// Stat is the function Stat on this engine.
func (s FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return call(ctx, s, target{op: "stat", name: name}, func() (fs.FileInfo, error) { return os.Stat(name) }, nil)
}

// Lstat is the function Lstat on this engine.
func (s FS) Lstat(ctx context.Context, name string) (fs.FileInfo, error) {
	return call(ctx, s, target{op: "lstat", name: name}, func() (fs.FileInfo, error) { return os.Lstat(name) }, nil)
}

// Mkdir is the function Mkdir on this engine.
func (s FS) Mkdir(ctx context.Context, name string, perm fs.FileMode) error {
	return do(ctx, s, target{op: "mkdir", name: name}, func() error { return os.Mkdir(name, perm) })
}

// MkdirAll is the function MkdirAll on this engine.
func (s FS) MkdirAll(ctx context.Context, path string, perm fs.FileMode) error {
	return do(ctx, s, target{op: "mkdir", name: path}, func() error { return os.MkdirAll(path, perm) })
}

// MkdirTemp is the function MkdirTemp on this engine.
func (s FS) MkdirTemp(ctx context.Context, dir, pattern string) (string, error) {
	return call(ctx, s, target{op: "mkdirtemp", name: pattern, at: cmp.Or(dir, os.TempDir())},
		func() (string, error) { return os.MkdirTemp(dir, pattern) }, func(name string) { os.Remove(name) })
}

// Remove is the function Remove on this engine.
func (s FS) Remove(ctx context.Context, name string) error {
	return do(ctx, s, target{op: "remove", name: name}, func() error { return os.Remove(name) })
}

// Rename is the function Rename on this engine.
func (s FS) Rename(ctx context.Context, oldname, newname string) error {
	return do(ctx, s, target{op: "rename", name: oldname, newname: newname, link: true},
		func() error { return os.Rename(oldname, newname) })
}

// Link is the function Link on this engine.
func (s FS) Link(ctx context.Context, oldname, newname string) error {
	return do(ctx, s, target{op: "link", name: oldname, newname: newname, link: true},
		func() error { return os.Link(oldname, newname) })
}

// Symlink is the function Symlink on this engine.
func (s FS) Symlink(ctx context.Context, oldname, newname string) error {
	return do(ctx, s, target{op: "symlink", name: oldname, newname: newname, link: true, at: newname},
		func() error { return os.Symlink(oldname, newname) })
}

// Readlink is the function Readlink on this engine.
func (s FS) Readlink(ctx context.Context, name string) (string, error) {
	return call(ctx, s, target{op: "readlink", name: name}, func() (string, error) { return os.Readlink(name) }, nil)
}

// Truncate is the function Truncate on this engine.
func (s FS) Truncate(ctx context.Context, name string, size int64) error {
	return do(ctx, s, target{op: "truncate", name: name}, func() error { return os.Truncate(name, size) })
}

// Chmod is the function Chmod on this engine.
func (s FS) Chmod(ctx context.Context, name string, mode fs.FileMode) error {
	return do(ctx, s, target{op: "chmod", name: name}, func() error { return os.Chmod(name, mode) })
}

// Chown is the function Chown on this engine.
func (s FS) Chown(ctx context.Context, name string, uid, gid int) error {
	return do(ctx, s, target{op: "chown", name: name}, func() error { return os.Chown(name, uid, gid) })
}

// Lchown is the function Lchown on this engine.
func (s FS) Lchown(ctx context.Context, name string, uid, gid int) error {
	return do(ctx, s, target{op: "lchown", name: name}, func() error { return os.Lchown(name, uid, gid) })
}

// Chtimes is the function Chtimes on this engine.
func (s FS) Chtimes(ctx context.Context, name string, atime, mtime time.Time) error {
	return do(ctx, s, target{op: "chtimes", name: name}, func() error { return os.Chtimes(name, atime, mtime) })
}

// ReadDir is the function ReadDir on this engine.
func (s FS) ReadDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	return call(ctx, s, target{op: "open", name: name}, func() ([]fs.DirEntry, error) { return os.ReadDir(name) }, nil)
}
