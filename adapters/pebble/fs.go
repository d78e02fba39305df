// Package pebblefs is a pebble file system (vfs.FS) on ringfile:
//
//	db, err := pebble.Open("data", &pebble.Options{FS: pebblefs.FS{}})
//
// Reads of cold blocks park the goroutine instead of blocking an OS thread, and the number of threads
// in blocking calls is bounded. Otherwise an FS does what vfs.Default does, to the same files, and both
// can be used side by side.
package pebblefs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// FS is a vfs.FS whose files are [ringfile.File]. The zero value uses ringfile's default engine. It is a
// small value, meant to be copied and compared.
//
// Errors are those of packages os and ringfile, without the stacks that vfs.Default adds.
type FS struct {
	engine *ringfile.Engine // nil: the default engine
}

var _ vfs.FS = FS{}

// On returns an FS that uses engine e, which must stay open for as long as the FS and its files are
// used.
func On(e *ringfile.Engine) FS { return FS{e} }

// system is pebble's own FS, also where a program has set vfs.Default to an FS of this package.
var system = vfs.Default

var background = context.Background() // pebble's calls have no contexts

func (s FS) names() fsys.FS {
	if s.engine == nil {
		return fsys.FS{}
	}
	return fsys.On(s.engine)
}

// call makes a call of pebble's own FS about name, as one of the engine's bounded number.
func call[T any](s FS, name string, fn func() (T, error)) (v T, err error) {
	e := s.engine
	if e == nil {
		if e, err = ringfile.Default(); err != nil {
			return v, err
		}
	}
	err = e.Call(background, name, func() (err error) {
		v, err = fn()
		return err
	})
	return v, err
}

func (s FS) open(name string, flag int, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.names().OpenFile(background, name, flag, 0o666)
	if err != nil {
		return nil, err
	}
	file := file{f, s}
	for _, o := range opts {
		o.Apply(file)
	}
	return file, nil
}

// Create implements vfs.FS. An existing file of that name is removed first, not truncated, because
// there may be links to it.
func (s FS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	for {
		f, err := s.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		if err := s.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// Link implements vfs.FS.
func (s FS) Link(oldname, newname string) error { return s.names().Link(background, oldname, newname) }

// Open implements vfs.FS.
func (s FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return s.open(name, os.O_RDONLY, opts...)
}

// OpenReadWrite implements vfs.FS.
func (s FS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return s.open(name, os.O_RDWR|os.O_CREATE, opts...)
}

// OpenDir implements vfs.FS.
func (s FS) OpenDir(name string) (vfs.File, error) {
	f, err := s.names().Open(background, name)
	if err != nil {
		return nil, err
	}
	return dir{file{f, s}}, nil
}

// Remove implements vfs.FS.
func (s FS) Remove(name string) error { return s.names().Remove(background, name) }

// RemoveAll implements vfs.FS.
func (s FS) RemoveAll(name string) error { return s.names().RemoveAll(background, name) }

// Rename implements vfs.FS.
func (s FS) Rename(oldname, newname string) error {
	return s.names().Rename(background, oldname, newname)
}

// ReuseForWrite implements vfs.FS.
func (s FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := s.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return s.OpenReadWrite(newname, c)
}

// MkdirAll implements vfs.FS.
func (s FS) MkdirAll(dir string, perm fs.FileMode) error {
	return s.names().MkdirAll(background, dir, perm)
}

// Lock implements vfs.FS. The lock is pebble's own, so it also excludes users of vfs.Default, including
// those in this process.
func (s FS) Lock(name string) (io.Closer, error) {
	return call(s, name, func() (io.Closer, error) { return system.Lock(name) })
}

// List implements vfs.FS.
func (s FS) List(dir string) ([]string, error) {
	f, err := s.names().Open(background, dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Stat implements vfs.FS.
func (s FS) Stat(name string) (vfs.FileInfo, error) {
	return call(s, name, func() (vfs.FileInfo, error) { return system.Stat(name) })
}

// PathBase implements vfs.FS.
func (FS) PathBase(path string) string { return filepath.Base(path) }

// PathJoin implements vfs.FS.
func (FS) PathJoin(elem ...string) string { return filepath.Join(elem...) }

// PathDir implements vfs.FS.
func (FS) PathDir(path string) string { return filepath.Dir(path) }

// GetDiskUsage implements vfs.FS.
func (s FS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	return call(s, path, func() (vfs.DiskUsage, error) { return system.GetDiskUsage(path) })
}

// Unwrap implements vfs.FS: there is nothing below.
func (FS) Unwrap() vfs.FS { return nil }

// file has the methods of a vfs.File that a ringfile.File lacks. Its Fd is that of the ringfile.File, valid until Close,
// for options such as vfs.RandomReadsOption and whoever else wants to give the kernel advice: that does not change how
// ringfile uses the file. Without one, pebble would sync where it now begins to write back.
type file struct {
	*ringfile.File
	fs FS
}

// Preallocate reserves space, and leaves the size as it is; where that cannot be had it does nothing.
func (f file) Preallocate(off, length int64) error {
	err := f.Allocate(off, length, ringfile.AllocateKeepSize)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// Prefetch has the kernel begin to read, by a request to a ring, if there is one: the kernel's worker waits while the
// device's queue is full, and no thread of the program. As that costs more than the readahead(2) of vfs.Default, it is
// asked first whether there is anything to be read (Linux 6.5).
func (f file) Prefetch(off, length int64) error {
	if n, err := f.Cached(off, length); err == nil && n >= length {
		return nil
	}
	return f.Advise(off, length, ringfile.AdviceWillNeed)
}

func (f file) SyncData() error { return f.Datasync() }

// SyncTo has the kernel begin to write back, or syncs where it cannot do that reliably.
func (f file) SyncTo(length int64) (fullSync bool, err error) { return f.Writeback(0, length) }

func (f file) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo{info, f.fs, f.Name()}, nil
}

// dir is a directory that was opened to be synced.
type dir struct{ file }

func (dir) Preallocate(off, length int64) error     { return nil }
func (dir) Prefetch(off, length int64) error        { return nil }
func (dir) SyncTo(int64) (fullSync bool, err error) { return false, nil }
func (d dir) SyncData() error                       { return d.Sync() }

func (d dir) Sync() error {
	if runtime.GOOS == "windows" {
		return nil // there is no such thing; vfs.Default does nothing either
	}
	return d.file.Sync()
}

// fileInfo is a vfs.FileInfo of an open file.
type fileInfo struct {
	fs.FileInfo
	fs   FS
	name string
}

// DeviceID asks by name, as only pebble can make a DeviceID: for the file, or the directory if it is gone. What pebble
// renames stays on its device.
func (i fileInfo) DeviceID() vfs.DeviceID {
	for _, name := range []string{i.name, filepath.Dir(i.name)} {
		if info, err := i.fs.Stat(name); err == nil {
			return info.DeviceID()
		}
	}
	return vfs.DeviceID{}
}
