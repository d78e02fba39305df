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
	err = h.setLock(lockKind(shared), off, length)
	if err == syscall.EACCES {
		if ok, _ := h.LockableRange(off, length, shared); ok {
			err = h.setLock(lockKind(shared), off, length) // it may have been given up in between
			if err == syscall.EACCES {
				return false, err // nobody is in the way: a security module refuses it
			}
		}
	}
	switch err {
	case nil:
		return true, nil
	case syscall.EAGAIN, syscall.EACCES:
		return false, nil
	}
	return false, err
}

// LockableRange reports whether nobody holds a lock that conflicts with LockRange. See fcntl(2), F_OFD_GETLK.
func (h Handle) LockableRange(off, length int64, shared bool) (bool, error) {
	lock, err := h.fcntlLock(ofdGetLock, unix.Flock_t{Type: lockKind(shared), Whence: io.SeekStart, Start: off, Len: length})
	return err == nil && lock.Type == unix.F_UNLCK, err
}

func lockKind(shared bool) int16 {
	if shared {
		return unix.F_RDLCK
	}
	return unix.F_WRLCK
}

// UnlockRange gives locks on a range up.
func (h Handle) UnlockRange(off, length int64) error { return h.setLock(unix.F_UNLCK, off, length) }

func (h Handle) setLock(kind int16, off, length int64) error {
	_, err := h.fcntlLock(ofdSetLock, unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: off, Len: length})
	return err
}

// ofdGetLock and ofdSetLock are F_OFD_GETLK and F_OFD_SETLK, which x/sys has for Linux only.
var ofdGetLock, ofdSetLock = func() (get, set int) {
	if runtime.GOOS == "darwin" {
		return 92, 90
	}
	return 36, 37
}()

func (h Handle) fcntlLock(cmd int, lock unix.Flock_t) (unix.Flock_t, error) {
	if h.FD < 0 {
		return h.controlLock(cmd, lock)
	}
	for {
		if err := unix.FcntlFlock(uintptr(h.FD), cmd, &lock); err != syscall.EINTR {
			return lock, err
		}
	}
}

// controlLock is fcntlLock for a file whose descriptor only os knows. It is separate because it
// allocates.
func (h Handle) controlLock(cmd int, lock unix.Flock_t) (unix.Flock_t, error) {
	err := h.control(func(fd uintptr) error {
		for {
			if err := unix.FcntlFlock(fd, cmd, &lock); err != syscall.EINTR {
				return err
			}
		}
	})
	return lock, err
}
