package ringfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// DirFS returns the tree below the directory dir as an fs.FS, as os.DirFS does, on the default
// engine. See FileSystem.DirFS.
func DirFS(dir string) fs.FS { return FileSystem{}.DirFS(dir) }

// DirFS returns the tree below the directory dir as an fs.FS whose files are *File. It implements
// fs.StatFS, fs.ReadFileFS, fs.ReadDirFS, fs.ReadLinkFS and fs.SubFS; errors of its methods name paths
// within the tree, those of its files names as they were opened. As with os.DirFS, symbolic links may
// lead out of the tree, and dir is looked up anew by each call. With a context these methods are given
// up when that ends, those of open files not: they have forms with a context of their own.
func (s FileSystem) DirFS(dir string) fs.FS { return dirFS{s, dir} }

type dirFS struct {
	calls FileSystem
	dir   string
}

var _ interface {
	fs.StatFS
	fs.ReadFileFS
	fs.ReadDirFS
	fs.ReadLinkFS
	fs.SubFS
} = dirFS{}

// join returns the name of the file that fs calls name.
func (d dirFS) join(word, name string) (string, error) {
	if d.dir == "" {
		return "", &fs.PathError{Op: word, Path: name, Err: errors.New("DirFS of an empty name")}
	}
	local, err := filepath.Localize(name) // rejects what fs.ValidPath does
	if err != nil {
		return "", &fs.PathError{Op: word, Path: name, Err: fs.ErrInvalid}
	}
	if os.IsPathSeparator(d.dir[len(d.dir)-1]) {
		return d.dir + local, nil
	}
	return d.dir + string(os.PathSeparator) + local, nil
}

// within makes an error name the file as fs does.
func within(name string, err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return &fs.PathError{Op: pe.Op, Path: name, Err: pe.Err}
	}
	return err
}

func (d dirFS) Open(name string) (fs.File, error) {
	full, err := d.join("open", name)
	if err != nil {
		return nil, err
	}
	f, err := d.calls.OpenFile(full, os.O_RDONLY, 0)
	if err != nil {
		return nil, within(name, err) // not f, which would be a non-nil fs.File
	}
	return f, nil
}

func (d dirFS) Stat(name string) (fs.FileInfo, error) {
	return inside(d, "stat", name, d.calls.Stat)
}

func (d dirFS) Lstat(name string) (fs.FileInfo, error) {
	return inside(d, "lstat", name, d.calls.Lstat)
}

func (d dirFS) ReadLink(name string) (string, error) {
	return inside(d, "readlink", name, d.calls.Readlink)
}

func (d dirFS) ReadDir(name string) ([]fs.DirEntry, error) {
	return inside(d, "readdir", name, d.calls.ReadDir)
}

func (d dirFS) ReadFile(name string) ([]byte, error) {
	return inside(d, "readfile", name, d.calls.ReadFile)
}

func (d dirFS) Sub(name string) (fs.FS, error) {
	full, err := d.join("sub", name)
	if err != nil {
		return nil, err
	}
	if name == "." {
		return d, nil
	}
	return dirFS{d.calls, full}, nil
}

// inside makes a call on a file of d.
func inside[T any](d dirFS, word, name string, call func(string) (T, error)) (T, error) {
	full, err := d.join(word, name)
	if err != nil {
		return *new(T), err
	}
	v, err := call(full)
	return v, within(name, err)
}
