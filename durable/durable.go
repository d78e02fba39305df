// Package durable replaces whole files atomically: after a crash a file has its old content or its new
// content, never a mixture, and once a call has returned nil it has the new content.
//
//	err := durable.ReplaceFile(ctx, "state.json", data, 0o644)
//
// Or in pieces:
//
//	r, err := durable.Create(ctx, "state.json", 0o644)
//	if err != nil {
//		return err
//	}
//	defer r.Abandon() // does nothing after Commit
//	if err := json.NewEncoder(r).Encode(state); err != nil {
//		return err
//	}
//	return r.Commit(ctx)
//
// The content is written to a temporary file in the same directory, which is synced and renamed; then
// the directory is synced. Goroutines that replace files in one directory at the same time share the
// syncs of the directory.
//
// What is replaced:
//
//   - A symbolic link is followed and kept; its target is replaced.
//   - The mode, the owner and the group of an existing file, as Create finds them, are kept. If the
//     owner or the group cannot be kept, because only root may give files away, nothing is replaced and
//     the error says so.
//   - On Linux the POSIX access control list and the extended attributes whose names begin with "user."
//     are kept, or nothing is replaced. SELinux and Smack labels are kept where the policy allows it;
//     otherwise the file gets the label of new files. Attributes that describe the content
//     (security.capability, security.ima), trusted.* attributes, NFSv4 access control lists and flags
//     (chattr(1)) are not kept. On other systems neither lists nor attributes are kept.
//   - A sandbox may refuse the system calls for extended attributes (EPERM, ENOSYS). Attributes are
//     then lost, and it is unknown whether there is an access control list: a file that only its owner
//     may use is replaced. Any other file is not: without the list, its mode could allow what the list
//     denied.
//   - Until it has all of these, nobody but its owner can open the new file.
//   - A file that did not exist before gets mode perm, before umask.
//   - Only regular files are replaced. Other names (hard links) of a file keep the old content.
//   - A file is replaced if its directory is writable, even if the file itself is not.
//
// What is left behind: a replacement that fails, is abandoned or times out removes its temporary file.
// A crash can leave one: its name is a dot, the file's name, and ".tmp-" with a random number.
//
// A context ends a call on time, whatever the device does. Work that had begun may still take effect,
// even after a later replacement; the file then has its old content or one of the new ones, whole.
//
// Linux and other Unix systems keep these promises as far as the file system and the device do; see
// docs/durability.md. On macOS a sync is F_FULLFSYNC. On Windows a file is replaced atomically, but
// directories cannot be synced: after a crash the old content may be back.
package durable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// FS has the functions of this package as methods that use one engine. It is a small value, meant to be
// copied. The zero value uses the default engine.
type FS struct {
	engine *ringfile.Engine // nil: the default engine
}

// On returns the functions of this package on engine e.
func On(e *ringfile.Engine) FS { return FS{e} }

// ReplaceFile makes data the content of the named file, which need not exist. See the package comment.
// The error is a *fs.PathError with Op "replace" and the name; it wraps the error of ctx if that ended. Then the file may
// get this content later, even after another ReplaceFile has returned.
func ReplaceFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	return FS{}.ReplaceFile(ctx, name, data, perm)
}

// Create starts the replacement of the named file, which need not exist. ctx applies to this call only.
func Create(ctx context.Context, name string, perm fs.FileMode) (*Replacement, error) {
	return FS{}.Create(ctx, name, perm)
}

// ReplaceFile is the function ReplaceFile on this engine.
func (s FS) ReplaceFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	r, err := s.Create(ctx, name, perm)
	if err != nil {
		return err
	}
	defer r.Abandon()
	if _, err := r.file.WriteContext(ctx, data); err != nil {
		return r.wrap(err)
	}
	return r.Commit(ctx)
}

// Replacement is the new content of a file while it is being written. Commit or Abandon ends it. It is
// not safe for concurrent use.
type Replacement struct {
	fs   fsys.FS
	name string // as the caller has it
	at   string // where it leads to
	temp string
	file *ringfile.File
	dir  *dir
	old  fs.FileInfo // nil if there is none
	attr attributes  // of old
	over bool
	err  error           // of a Write
	ctx  context.Context // of the latest call that had one
}

// Create is the function Create on this engine.
func (s FS) Create(ctx context.Context, name string, perm fs.FileMode) (_ *Replacement, err error) {
	r := &Replacement{name: name, ctx: ctx}
	e := s.engine
	if e == nil {
		if e, err = ringfile.Default(); err != nil {
			return nil, r.wrap(err)
		}
	}
	r.fs = fsys.On(e)
	if r.at, r.old, err = resolve(ctx, r.fs, name); err != nil {
		return nil, r.wrap(err)
	}
	// The directory first: if it cannot be synced nothing is to be replaced.
	// No name is made simpler anywhere: what precedes a ".." may be a symbolic link.
	dir, base := filepath.Split(r.at)
	if base == "" {
		return nil, r.wrap(syscall.ENOENT)
	}
	if r.dir, err = openDir(ctx, r.fs, cmp.Or(dir, ".")); err != nil {
		return nil, r.wrap(err)
	}
	if r.old != nil {
		r.attr, err = readAttributes(ctx, e, r.at, r.old.Mode())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.old = nil // somebody has removed it
		case err != nil:
			r.dir.close()
			return nil, r.wrap(err)
		default:
			perm = 0o600 // until it has the owner of the old one
		}
	}
	for try := 0; ; try++ {
		r.temp = fmt.Sprintf("%s.%s.tmp-%016x", dir, base, rand.Uint64())
		r.file, err = create(ctx, e, r.temp, perm)
		if !errors.Is(err, fs.ErrExist) || try == 100 {
			break
		}
	}
	if err != nil {
		r.dir.close()
		return nil, r.wrap(err)
	}
	return r, nil
}

