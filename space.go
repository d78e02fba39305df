package ringfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/ringfile/ringfile/internal/sysio"
)

// AllocateMode says how Allocate reserves space: AllocateExtend, or AllocateKeepSize and AllocateZero,
// alone or combined.
type AllocateMode uint8

const (
	// AllocateExtend, the zero mode, extends the file to hold the range if necessary.
	AllocateExtend AllocateMode = 0
	// AllocateKeepSize leaves the file's size unchanged: space reserved beyond its end is for later
	// writes.
	AllocateKeepSize AllocateMode = 1 << 0
	// AllocateZero makes the range read as zeros. The zeros are recorded in metadata, not written
	// (ext4, XFS, btrfs; not tmpfs).
	AllocateZero AllocateMode = 1 << 1
)

// Allocate reserves space on the device for the length bytes at off, so that writing there cannot fail
// for lack of space. Existing data in the range is kept, unless mode has AllocateZero, and the rest of
// the range reads as zeros. The error matches errors.ErrUnsupported if the system or the file system
// cannot do it; then nothing has been changed. See fallocate(2).
func (f *File) Allocate(off, length int64, mode AllocateMode) error {
	if f.valid() && mode&^(AllocateKeepSize|AllocateZero) != 0 {
		return f.t.wrap("allocate", syscall.EINVAL)
	}
	op := operation{code: opAllocate, off: off, length: length}
	if mode&AllocateKeepSize != 0 {
		op.mode |= sysio.KeepSize
	}
	if mode&AllocateZero != 0 {
		op.mode |= sysio.ZeroRange
	}
	return f.control(context.Background(), op)
}

// PunchHole returns the space of the length bytes at off to the file system: they read as zeros, and
// the file keeps its size. Whole blocks are freed; the rest of the range is overwritten with zeros. The
// error matches errors.ErrUnsupported if the system or the file system cannot do it; then nothing has
// been changed. See fallocate(2), FALLOC_FL_PUNCH_HOLE.
func (f *File) PunchHole(off, length int64) error {
	return f.control(context.Background(), operation{code: opPunchHole, off: off, length: length, mode: sysio.PunchHole})
}

// NextData returns the start and the end of the data at off, or of the next data after it, or io.EOF,
// bare, if there is none up to the end of the file. Between such ranges are holes, which read as zeros
// and take no space:
//
//	for off := int64(0); ; {
//		start, end, err := f.NextData(off)
//		if err == io.EOF {
//			break
//		} else if err != nil {
//			return err
//		}
//		// copy what is from start to end
//		off = end
//	}
//
// A file system need not support holes, nor report all of them. Everything counts as data where it does
// not, on systems other than Linux, and for a File whose position others may move too (Adopt, Dup).
// NextData does not change the position; it waits for Reads and Writes at the position that are in
// progress. See lseek(2), SEEK_DATA.
func (f *File) NextData(off int64) (start, end int64, err error) {
	if !f.valid() {
		return 0, 0, fs.ErrInvalid
	}
	t := &f.t
	switch {
	case off < 0 || t.Block:
		return 0, 0, t.wrap("seek", syscall.EINVAL)
	case !t.Seekable:
		return 0, 0, t.wrap("seek", syscall.ESPIPE)
	}
	if err := t.begin("seek"); err != nil {
		return 0, 0, err
	}
	defer t.end()
	t.takePosition(until{}) // which nothing ends
	defer t.position.Unlock()
	permit := t.dev.calls.Acquire()
	defer t.dev.calls.Release(&permit)
	if err = errors.ErrUnsupported; !t.kernelsOwn() {
		start, end, err = t.NextData(off)
	}
	switch {
	case errors.Is(err, syscall.ENXIO):
		return 0, 0, io.EOF
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.EINVAL):
		st, err := t.OS.Stat()
		if err == nil && off >= st.Size() {
			err = io.EOF
		}
		if err != nil {
			return 0, 0, err
		}
		return off, st.Size(), nil
	}
	return start, end, t.wrap("seek", err)
}
