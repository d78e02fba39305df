package testutil

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// RefuseIOUring makes the kernel refuse system calls of io_uring with errno, for all threads of this
// process, its children and for good: what Docker, containerd and Kubernetes do by default with
// EPERM. calls are the numbers refused; none stands for io_uring_setup alone. A test runs it in a
// child process, first thing. It needs no privileges.
func RefuseIOUring(errno syscall.Errno, calls ...uint32) error {
	if len(calls) == 0 {
		calls = []uint32{unix.SYS_IO_URING_SETUP}
	}
	// Privileges must be given up, by the thread that installs the filter; TSYNC takes the others
	// along.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if err := installFilter(refusing(errno, calls)); err != nil {
		return err
	}
	// Refusing is not believed but seen.
	if calls[0] == unix.SYS_IO_URING_SETUP {
		if _, _, got := unix.Syscall(unix.SYS_IO_URING_SETUP, 0, 0, 0); got != errno {
			return fmt.Errorf("io_uring_setup under the filter: got %v, want %v", got, errno)
		}
	}
	return nil
}

// RefuseRegister makes the kernel answer one operation of io_uring_register(2) with EINVAL, in all threads and for
// good.
func RefuseRegister(op uint32) error {
	number, arg := uint32(0), uint32(24) // of the second argument, in struct seccomp_data
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		arg += 4
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	return installFilter([]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.SYS_IO_URING_REGISTER},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: arg},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: op},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	})
}

// refusing returns a filter that answers calls with errno and lets all others pass.
func refusing(errno syscall.Errno, calls []uint32) []unix.SockFilter {
	const offsetOfNumber = 0 // in struct seccomp_data
	n := len(calls)
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetOfNumber}}
	for i, call := range calls {
		// If equal, jump over the other comparisons and the permission.
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(n - i), K: call})
	}
	return append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
}

var errThread = errors.New("a thread has a filter of its own")
