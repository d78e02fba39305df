package ringfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// CopyConfig says how CopyFile copies. The zero value is what programs want.
type CopyConfig struct {
	// Direct moves the data past the page cache, where a file system offers O_DIRECT, with many
	// requests in flight: for copies that nobody will read soon, and that must not push out of the
	// page cache what others do read.
	Direct bool

	// Progress, if not nil, is called with the number of bytes each time that some have been
	// copied, by the goroutine that called CopyFile. Holes do not count.
	Progress func(bytes int64)
}

// ErrIncomplete is in the error of a CopyFile that failed half-way and could not put things right:
// dst existed, so that it was not removed, and now holds a part of src.
var ErrIncomplete = errors.New("the destination existed before and is incomplete now")

// errSameFile is the error of a CopyFile onto itself.
var errSameFile = errors.New("source and destination are the same file")

// errNotRegular is the error of a CopyFile from or to a pipe, a device or the like.
var errNotRegular = errors.New("not a regular file")

// CopyFile is Engine.CopyFile on the default engine.
func CopyFile(ctx context.Context, dst, src string, c CopyConfig) (n int64, err error) {
	e, err := Default()
	if err != nil {
		return 0, &os.LinkError{Op: "copy", Old: src, New: dst, Err: err}
	}
	return e.CopyFile(ctx, dst, src, c)
}

// CopyFile copies the regular file src to dst, with its permissions and its times of access and
// modification; owner, set-user-ID bits and extended attributes are not copied, and nothing is
// synced. Holes stay holes. It returns the size of the copy. An existing dst is overwritten in
// place: whoever has it open sees that, and a symbolic link is followed. Copying a file onto itself
// is refused.
//
// It takes the quickest way that there is for the two files: sharing the blocks (FICLONE), a copy
// within the kernel (copy_file_range(2)), or reads and writes: many in flight with
// CopyConfig.Direct.
//
// If it fails, dst is removed if it was created; if it had existed, errors.Is(err, ErrIncomplete)
// holds as soon as dst has been changed, unless only its permissions or times could not be. When ctx ends, the copy is given up, which may take as
// long as the device needs for a few megabytes, and the error matches the cause of ctx. A src that
// changes meanwhile gives a mixture, and of one that grows no more than its size at the start is
// copied.
//
// The error wraps a *fs.PathError if it concerns one of the files, otherwise a *os.LinkError.
func (e *Engine) CopyFile(ctx context.Context, dst, src string, c CopyConfig) (n int64, err error) {
	cp := copying{ctx: ctx, engine: e, config: c, srcName: src, dstName: dst}
	if err := cp.ended(); err != nil {
		return 0, err
	}
	if err := cp.open(); err != nil {
		cp.close()
		return 0, err
	}
	n, err = cp.data()
	if err == nil {
		cp.complete = true
		err = cp.metadata()
	}
	if err1 := cp.close(); err1 != nil {
		cp.complete = false
		if err == nil {
			err = err1
		}
	}
	if err != nil {
		return n, cp.undo(err)
	}
	return n, nil
}

// copying is one CopyFile.
type copying struct {
	ctx              context.Context
	engine           *Engine
	config           CopyConfig
	srcName, dstName string

	src, dst *File
	info     fs.FileInfo // of src, as it was at the start
	made     fs.FileInfo // of dst
	created  bool        // dst did not exist
	complete bool        // dst has the contents of src
}

// ended returns an error if ctx has ended.
func (cp *copying) ended() error {
	if err := context.Cause(cp.ctx); err != nil {
		return cp.wrap(err)
	}
	return nil
}

// wrap makes err, which may concern either file, what CopyFile returns.
func (cp *copying) wrap(err error) error {
	return &os.LinkError{Op: "copy", Old: cp.srcName, New: cp.dstName, Err: err}
}

// open opens both files, and prepares dst, once it is certain that it is not src.
func (cp *copying) open() (err error) {
	// Opening a FIFO would wait for its other end.
	for _, name := range []string{cp.srcName, cp.dstName} {
		if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
			return &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
		}
	}
	if cp.src, err = cp.engine.openCopy(cp.srcName, os.O_RDONLY, 0, cp.config.Direct); err != nil {
		return err
	}
	if cp.info, err = cp.src.Stat(); err != nil {
		return err
	}
	if !cp.info.Mode().IsRegular() {
		return &fs.PathError{Op: "copy", Path: cp.srcName, Err: errNotRegular}
	}
	// Whether it is created is known only from a call that creates it or fails. The owner may write
	// until the end.
	perm := cp.info.Mode().Perm()&0o700 | 0o200
	cp.dst, err = cp.engine.openCopy(cp.dstName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm, cp.config.Direct)
	cp.created = err == nil
	if errors.Is(err, fs.ErrExist) {
		cp.dst, err = cp.engine.openCopy(cp.dstName, os.O_WRONLY, 0, cp.config.Direct)
	}
	if err != nil {
		return err
	}
	// Not through the engine, which may have been closed: undo needs it.
	if cp.made, err = cp.dst.os.Stat(); err != nil {
		return err
	}
	switch {
	case os.SameFile(cp.info, cp.made):
		return cp.wrap(errSameFile)
	case !cp.made.Mode().IsRegular():
		return &fs.PathError{Op: "copy", Path: cp.dstName, Err: errNotRegular}
	case cp.made.Size() > 0:
		return cp.dst.Truncate(0)
	}
	return nil
}

// openCopy opens one of the files, with O_DIRECT if that is wanted and possible.
func (e *Engine) openCopy(name string, flag int, perm fs.FileMode, direct bool) (*File, error) {
	f, err := e.OpenFile(name, flag, perm)
	if err == nil && direct {
		f.tryDirect()
	}
	return f, err
}

// metadata gives dst the mode and the times of src, at last.
func (cp *copying) metadata() error {
	if mode := cp.info.Mode().Perm(); !cp.created || cp.made.Mode() != mode {
		if err := cp.dst.Chmod(mode); err != nil {
			return err
		}
	}
	return cp.dst.setTimes(cp.info)
}

func (cp *copying) close() (err error) {
	if cp.src != nil {
		cp.src.Close()
	}
	if cp.dst != nil {
		err = cp.dst.Close()
	}
	return err
}

// undo removes dst if it was created here and is still there, and returns err, or that it remains.
func (cp *copying) undo(err error) error {
	if !cp.created && cp.complete {
		return err
	}
	if !cp.created {
		return fmt.Errorf("%w; %w", err, ErrIncomplete)
	}
	if st, err1 := os.Lstat(cp.dstName); err1 == nil && cp.made != nil && os.SameFile(st, cp.made) {
		if err1 := os.Remove(cp.dstName); err1 != nil {
			return fmt.Errorf("%w; it could not be removed, and is incomplete: %w", err, err1)
		}
	}
	return err
}
