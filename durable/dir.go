package durable

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"syscall"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// dir is a directory in which files are being replaced. Concurrent replacements in a directory share
// one, so that its File shares their syncs.
type dir struct {
	file  *ringfile.File // nil where directories cannot be synced
	key   dirKey
	users int // guarded by dirs.mu
}

// dirKey identifies a directory regardless of its name: it may have been renamed since somebody opened
// it.
type dirKey struct {
	engine   *ringfile.Engine
	dev, ino uint64
}

var dirs struct {
	mu   sync.Mutex
	open map[dirKey]*dir
}

// openDir opens the named directory, or shares one that is open.
func openDir(ctx context.Context, s fsys.FS, name string) (*dir, error) {
	if !syncsDirs {
		return new(dir), nil
	}
	f, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(ctx, f)
	if err != nil {
		go f.Close()
		return nil, err
	}
	dirs.mu.Lock()
	d := dirs.open[key]
	if d == nil {
		d = &dir{file: f, key: key}
		if dirs.open == nil {
			dirs.open = make(map[dirKey]*dir)
		}
		dirs.open[key] = d
	}
	d.users++
	dirs.mu.Unlock()
	if d.file != f {
		f.CloseContext(ctx)
	}
	return d, nil
}

// keyOf returns the key of the directory f.
func keyOf(ctx context.Context, f *ringfile.File) (key dirKey, err error) {
	var info fs.FileInfo
	found := make(chan fs.FileInfo, 1)
	if err := f.Engine().Call(ctx, f.Name(), func() error {
		info, err := f.Stat()
		found <- info
		return err
	}); err != nil {
		return key, err
	}
	info = <-found
	key.engine = f.Engine()
	key.dev, key.ino = identity(info)
	return key, nil
}

// close drops a reference. The last one closes the directory.
func (d *dir) close() {
	if d.file == nil {
		return
	}
	dirs.mu.Lock()
	d.users--
	last := d.users == 0
	if last {
		delete(dirs.open, d.key)
	}
	dirs.mu.Unlock()
	if last {
		go d.file.Close() // which may wait for a file server
	}
}

// sync makes the names in the directory durable.
func (d *dir) sync(ctx context.Context) error {
	if d.file == nil {
		return nil
	}
	err := d.file.SyncContext(ctx)
	for _, unsupported := range []error{syscall.EINVAL, errors.ErrUnsupported} {
		if errors.Is(err, unsupported) { // file systems that store names at once, or have no way to say so
			return nil
		}
	}
	return err
}
