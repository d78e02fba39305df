package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
)

// prepareChild does to this process what how says.
func prepareChild(how string) error {
	switch how {
	case "":
		return nil
	case "setup EPERM":
		return testutil.RefuseIOUring(syscall.EPERM)
	case "setup ENOSYS":
		return testutil.RefuseIOUring(syscall.ENOSYS)
	case "enter EPERM":
		return testutil.RefuseIOUring(syscall.EPERM, unix.SYS_IO_URING_ENTER)
	case "metadata EPERM":
		syscall.Umask(0o077) // so that no mode is right from the start
		return testutil.RefuseIOUring(syscall.EPERM, unix.SYS_FCHMOD, unix.SYS_UTIMENSAT)
	}
	return fmt.Errorf("unknown preparation %q", how)
}
