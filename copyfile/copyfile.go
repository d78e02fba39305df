// Package copyfile copies files in the fastest way available for the two files: sharing blocks, a copy
// within the kernel, or reads and writes.
package copyfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/acl"
	"github.com/ringfile/ringfile/internal/ctxerr"
	"github.com/ringfile/ringfile/stream"
)

// Config says how Copy copies. The zero value suits most programs.
type Config struct {
	// Direct bypasses the page cache, where the file system offers O_DIRECT, with many requests in
	// flight: for copies that nobody will read soon and that must not evict what others read.
	Direct bool

	// Uncached reads and writes through the page cache and leaves nothing there that was not there
	// before, as stream.Config.Uncached does; that also says what is left, and what is dropped, where
	// the kernel cannot. It is for copies that must not evict what others read, and is faster than
	// Direct. Small files take longer. If Direct is set too, Direct is used where possible. On systems
	// other than Linux Uncached has no effect.
	Uncached bool

	// Owner gives dst the owner and the group of src as well and, if both could be set, the
	// set-user-ID, set-group-ID and sticky bits. Only root may give a file to others: for any other
	// user a refusal is not an error, and dst lacks the bits, as with cp -p.
	Owner bool

	// Progress, if not nil, is called by the goroutine that called Copy, with the number of bytes, each
	// time some have been copied. Holes do not count.
	Progress func(bytes int64)

	// Engine carries the copy out. Nil: the default engine.
	Engine *ringfile.Engine
}

// ErrIncomplete is wrapped by the error of a Copy that failed midway and could not clean up: dst
// existed before, so it was not removed, and now holds a part of src.
var ErrIncomplete = errors.New("the destination existed before and is incomplete now")

// MetadataError is wrapped by the error of a Copy whose data is complete: dst has the contents of src,
// but its permissions or times could not be set, for example on file systems that have none. dst's
// permissions are then no wider than those of src, except that the owner may write, or they are those
// that an existing dst had.
type MetadataError struct {
	// Err is what was refused, one or more *fs.PathError: "chown", "chmod", "setxattr", "chtimes".
	Err error
}

func (e *MetadataError) Error() string { return "copied, but not as it was: " + e.Err.Error() }

// Unwrap returns what was refused, so that errors.Is(err, fs.ErrPermission) works.
func (e *MetadataError) Unwrap() error { return e.Err }

// errSameFile is the error of a Copy onto itself.
var errSameFile = errors.New("source and destination are the same file")

// errNotRegular is the error of a Copy from or to a pipe, a device or another special file.
var errNotRegular = errors.New("not a regular file")

// errLeft is wrapped by the error of a Copy whose context has ended while a device does not answer.
var errLeft = errors.New("a device does not answer; the destination will be cleaned up when it does")

// patience is how long Copy waits, after its context has ended, for the call in progress to end and for
// dst to be cleaned up.
const patience = time.Second

// Copy copies the regular file src to dst, with its permissions (mode and POSIX access control list)
// and its access and modification times, and returns the size of the copy. Owner and set-user-ID bits
// are copied with Config.Owner only, extended attributes are not copied, and nothing is synced. Holes
// stay holes. An existing dst is overwritten in place: whoever has it open sees the change, and a
// symbolic link is followed. Copying a file onto itself is refused.
//
// Copy uses the fastest way available for the two files: sharing blocks (FICLONE), a copy within the
// kernel (copy_file_range(2)), or reads and writes. With Config.Direct the reads and writes are many in
// flight at once; with Config.Uncached they are the only way used, unless blocks are shared. If the
// kernel refuses the other ways, for whatever reason, Copy reads and writes.
//
// If the data cannot be copied, dst is removed if it was created; if it existed before, errors.Is(err,
// ErrIncomplete) holds as soon as dst has been changed. A program that is killed leaves a dst that is
// shorter than src. If only the permissions or times cannot be set, dst is kept, complete, and the
// error wraps a *MetadataError. If src changes meanwhile, the copy is a mixture; if src grows, or is
// longer than its reported size, it is copied up to the end that reading finds.
//
// When ctx ends, the copy is abandoned and the error matches the error of ctx. Copy then waits until
// dst has been cleaned up, which may take as long as the device needs for a few megabytes, but no
// longer than a second. If the device does not answer, a dst that was created is removed in the
// background once it does, and one that existed may be incomplete.
//
// The error wraps a *fs.PathError if it concerns one of the files, otherwise a *os.LinkError.
func Copy(ctx context.Context, dst, src string, c Config) (n int64, err error) {
	c.Uncached = c.Uncached && runtime.GOOS == "linux"
	cp := &copying{ctx: ctx, engine: c.Engine, config: c, srcName: src, dstName: dst}
	if cp.engine == nil {
		if cp.engine, err = ringfile.Default(); err != nil {
			return 0, cp.wrap(err)
		}
	}
	if err := cp.ended(); err != nil {
		return 0, err
	}
	if ctx.Done() == nil {
		return cp.run()
	}
	return cp.runUntil()
}

