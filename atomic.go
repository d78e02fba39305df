package ringfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// AtomicWriteUnits returns the smallest and the largest size, in bytes, that WriteAtAtomic can write to
// the file if it is open with O_DIRECT. Both are powers of two, or zero where there are no atomic
// writes. See statx(2), STATX_WRITE_ATOMIC (Linux 6.11).
func (f *File) AtomicWriteUnits() (smallest, largest int, err error) {
	err = osDo(f, "statx", func(*os.File) error {
		smallest, largest = f.t.AtomicUnits()
		return nil
	})
	return smallest, largest, err
}

// WriteAtAtomic writes p at off so that it is never torn: after a crash or a power failure either all
// of it is there or none of it. It is not durable when the call returns: that takes a Datasync, or
// O_DSYNC. If the file, the file system, the device or p does not allow it, nothing is written and the
// error is one of these:
//
//   - one that matches errors.ErrUnsupported, where there are no atomic writes (AtomicWriteUnits
//     returns zero) and for a file that is not open with O_DIRECT;
//   - syscall.EINVAL, unless p is empty or its length is a power of two within AtomicWriteUnits, off is
//     a multiple of that length, and p is aligned as DirectAlign says; with a deadline also if p is
//     longer than 1 MiB.
//
// Otherwise it is WriteAt. See pwritev2(2), RWF_ATOMIC (Linux 6.11).
func (f *File) WriteAtAtomic(p []byte, off int64) error {
	if f.valid() && !f.t.Seekable {
		return f.t.wrap("write", syscall.EOPNOTSUPP)
	}
	if f.valid() && !f.t.Direct && !f.t.Append && len(p) > 0 {
		return cmp.Or(f.t.refused("write"), f.t.wrap("write", fmt.Errorf("%w: atomic writes need O_DIRECT", syscall.EOPNOTSUPP)))
	}
	_, err := f.at(context.Background(), operation{code: opWrite, atomic: true, buf: p, off: off})
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Err != syscall.EOPNOTSUPP && pe.Err != syscall.ENOSYS && pe.Err != syscall.EINVAL {
		return err
	}
	switch smallest, largest, err1 := f.AtomicWriteUnits(); {
	case err1 != nil:
	case smallest == 0:
		pe.Err = fmt.Errorf("%w: the file does not support atomic writes", syscall.EOPNOTSUPP)
	default:
		pe.Err = fmt.Errorf("%w: atomic write of %d bytes at offset %d; the size must be a power of two from %d to %d, "+
			"the offset a multiple of it, and the memory aligned as DirectAlign says; with a deadline up to 1 MiB", pe.Err, len(p), off, smallest, largest)
	}
	return err
}
