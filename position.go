package ringfile

import (
	"io"
	"syscall"
)

// runAtPosition is Engine.run for an operation at the file position, which its caller has locked.
// The kernel leaves the position where it was when a direct transfer with the offset -1 completes
// later (measured on Linux 6.18), so the transfer gets an offset, and the position is moved here.
func (f *File) runAtPosition(op *operation, n int) (_ int, errno syscall.Errno, why cause, handled bool) {
	pos, err := f.os.Seek(0, io.SeekCurrent)
	if err != nil {
		return n, 0, notCancelled, false // the blocking road has the right error
	}
	at := *op
	at.off = pos - int64(n) // n bytes have been moved, and the position with them
	if f.punts(&at) {
		return n, 0, notCancelled, false
	}
	m, errno, why, handled := f.engine.run(&at, n)
	if m > n {
		if err := f.movePosition(op, pos+int64(m-n)); err != nil && errno == 0 {
			errno = syscall.EIO
		}
	}
	return m, errno, why, handled
}

// movePosition moves the file position to pos behind a transfer, or to the end if that was an
// append.
func (f *File) movePosition(op *operation, pos int64) error {
	whence := io.SeekStart
	if f.append && op.code.writes() {
		pos, whence = 0, io.SeekEnd
	}
	_, err := f.os.Seek(pos, whence)
	return err
}
