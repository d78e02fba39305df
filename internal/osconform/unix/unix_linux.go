// Package unix is what Go's tests of os use of internal/syscall/unix.
package unix

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// IsNonblock reports whether fd is in non-blocking mode.
func IsNonblock(fd int) (bool, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags&unix.O_NONBLOCK != 0, err
}

// PidFDSendSignal sends s to the process that pidfd refers to.
func PidFDSendSignal(pidfd uintptr, s syscall.Signal) error {
	return unix.PidfdSendSignal(int(pidfd), s, nil, 0)
}
