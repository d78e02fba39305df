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

// punchHole makes the file read as zeros there, and keeps its size.
func punchHole(h *handle, off int64, length int) error {
	conn, err := h.SyscallConn()
	if err != nil {
		return err
	}
	const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	if err1 := conn.Control(func(fd uintptr) {
		for {
			if err = unix.Fallocate(int(fd), mode, off, int64(length)); err != unix.EINTR {
				return
			}
		}
	}); err1 != nil {
		return err1
	}
	return os.NewSyscallError("fallocate", err)
}