// copying is one Copy.
type copying struct {
	ctx              context.Context
	engine           *ringfile.Engine
	config           Config
	srcName, dstName string

	// Used by runUntil.
	moved   chan int64  // bytes copied, for Progress; nil if nobody asks
	decided atomic.Bool // what the caller is told: how the copy ended, or, if it is quicker, that it has left

	src, dst file
	info     fs.FileInfo // of src, as it was at the start
	acl      acl.List    // of src; nil if it has none
	made     fs.FileInfo // of dst
	created  bool        // dst did not exist
	started  bool        // dst may have been changed
	complete bool        // dst has the contents of src, and stays

	last      int64 // where in dst the part begins that is written last; 0: not set apart
	noOffsets bool  // src is read at its position

	writer  *stream.Writer // of dst, if that is written as a stream
	written int64          // where it stands
}

// file is one of the two files. Anything that is not a transfer goes through its *os.File, within a
// call of the engine.
type file struct {
	*os.File
	ring   *ringfile.File // the same, for transfers; nil until there is one
	direct bool           // O_DIRECT is on
}

// close closes the file if it is open.
func (f file) close() error {
	switch {
	case f.ring != nil:
		return f.ring.Close()
	case f.File != nil:
		return f.File.Close()
	}
	return nil
}

// runUntil runs the copy in a goroutine of its own, which the caller can abandon.
func (cp *copying) runUntil() (int64, error) {
	type result struct {
		n   int64
		err error
	}
	done := make(chan result, 1)
	if cp.config.Progress != nil {
		cp.moved = make(chan int64)
	}
	go func() {
		n, err := cp.run()
		if !cp.decided.CompareAndSwap(false, true) && cp.complete {
			cp.undo(nil) // the caller has been told otherwise
		}
		done <- result{n, err}
	}()
	for {
		select {
		case r := <-done:
			return r.n, r.err
		case n := <-cp.moved:
			cp.config.Progress(n)
			continue
		case <-cp.ctx.Done():
		}
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case r := <-done:
			return r.n, r.err
		case <-late.C:
			if !cp.decided.CompareAndSwap(false, true) {
				r := <-done // it has come to an end right now
				return r.n, r.err
			}
			return 0, fmt.Errorf("%w; %w", cp.ended(), errLeft)
		}
	}
}

// progress reports n more bytes.
func (cp *copying) progress(n int64) {
	switch {
	case n <= 0 || cp.config.Progress == nil:
	case cp.moved == nil:
		cp.config.Progress(n)
	default:
		select {
		case cp.moved <- n:
		case <-cp.ctx.Done():
		}
	}
}

// run copies.
func (cp *copying) run() (n int64, err error) {
	if err = cp.open(); err == nil {
		n, err = cp.data()
	}
	var refused error // of what is not data
	if err == nil {
		refused = cp.call(cp.dstName, cp.metadata)
	}
	cp.src.close()
	if err1 := cp.dst.close(); err == nil {
		err = err1
	}
	if err != nil {
		return n, cp.undo(err)
	}
	cp.complete = true
	if refused != nil {
		return n, &MetadataError{refused}
	}
	return n, nil
}

// ended returns an error if ctx has ended.
func (cp *copying) ended() error {
	if err := ctxerr.Of(cp.ctx); err != nil {
		return cp.wrap(err)
	}
	return nil
}

// wrap turns err, which may concern either file, into the error that Copy returns.
func (cp *copying) wrap(err error) error {
	return &os.LinkError{Op: "copy", Old: cp.srcName, New: cp.dstName, Err: err}
}

// call makes blocking system calls on one of the files, counted against the engine's limit. It waits
// for them: a caller that must not wait has abandoned this goroutine.
func (cp *copying) call(name string, fn func() error) error {
	err := cp.engine.Call(context.Background(), name, fn)
	if err == ringfile.ErrEngineClosed {
		return cp.wrap(err)
	}
	return err
}

// open opens both files and, once it is certain that dst is not src, prepares dst.
func (cp *copying) open() error {
	if err := cp.call(cp.srcName, cp.openSource); err != nil {
		return err
	}
	if err := cp.ended(); err != nil {
		return err
	}
	if err := cp.call(cp.dstName, cp.openDestination); err != nil {
		return err
	}
	switch {
	case os.SameFile(cp.info, cp.made):
		return cp.wrap(errSameFile)
	case !cp.made.Mode().IsRegular():
		return &fs.PathError{Op: "copy", Path: cp.dstName, Err: errNotRegular}
	}
	if err := cp.ended(); err != nil {
		return err
	}
	if cp.made.Size() > 0 {
		if err := cp.truncate(0); err != nil {
			return err
		}
	}
	cp.started = true
	return nil
}

