package sysio

import (
	"math"

	"golang.org/x/sys/windows"
)

// LockRange takes a lock of the handle on a range, if nobody holds one that is in the way; ok reports whether it has
// it. A length of zero means all behind off. See LockFileEx.
func (h Handle) LockRange(off, length int64, shared bool) (ok bool, err error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	low, high, at := lockRange(off, length)
	err = h.control(func(fd uintptr) error { return windows.LockFileEx(windows.Handle(fd), flags, 0, low, high, at) })
	if err == windows.ERROR_LOCK_VIOLATION || err == windows.ERROR_IO_PENDING {
		return false, nil
	}
	return err == nil, err
}

// LockableRange takes the lock to find out, and gives it up.
func (h Handle) LockableRange(off, length int64, shared bool) (bool, error) {
	ok, err := h.LockRange(off, length, shared)
	if !ok || err != nil {
		return false, err
	}
	return true, h.UnlockRange(off, length)
}

// UnlockRange gives a lock up that was taken on that very range.
func (h Handle) UnlockRange(off, length int64) error {
	low, high, at := lockRange(off, length)
	err := h.control(func(fd uintptr) error { return windows.UnlockFileEx(windows.Handle(fd), 0, low, high, at) })
	if err == windows.ERROR_NOT_LOCKED {
		return nil
	}
	return err
}

func lockRange(off, length int64) (low, high uint32, at *windows.Overlapped) {
	n := uint64(length)
	if n == 0 {
		n = math.MaxUint64 - uint64(off)
	}
	return uint32(n), uint32(n >> 32), &windows.Overlapped{Offset: uint32(off), OffsetHigh: uint32(off >> 32)}
}
