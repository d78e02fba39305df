// Package billy is a file system for go-billy, and so for go-git, on ringfile.
//
//	fs := billy.New("/srv/repository")	// instead of osfs.New
//
// It behaves like osfs.New with its defaults: paths are below the directory, including links, and
// missing directories are created for a new file.
package billy

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/helper/chroot"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// New returns the file system below the directory dir, on ringfile's default engine.
func New(dir string) billy.Filesystem { return below(&OS{}, dir) }

// On returns the file system below the directory dir, on engine e.
func On(e *ringfile.Engine, dir string) billy.Filesystem { return below(&OS{fsys.On(e)}, dir) }

func below(s *OS, dir string) billy.Filesystem {
	if dir != "" {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
	}
	return chroot.New(s, dir)
}

// OS is the whole file system, with the system's file names. The zero value uses the default engine.
type OS struct{ on fsys.FS }

var _ interface {
	billy.Basic
	billy.TempFile
	billy.Dir
	billy.Symlink
	billy.Chmod
	billy.Capable
} = (*OS)(nil)

// No method of billy has a context.
var forever = context.Background()

// The mode of directories that are made, whatever MkdirAll is told, as with osfs.
const dirMode = 0o755

// File is an open file: a ringfile.File with the lock methods of billy.
type File struct{ *ringfile.File }

// Lock locks the whole file, which must be open for writing, against other Files, in this program and
// in others.
func (f *File) Lock() error { return f.File.Lock(forever, 0, 0, ringfile.LockExclusive) }

// Unlock releases the lock.
func (f *File) Unlock() error { return f.File.Unlock(0, 0) }

func (s *OS) Create(name string) (billy.File, error) {
	return s.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (s *OS) Open(name string) (billy.File, error) { return s.OpenFile(name, os.O_RDONLY, 0) }

func (s *OS) OpenFile(name string, flag int, perm fs.FileMode) (billy.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := s.mkdirOf(name); err != nil {
			return nil, err
		}
	}
	return file(s.on.OpenFile(forever, name, flag, perm))
}

func (s *OS) TempFile(dir, prefix string) (billy.File, error) {
	if dir != "" {
		if err := s.MkdirAll(dir, dirMode); err != nil {
			return nil, err
		}
	}
	return file(s.on.CreateTemp(forever, dir, prefix))
}

func file(f *ringfile.File, err error) (billy.File, error) {
	if err != nil {
		return nil, err // not f, which would be a billy.File that is not nil
	}
	return &File{f}, nil
}

// mkdirOf makes the directory that name is to be in.
func (s *OS) mkdirOf(name string) error { return s.MkdirAll(filepath.Dir(name), dirMode) }

func (s *OS) MkdirAll(name string, _ fs.FileMode) error { return s.on.MkdirAll(forever, name, dirMode) }

func (s *OS) ReadDir(name string) ([]fs.FileInfo, error) {
	entries, err := s.on.ReadDir(forever, name)
	if err != nil {
		return nil, err
	}
	infos := make([]fs.FileInfo, len(entries))
	for i, entry := range entries {
		if infos[i], err = s.Lstat(filepath.Join(name, entry.Name())); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

func (s *OS) Rename(from, to string) error {
	if err := s.mkdirOf(to); err != nil {
		return err
	}
	return s.on.Rename(forever, from, to)
}

func (s *OS) Symlink(target, link string) error {
	if err := s.mkdirOf(link); err != nil {
		return err
	}
	return s.on.Symlink(forever, target, link)
}

func (s *OS) Stat(name string) (fs.FileInfo, error)     { return s.on.Stat(forever, name) }
func (s *OS) Lstat(name string) (fs.FileInfo, error)    { return s.on.Lstat(forever, name) }
func (s *OS) Readlink(name string) (string, error)      { return s.on.Readlink(forever, name) }
func (s *OS) Remove(name string) error                  { return s.on.Remove(forever, name) }
func (s *OS) RemoveAll(name string) error               { return s.on.RemoveAll(forever, name) }
func (s *OS) Chmod(name string, mode fs.FileMode) error { return s.on.Chmod(forever, name, mode) }
func (s *OS) Join(elem ...string) string                { return filepath.Join(elem...) }
func (s *OS) Capabilities() billy.Capability            { return billy.AllCapabilities }
