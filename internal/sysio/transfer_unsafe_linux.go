package sysio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/race"
)

// PreadNowait reads into p at off what is in the page cache (preadv2(2) with RWF_NOWAIT, Linux 4.14). It
// returns EAGAIN when the first byte would have to come from the device, EOPNOTSUPP where the file does
// not know the flag, and a short count when only the head was cached or the file ends. With O_DIRECT the
// flag only keeps the kernel from waiting before it starts the transfer; the call waits for the device.
// It does not allocate.
func (h Handle) PreadNowait(p []byte, off int64) (int, syscall.Errno) {
	n, errno := transfer(unix.SYS_PREADV2, h.FD, p, off, unix.RWF_NOWAIT)
	if n > 0 && race.Enabled {
		race.Wrote(p[:n])
	}
	return n, errno
}

// PwriteNowait writes p at off if that can be started without waiting (pwritev2(2) with RWF_NOWAIT).
func (h Handle) PwriteNowait(p []byte, off int64) (int, syscall.Errno) {
	if race.Enabled {
		race.Read(p)
	}
	return transfer(unix.SYS_PWRITEV2, h.FD, p, off, unix.RWF_NOWAIT)
}

// PwriteAtomic writes p at off, all of it or nothing (pwritev2(2) with RWF_ATOMIC, Linux 6.11).
func (h Handle) PwriteAtomic(p []byte, off int64) (n int, errno syscall.Errno) {
	if race.Enabled {
		race.Read(p)
	}
	for {
		if n, errno = transfer(unix.SYS_PWRITEV2, h.FD, p, off, unix.RWF_ATOMIC); errno != syscall.EINTR {
			return n, errno
		}
	}
}

func transfer(trap uintptr, fd int, p []byte, off int64, flags int) (int, syscall.Errno) {
	var iov unix.Iovec
	iov.Base = unsafe.SliceData(p)
	iov.SetLen(min(len(p), MaxTransfer))
	// Rule 4 of package unsafe: the conversion stands in the call. The vector lies on this stack and
	// points to p, which the caller holds; neither moves during the call.
	lo, hi := uintptr(off), uintptr(uint64(off)>>32)
	n, _, errno := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, lo, hi, uintptr(flags))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
