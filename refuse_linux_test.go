package ringfile_test

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
)

// becomeNobody gives up root, and with it the exemption from limits, for all threads and for good.
func becomeNobody() error {
	const nobody = 65534
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(nobody); err != nil {
		return err
	}
	return syscall.Setuid(nobody)
}

// refuseRegistration makes the kernel refuse to register buffers from now on, in one of several ways.
func refuseRegistration(how string) error {
	switch how {
	case "memlock":
		return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{})
	case "old":
		return testutil.RefuseIOUring(syscall.EINVAL, unix.SYS_IO_URING_REGISTER)
	}
	return testutil.RefuseIOUring(syscall.EPERM, unix.SYS_IO_URING_REGISTER)
}
