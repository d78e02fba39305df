package uring

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore is mincore(2), which x/sys does not have.
func mincore(m, vec []byte) error {
	_, _, errno := syscall.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)),
		uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
