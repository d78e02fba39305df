// Package sysio has the file system calls that x/sys/unix does not offer in the form needed here:
// one buffer, no allocation, and the choice between a scheduler-aware and a raw call.
package sysio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/race"
)

// OffCurrent as an offset means the file position (preadv2(2), Linux 4.6).
const OffCurrent = -1

// RawMax is the largest transfer that is made without telling the scheduler. A NOWAIT call does
// not sleep, so what it costs is the copy: 64 KiB take about five microseconds, which a stop-the-world
// can wait for (the runtime clears four times as much memory at a time); a megabyte cannot ask that
// of it.
const RawMax = 64 << 10

// PreadNowait reads into p at off what is in the page cache (preadv2(2) with RWF_NOWAIT, Linux
// 4.14). It returns EAGAIN when the first byte would have to come from the device, EOPNOTSUPP
// where the file does not know the flag, and a short count when only the head was cached or the
// file ends.
func PreadNowait(fd int, p []byte, off int64) (int, syscall.Errno) {
	return pread(fd, p, off, unix.RWF_NOWAIT, len(p) <= RawMax)
}

// PreadMemory reads into p, at most RawMax bytes, at off, from a file that is in memory for good, so
// that the read does not sleep.
func PreadMemory(fd int, p []byte, off int64) (int, syscall.Errno) {
	return pread(fd, p, off, 0, true)
}

// PreadDirectNowait is PreadNowait for a descriptor with O_DIRECT. There the flag only keeps the
// kernel from waiting before it starts the transfer; the call waits for the device.
func PreadDirectNowait(fd int, p []byte, off int64) (int, syscall.Errno) {
	return pread(fd, p, off, unix.RWF_NOWAIT, false)
}

func pread(fd int, p []byte, off int64, flags int, raw bool) (int, syscall.Errno) {
	n, errno := transfer(unix.SYS_PREADV2, fd, p, off, flags, raw)
	if n > 0 && race.Enabled {
		race.Wrote(p[:n])
	}
	return n, errno
}

// PwriteNowait writes p at off if that is possible without waiting (pwritev2(2) with RWF_NOWAIT;
// direct writes Linux 4.14, buffered ones by file system).
func PwriteNowait(fd int, p []byte, off int64) (int, syscall.Errno) {
	if race.Enabled {
		race.Read(p)
	}
	return transfer(unix.SYS_PWRITEV2, fd, p, off, unix.RWF_NOWAIT, false)
}

func transfer(trap uintptr, fd int, p []byte, off int64, flags int, raw bool) (int, syscall.Errno) {
	var iov unix.Iovec
	iov.Base = unsafe.SliceData(p)
	iov.SetLen(len(p))
	// Rule 4 of package unsafe: the conversion stands in the call. The vector lies on this stack
	// and points to p, which the caller holds; neither moves during the call.
	lo, hi := uintptr(off), uintptr(uint64(off)>>32)
	var n uintptr
	var errno syscall.Errno
	if raw {
		n, _, errno = unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, lo, hi, uintptr(flags))
	} else {
		n, _, errno = unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, lo, hi, uintptr(flags))
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