// openSource opens src.
func (cp *copying) openSource() (err error) {
	if err := refuseSpecial(cp.srcName); err != nil {
		return err
	}
	if cp.src, err = cp.openFile(cp.srcName, os.O_RDONLY, 0); err != nil {
		return err
	}
	if cp.info, err = cp.src.Stat(); err != nil {
		return err
	}
	if !cp.info.Mode().IsRegular() {
		return &fs.PathError{Op: "copy", Path: cp.srcName, Err: errNotRegular}
	}
	cp.acl = getACL(cp.src.File)
	return nil
}

// openDestination opens dst, or creates it.
func (cp *copying) openDestination() (err error) {
	// Whether it is created is known only from a call that creates it or fails. The owner may write
	// until the end. What the umask leaves of the mode need not be set again.
	perm := cp.acl.Narrow(cp.info.Mode().Perm()) | 0o200
	if cp.config.Owner {
		perm &= 0o700 // the group is another one for now
	}
	cp.dst, err = cp.openFile(cp.dstName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	cp.created = err == nil
	if errors.Is(err, fs.ErrExist) {
		if err := refuseSpecial(cp.dstName); err != nil {
			return err
		}
		cp.dst, err = cp.openFile(cp.dstName, os.O_WRONLY, 0)
	}
	if err != nil {
		return err
	}
	cp.made, err = cp.dst.Stat()
	return err
}

// refuseSpecial returns an error if the named file exists and must not be opened: a FIFO would wait for
// its other end, and a device may do anything.
func refuseSpecial(name string) error {
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	return nil
}

// openFile opens one of the files, with O_DIRECT if requested and possible.
func (cp *copying) openFile(name string, flag int, perm fs.FileMode) (f file, err error) {
	if f.File, err = openFile(name, flag, perm); err == nil {
		f.direct = cp.config.Direct && setDirect(f.File)
	}
	return f, err
}

// truncate sets the size of dst.
func (cp *copying) truncate(size int64) error {
	return cp.call(cp.dstName, func() error { return cp.dst.Truncate(size) })
}

// metadata finally gives dst the owner, the mode and the times of src. If one is refused, the others
// are still set.
func (cp *copying) metadata() error {
	mode := cp.info.Mode().Perm()
	var refused error
	if cp.config.Owner {
		var kept bool
		if kept, refused = cp.owner(); kept {
			mode = cp.info.Mode() // all of it
		}
	}
	return errors.Join(refused, cp.access(mode), setTimes(cp.dst.File, cp.info))
}

// owner gives dst the owner and the group of src, and reports whether it has them now.
func (cp *copying) owner() (kept bool, err error) {
	uid, gid, ok := ownerOf(cp.info)
	if !ok {
		return false, wrap("chown", cp.dst.File, errors.ErrUnsupported)
	}
	if u, g, _ := ownerOf(cp.made); u == uid && g == gid {
		return true, nil
	}
	err = cp.dst.Chown(uid, gid)
	if os.Geteuid() == 0 || err == nil || !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) {
		return err == nil, err
	}
	cp.dst.Chown(-1, gid) // which may be given if it is one of the user's
	return false, nil
}

// access gives dst the permissions of src: its access control list if it has one, and the given mode.
func (cp *copying) access(mode fs.FileMode) error {
	had, refused := setACL(cp.dst.File, cp.acl) // had: dst has, or had, a list
	if refused != nil {
		if cp.acl == nil {
			return refused // under a list of its own dst must not get that mode
		}
		// Without the list the mode would let users do more than both together did.
		mode = cp.acl.Narrow(mode)
		if _, err := setACL(cp.dst.File, nil); err != nil { // of the directory's default
			return err
		}
	}
	if cp.created && !had && cp.made.Mode() == mode {
		return nil
	}
	return errors.Join(refused, cp.dst.Chmod(mode))
}

func wrap(op string, f *os.File, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.Name(), Err: err}
}

// undo removes dst if it was created here and still exists, and returns err, or an error that says that
// it remains.
func (cp *copying) undo(err error) error {
	if !cp.created {
		if cp.started && err != nil {
			return fmt.Errorf("%w; %w", err, ErrIncomplete)
		}
		return err
	}
	remove := func() error {
		st, err := os.Lstat(cp.dstName)
		if err != nil || cp.made == nil || !os.SameFile(st, cp.made) {
			return nil
		}
		return os.Remove(cp.dstName)
	}
	err1 := cp.engine.Call(context.Background(), cp.dstName, remove)
	if err1 == ringfile.ErrEngineClosed {
		err1 = remove() // whatever became of the engine
	}
	if err1 != nil {
		return fmt.Errorf("%w; the destination could not be removed, and is incomplete: %w", err, err1)
	}
	return err
}
