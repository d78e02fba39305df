package chain_test

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const oDirect = syscall.O_DIRECT

func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
