//go:build linux

package fsx

import (
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// mapFile maps size bytes of f, which may have fewer: those behind its last page must not be
// touched.
func mapFile(f *os.File, size int) ([]byte, error) {
	p, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return p, nil
}

func unmapFile(p []byte) error { return unix.Munmap(p) }

// touch runs use, which touches a mapping, and returns a fault as an error.
func touch(use func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err, _ = v.(error)
			if err == nil {
				panic(v)
			}
		}
	}()
	use()
	return nil
}
