// Package raftwal is a raft-wal file system (types.VFS) on ringfile:
//
//	log, err := wal.Open(dir, wal.WithSegmentFiler(segment.NewFiler(dir, raftwal.FS{})))
package raftwal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/hashicorp/raft-wal/types"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// FS is a types.VFS whose files are [ringfile.File]. The zero value uses ringfile's default engine. It is
// a small value, meant to be copied.
type FS struct{ names fsys.FS }

var _ types.VFS = FS{}

// On returns an FS that uses engine e, which must stay open for as long as the FS and its files are
// used.
func On(e *ringfile.Engine) FS { return FS{fsys.On(e)} }

var background = context.Background() // raft-wal's calls have no contexts

// ListDir implements types.VFS. It lists no directories.
func (s FS) ListDir(dir string) ([]string, error) {
	entries, err := s.names.ReadDir(background, dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Create implements types.VFS. The file has its final size from the start, with space reserved where
// the file system supports it.
func (s FS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if size > math.MaxInt32 {
		return nil, fmt.Errorf("%s: %d bytes are more than a segment may have", name, size)
	}
	f, err := s.names.OpenFile(background, filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	if size > 0 {
		err = f.Allocate(0, int64(size), ringfile.AllocateExtend)
		if errors.Is(err, errors.ErrUnsupported) {
			err = f.Truncate(int64(size))
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
	return &file{File: f, fs: s, dir: dir}, nil
}

// Delete implements types.VFS.
func (s FS) Delete(dir, name string) error {
	if err := s.names.Remove(background, filepath.Join(dir, name)); err != nil {
		return err
	}
	return s.syncDir(dir)
}

// OpenReader implements types.VFS.
func (s FS) OpenReader(dir, name string) (types.ReadableFile, error) {
	f, err := s.names.Open(background, filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenWriter implements types.VFS.
func (s FS) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := s.names.OpenFile(background, filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &file{File: f, fs: s, dir: dir}, nil
}

func (s FS) syncDir(dir string) error {
	d, err := s.names.Open(background, dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// file is a segment that is written.
type file struct {
	*ringfile.File
	fs    FS
	dir   string
	named atomic.Bool // its name is on the device, too
}

// Sync makes what was written durable, with what is needed to read it: with the first Sync the file's name as well. It
// does not wait for the time of the last change, which nobody reads (fdatasync(2)).
func (f *file) Sync() error {
	if err := f.Datasync(); err != nil || f.named.Load() {
		return err
	}
	err := f.fs.syncDir(f.dir)
	f.named.Store(err == nil)
	return err
}
