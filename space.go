package ringfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/ringfile/ringfile/internal/sysio"
)

// AllocateMode says how Allocate reserves space: AllocateExtend, or AllocateKeepSize and AllocateZero, alone or
// together.
type AllocateMode uint8

const (
	// AllocateExtend, the zero mode, makes the file long enough to hold the range.
	AllocateExtend AllocateMode = 0
	// AllocateKeepSize leaves the file as long as it is: what is reserved behind its end is for later writes.
	AllocateKeepSize AllocateMode = 1 << 0
	// AllocateZero makes the range read as zeros, which are not written but noted (ext4, XFS, btrfs; not tmpfs).
	AllocateZero AllocateMode = 1 << 1
)

// Allocate reserves space on the device for the length bytes at off, so that writing there cannot fail for lack
// of space; what the range has stays, unless mode has AllocateZero, and the rest of it reads as zeros. See
// fallocate(2). The error matches errors.ErrUnsupported where the system or the file system cannot do that; then
// nothing has been done.
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

// PunchHole gives the space of the length bytes at off back to the file system: they read as zeros, and the file
// stays as long as it is. Whole blocks are given back, the rest of the range is overwritten with zeros. See
// fallocate(2), FALLOC_FL_PUNCH_HOLE. The error matches errors.ErrUnsupported where the system or the file system
// cannot do that; then nothing has been done.
func (f *File) PunchHole(off, length int64) error {
	return f.control(context.Background(), operation{code: opPunchHole, off: off, length: length, mode: sysio.PunchHole})
}

// NextData returns where the data begins and ends that is at off or is the next behind it; io.EOF, bare, if none is
// up to the end of the file. What lies between such ranges are holes, which read as zeros and take no space:
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
// A file system need not know of holes, nor tell them all: where it does not, on systems other than Linux, and
// where others move the file's position, too (Adopt, Dup), all is data. NextData leaves the position as it is, and
// waits for Reads and Writes there that are under way. See lseek(2), SEEK_DATA.
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
