package fsys

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// DirFS is the function DirFS on this engine.
func (s FS) DirFS(ctx context.Context, dir string) fs.FS { return dirFS{ctx, s, dir} }

// dirFS keeps its context, as the methods of an fs.FS take none.
type dirFS struct {
	ctx context.Context
	on  FS
	dir string
}

var _ interface {
	fs.StatFS
	fs.ReadFileFS
	fs.ReadDirFS
	fs.ReadLinkFS
	fs.SubFS
} = dirFS{}

// join returns the system's name of the file that the fs.FS calls name.
func (d dirFS) join(op, name string) (string, error) {
	if d.dir == "" {
		return "", &fs.PathError{Op: op, Path: name, Err: errors.New("DirFS of an empty name")}
	}
	local, err := filepath.Localize(name) // rejects what fs.ValidPath does
	if err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if os.IsPathSeparator(d.dir[len(d.dir)-1]) {
		return d.dir + local, nil
	}
	return d.dir + string(os.PathSeparator) + local, nil
}

// within makes an error use the name of the fs.FS.
func within(name string, err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return &fs.PathError{Op: pe.Op, Path: name, Err: pe.Err}
	}
	return err
}

func (d dirFS) Open(name string) (fs.File, error) {
	f, err := inside(d, "open", name, d.on.Open)
	if err != nil {
		return nil, err // not f, which would be a non-nil fs.File
	}
	return f, nil
}

func (d dirFS) Stat(name string) (fs.FileInfo, error) {
	return inside(d, "stat", name, d.on.Stat)
}

func (d dirFS) Lstat(name string) (fs.FileInfo, error) {
	return inside(d, "lstat", name, d.on.Lstat)
}

func (d dirFS) ReadLink(name string) (string, error) {
	return inside(d, "readlink", name, d.on.Readlink)
}

func (d dirFS) ReadDir(name string) ([]fs.DirEntry, error) {
	return inside(d, "readdir", name, d.on.ReadDir)
}

func (d dirFS) ReadFile(name string) ([]byte, error) {
	return inside(d, "readfile", name, d.on.ReadFile)
}

func (d dirFS) Sub(name string) (fs.FS, error) {
	full, err := d.join("sub", name)
	if err != nil {
		return nil, err
	}
	if name == "." {
		return d, nil
	}
	return dirFS{d.ctx, d.on, full}, nil
}

// inside makes a call on a file of d.
func inside[T any](d dirFS, op, name string, call func(context.Context, string) (T, error)) (T, error) {
	full, err := d.join(op, name)
	if err != nil {
		return *new(T), err
	}
	v, err := call(d.ctx, full)
	return v, within(name, err)
}
