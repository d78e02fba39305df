package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// directSupported tells whether the system knows O_DIRECT at all.
const directSupported = true

// openDirect opens the named file with O_DIRECT. The error is errNotDirect if it can be opened but
// not so, or not with buffers such as a hasher has.
func openDirect(e *ringfile.Engine, name string) (file, error) {
	f, err := e.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) {
		return nil, errNotDirect
	}
	if err != nil {
		return nil, err
	}
	align, err := f.DirectAlign()
	if err != nil || align.Memory > bufferAlign || chunkSize%align.Offset != 0 {
		f.Close()
		return nil, errNotDirect
	}
	return f, nil
}

// volumeOf returns a number for the file system that the named file is on, or for the block device
// that it is.
func volumeOf(name string) uint64 {
	fi, err := os.Stat(name)
	if err != nil {
		return 0
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	if fi.Mode()&fs.ModeDevice != 0 {
		return uint64(st.Rdev) | 1<<63
	}
	return uint64(st.Dev)
}
