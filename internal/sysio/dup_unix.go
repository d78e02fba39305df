//go:build unix && !aix

package sysio

import (
	"os"

	"golang.org/x/sys/unix"
)

// Dup returns an *os.File with a descriptor of its own for the same open file. See dup(2).
func (h Handle) Dup() (*os.File, error) {
	conn, err := h.OS.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	if err := conn.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, dupErr
	}
	return os.NewFile(uintptr(fd), h.OS.Name()), nil
}
