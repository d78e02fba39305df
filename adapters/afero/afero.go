// Package afero is an afero.Fs on ringfile.
//
//	var fs afero.Fs = ringafero.New()	// instead of afero.NewOsFs()
//
// It behaves like afero.OsFs.
package afero

import (
	"context"
	"io/fs"
	"time"

	"github.com/spf13/afero"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// Fs is the file system, with the system's file names. The zero value uses ringfile's default engine.
// Its files are *ringfile.File. It is safe for concurrent use.
type Fs struct{ on fsys.FS }

var _ interface {
	afero.Fs
	afero.Symlinker
} = Fs{}

// New returns the file system on ringfile's default engine.
func New() Fs { return Fs{} }

// On returns the file system on engine e.
func On(e *ringfile.Engine) Fs { return Fs{fsys.On(e)} }

// No method of afero has a context.
var forever = context.Background()

// Name returns "ringfile".
func (Fs) Name() string { return "ringfile" }

func (s Fs) Create(name string) (afero.File, error) { return file(s.on.Create(forever, name)) }

func (s Fs) Open(name string) (afero.File, error) { return file(s.on.Open(forever, name)) }

func (s Fs) OpenFile(name string, flag int, perm fs.FileMode) (afero.File, error) {
	return file(s.on.OpenFile(forever, name, flag, perm))
}

func file(f *ringfile.File, err error) (afero.File, error) {
	if err != nil {
		return nil, err // not f, which would be an afero.File that is not nil
	}
	return f, nil
}

func (s Fs) Mkdir(name string, perm fs.FileMode) error    { return s.on.Mkdir(forever, name, perm) }
func (s Fs) MkdirAll(name string, perm fs.FileMode) error { return s.on.MkdirAll(forever, name, perm) }
func (s Fs) Remove(name string) error                     { return s.on.Remove(forever, name) }
func (s Fs) RemoveAll(name string) error                  { return s.on.RemoveAll(forever, name) }
func (s Fs) Rename(from, to string) error                 { return s.on.Rename(forever, from, to) }
func (s Fs) Stat(name string) (fs.FileInfo, error)        { return s.on.Stat(forever, name) }
func (s Fs) Chmod(name string, mode fs.FileMode) error    { return s.on.Chmod(forever, name, mode) }
func (s Fs) Chown(name string, uid, gid int) error        { return s.on.Chown(forever, name, uid, gid) }

func (s Fs) Chtimes(name string, atime, mtime time.Time) error {
	return s.on.Chtimes(forever, name, atime, mtime)
}

// LstatIfPossible describes a file without following a symbolic link; it is always possible.
func (s Fs) LstatIfPossible(name string) (fs.FileInfo, bool, error) {
	st, err := s.on.Lstat(forever, name)
	return st, true, err
}

func (s Fs) SymlinkIfPossible(target, link string) error { return s.on.Symlink(forever, target, link) }

func (s Fs) ReadlinkIfPossible(name string) (string, error) { return s.on.Readlink(forever, name) }
