package ringfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ringfile/ringfile/uring"
)

// The calls in this file take several steps, each of which may be the last when the context ends.

// readFile is ReadFile with a context. The call that opens the file asks for its size, too, as that
// may wait.
func (s FileSystem) readFile(name string) ([]byte, error) {
	type opened struct {
		*File
		size int64
	}
	c := call{word: "open", name: name}
	e, err := s.admit(&c)
	if err != nil {
		return nil, err
	}
	f, err := value(s, c, func() (opened, error) {
		f, err := e.openFile(name, os.O_RDONLY, 0)
		if err != nil {
			return opened{}, err
		}
		return opened{f, f.sizeHint()}, nil
	}, func(f opened) { f.Close() })
	if err != nil {
		return nil, err
	}
	defer f.CloseContext(s.ctx)
	return readFileContents(f.size, func(p []byte) (int, error) { return f.ReadContext(s.ctx, p) })
}

// mkdirAll is os.MkdirAll, step by step.
func (s FileSystem) mkdirAll(path string, perm fs.FileMode) error {
	if st, err := s.Stat(path); err == nil {
		if st.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	end := len(path)
	for end > 0 && os.IsPathSeparator(path[end-1]) {
		end--
	}
	for end > 0 && !os.IsPathSeparator(path[end-1]) {
		end--
	}
	end = max(end-1, 0)
	if parent := path[:end]; len(parent) > len(filepath.VolumeName(path)) {
		if err := s.mkdirAll(parent, perm); err != nil {
			return err
		}
	}
	err := s.Mkdir(path, perm)
	if err == nil {
		return nil
	}
	st, err1 := s.Lstat(path)
	switch {
	case err1 == nil && st.IsDir():
		return nil // somebody else has made it
	case s.ctx.Err() != nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: context.Cause(s.ctx)}
	}
	return err
}

// remove is os.Remove: it does not know what there is to be removed, so it tries both.
func (s FileSystem) remove(name string) error {
	c := call{word: "remove", name: name, op: uring.OpUnlinkat}
	e, err := s.admit(&c)
	if err != nil {
		return err
	}
	block := func() error { return os.Remove(name) }
	if !e.offers(c.op) {
		c.op = uring.OpNop
		return s.do(c, block)
	}
	if err = s.do(c, block); err == nil {
		return nil
	}
	c.flags = atRemoveDir
	if err1 := s.do(c, block); err1 == nil || !errors.Is(err1, syscall.ENOTDIR) {
		return err1
	}
	return err
}

// rename is os.Rename, which refuses to replace a directory even by another.
func (s FileSystem) rename(oldname, newname string) error {
	c := call{word: "rename", name: oldname, other: newname, link: true, op: uring.OpRenameat}
	if st, err := s.Lstat(newname); err == nil && st.IsDir() {
		switch old, err := s.Lstat(oldname); {
		case err != nil:
			return c.wrap(errors.Unwrap(err))
		case newname == oldname || !SameFile(st, old):
			return c.wrap(syscall.EEXIST)
		}
	}
	return s.do(c, func() error { return os.Rename(oldname, newname) })
}

// removeAll is os.RemoveAll, which looks at ctx before each step.
func removeAll(ctx context.Context, path string) error {
	if path == "" {
		return nil // as os has it
	}
	if endsWithDot(path) {
		return &fs.PathError{Op: "RemoveAll", Path: path, Err: syscall.EINVAL}
	}
	if err := os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	parent, name := filepath.Split(filepath.Clean(path))
	if parent == "" {
		parent = "."
	}
	root, err := os.OpenRoot(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return at(path, errors.Unwrap(err)) // os finds that out when it unlinks
	}
	defer root.Close()
	return removeIn(ctx, root, name, path)
}

// endsWithDot reports whether the last element of path is a dot, which names no entry to remove.
func endsWithDot(path string) bool {
	n := len(path)
	return path == "." || n >= 2 && path[n-1] == '.' && os.IsPathSeparator(path[n-2])
}

// removeIn removes what is called name in the directory root, and path in errors.
func removeIn(ctx context.Context, root *os.Root, name, path string) error {
	if err := context.Cause(ctx); err != nil {
		return &fs.PathError{Op: "unlinkat", Path: path, Err: err}
	}
	err := root.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	st, err1 := root.Lstat(name)
	if err1 != nil || !st.IsDir() {
		return at(path, err)
	}
	sub, err1 := root.OpenRoot(name)
	if err1 != nil {
		return at(path, err1)
	}
	defer sub.Close()
	// Something else may have taken the directory's place, such as a link to another one.
	if now, err1 := sub.Stat("."); err1 != nil || !os.SameFile(st, now) {
		return at(path, err)
	}
	if err1 := removeContents(ctx, sub, path); err1 != nil {
		return err1
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return at(path, err)
	}
	return nil
}

// removeContents removes what is in the directory dir. It goes on after an error, which it returns.
func removeContents(ctx context.Context, dir *os.Root, path string) error {
	for {
		f, err := dir.Open(".")
		if err != nil {
			return at(path, err)
		}
		names, err := f.Readdirnames(1024)
		f.Close()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return at(path, err)
		}
		var first error
		for _, name := range names {
			if err := removeIn(ctx, dir, name, filepath.Join(path, name)); err != nil && first == nil {
				first = err
			}
		}
		if first != nil {
			return first
		}
	}
}

// at gives the error of a step the path that the caller knows.
func at(path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: pe.Op, Path: path, Err: pe.Err}
	}
	return &fs.PathError{Op: "unlinkat", Path: path, Err: err}
}
