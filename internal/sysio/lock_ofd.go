//go:build linux || darwin

package sysio

import (
	"io"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// LockRange takes a lock of the open file description on a range, if nobody holds one that is in the way; ok reports
// whether it has it. A length of zero means all behind off. See fcntl(2), F_OFD_SETLK (Linux 3.15).
func (h Handle) LockRange(off, length int64, shared bool) (ok bool, err error) {
	kind := int16(unix.F_WRLCK)
	if shared {
		kind = unix.F_RDLCK
	}
	switch err := h.setLock(kind, off, length); err {
	case nil:
		return true, nil
	case syscall.EAGAIN, syscall.EACCES:
		return false, nil
	default:
		return false, err
	}
}

// UnlockRange gives locks on a range up.
func (h Handle) UnlockRange(off, length int64) error { return h.setLock(unix.F_UNLCK, off, length) }

func (h Handle) setLock(kind int16, off, length int64) error {
	cmd := 37 // F_OFD_SETLK, which x/sys has for Linux only
	if runtime.GOOS == "darwin" {
		cmd = 90
	}
	lock := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: off, Len: length}
	return h.control(func(fd uintptr) error {
		for {
			if err := unix.FcntlFlock(fd, cmd, &lock); err != syscall.EINTR {
				return err
			}
		}
	})
}
