//go:build !linux

package uring

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
)

// New returns an error that wraps [errors.ErrUnsupported]: only Linux has io_uring.
func New(c Config) (*Ring, error) {
	return nil, fmt.Errorf("uring: io_uring on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// The system calls; only a [Fake] ring gets here.

func sysEnter(int, uint32, uint32, EnterFlags) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func sysEnterArg(int, uint32, uint32, EnterFlags, *WaitArg) (int, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func sysRegister[T any](int, RegisterOp, *T, uint32) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func closeFD(int) error { return nil }

func (s *Submitter) run() syscall.Errno { return syscall.ENOSYS }

func futexWake(*atomic.Uint32) {}