// readAttributes returns the attributes of a file with that mode.
func readAttributes(ctx context.Context, e *ringfile.Engine, name string, mode fs.FileMode) (attributes, error) {
	found := make(chan attributes, 1)
	err := e.Call(ctx, name, func() error {
		a, err := attributesOf(name, mode)
		found <- a
		return err
	})
	if err != nil {
		return attributes{}, err
	}
	return <-found, nil
}

// create creates the temporary file. If ctx ends first that is removed, should it be made yet.
func create(ctx context.Context, e *ringfile.Engine, name string, perm fs.FileMode) (*ringfile.File, error) {
	var left atomic.Bool // by whoever is first: the caller, who does not wait any more, or the call with its file
	made := make(chan *os.File, 1)
	err := e.Call(ctx, name, func() error {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		if err != nil {
			return err
		}
		if made <- f; left.Swap(true) {
			discard(<-made, name)
		}
		return nil
	})
	if err == nil {
		return e.Adopt(<-made), nil
	}
	if left.Swap(true) {
		select {
		case f := <-made:
			go discard(f, name)
		default: // it failed
		}
	}
	return nil, err
}

func discard(f *os.File, name string) {
	f.Close()
	os.Remove(name)
}

// resolve follows symbolic links, and returns the target's name and what is there, nil if nothing is.
func resolve(ctx context.Context, s fsys.FS, name string) (string, fs.FileInfo, error) {
	for range 40 {
		info, err := s.Lstat(ctx, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return name, nil, nil
		case err != nil:
			return "", nil, err
		case info.IsDir():
			return "", nil, syscall.EISDIR
		case info.Mode().IsRegular():
			return name, info, nil
		case info.Mode().Type() != fs.ModeSymlink:
			return "", nil, errors.New("not a regular file; only those can be replaced")
		}
		link, err := s.Readlink(ctx, name)
		if err != nil {
			return "", nil, err
		}
		if !filepath.IsAbs(link) {
			dir, _ := filepath.Split(name)
			link = dir + link
		}
		name = link
	}
	return "", nil, syscall.ELOOP
}

// Write appends p to the new content.
func (r *Replacement) Write(p []byte) (n int, err error) {
	if r.over {
		return 0, r.wrap(fs.ErrClosed)
	}
	if n, err = r.file.Write(p); err != nil {
		r.err = r.wrap(err)
		return n, r.err
	}
	return n, nil
}

// File returns the temporary file, for what Write cannot do (WriteAt, ReadFrom, Allocate). It must not
// be closed, nor used after Commit or Abandon.
func (r *Replacement) File() *ringfile.File { return r.file }

// Commit makes the new content that of the file. If it returns nil, the new content is on the device.
// If it fails, the file normally has its old content; after an error of the last step (the sync of the
// directory), or of ctx, it may have the new one, or get it later, even after another replacement.
func (r *Replacement) Commit(ctx context.Context) error {
	if r.over {
		return r.wrap(fs.ErrClosed)
	}
	r.ctx = ctx
	defer r.Abandon()
	if r.err != nil {
		return r.err // who has not looked at what Write returned
	}
	if err := r.keep(ctx); err != nil {
		return r.wrap(err)
	}
	if err := r.file.SyncContext(ctx); err != nil {
		return r.wrap(err)
	}
	if err := r.file.CloseContext(ctx); err != nil {
		return r.wrap(err)
	}
	if err := r.fs.Rename(ctx, r.temp, r.at); err != nil {
		return r.wrap(err)
	}
	r.over = true // there is nothing to abandon any more
	defer r.dir.close()
	if err := r.dir.sync(ctx); err != nil {
		return r.wrap(err)
	}
	return nil
}

// Abandon ends a replacement that has not been committed and removes the temporary file. It waits for
// that for as long as the context of the last call lasts.
func (r *Replacement) Abandon() {
	if r.over {
		return
	}
	r.over = true
	r.dir.close()
	if r.file.CloseContext(r.ctx); r.ctx.Err() == nil && r.fs.Remove(r.ctx, r.temp) == nil {
		return
	}
	go os.Remove(r.temp) // the context has ended, or the engine is closed
}

// keep gives the new file the attributes, the owner, the group and the mode of the old one, in this
// order: so nobody who may not use the old file may use the new one at any moment, and attributes that
// only the owner can set are set before the owner changes.
func (r *Replacement) keep(ctx context.Context) error {
	if r.old == nil {
		return nil
	}
	e := r.file.Engine()
	return e.Call(ctx, r.temp, func() error {
		if err := r.attr.keepNamed(r.file); err != nil {
			return err
		}
		if err := keepOwner(r.file, r.old); err != nil {
			return fmt.Errorf("keeping the owner and the group: %w", err)
		}
		return r.attr.keepAccess(r.file, r.old.Mode())
	})
}

// wrap makes err an error of replacing the file: the names in it may be those of the temporary file.
func (r *Replacement) wrap(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &le):
		err = le.Err
	case errors.As(err, &pe) && pe == err:
		err = pe.Err
	}
	return &fs.PathError{Op: "replace", Path: r.name, Err: err}
}
