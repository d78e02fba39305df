package testutil

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// installFilter makes all threads of the process obey a seccomp filter.
func installFilter(filter []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}
	// Rule 4 of package unsafe: the conversion stands in the call. prog points to the filter, which
	// is kept alive until the kernel has copied it.
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	if thread != 0 {
		return os.NewSyscallError("seccomp", errThread)
	}
	return nil
}
