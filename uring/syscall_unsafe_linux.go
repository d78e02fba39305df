package uring

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The three system calls of io_uring. They go through Syscall, not RawSyscall: an enter may block,
// also when it only submits, and a goroutine that blocks in a raw call holds up the whole program.
// Package unsafe, rule 4: a pointer is converted in the call itself, so the runtime keeps its target
// alive and in place meanwhile. What the target in turn points at is kept by its owner.

func sysSetup(entries uint32, p *Params) (fd int, errno syscall.Errno) {
	r, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP,
		uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	return int(r), errno
}

func sysEnter(fd int, toSubmit, minComplete uint32, flags EnterFlags) (n int, errno syscall.Errno) {
	r, _, errno := syscall.Syscall6(unix.SYS_IO_URING_ENTER,
		uintptr(fd), uintptr(toSubmit), uintptr(minComplete), uintptr(flags), 0, 0)
	return int(r), errno
}

func sysEnterArg(fd int, toSubmit, minComplete uint32, flags EnterFlags, a *WaitArg) (n int, errno syscall.Errno) {
	r, _, errno := syscall.Syscall6(unix.SYS_IO_URING_ENTER,
		uintptr(fd), uintptr(toSubmit), uintptr(minComplete), uintptr(flags),
		uintptr(unsafe.Pointer(&a.arg)), unsafe.Sizeof(a.arg))
	runtime.KeepAlive(a) // arg.ts is the address of a.ts, as a number
	return int(r), errno
}

// sysRegister is io_uring_register(2) with an argument that the kernel reads or writes; nil for none.
func sysRegister[T any](fd int, op RegisterOp, arg *T, n uint32) (res int, errno syscall.Errno) {
	r, _, errno := syscall.Syscall6(unix.SYS_IO_URING_REGISTER,
		uintptr(fd), uintptr(op), uintptr(unsafe.Pointer(arg)), uintptr(n), 0, 0)
	runtime.KeepAlive(arg)
	return int(r), errno
}
