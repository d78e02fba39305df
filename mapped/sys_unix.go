//go:build unix

package mapped

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// mmap maps the first size bytes of f for reading. A page fault brings in only one page: read-ahead is
// left to the reads. See mmap(2) and madvise(2).
func mmap(f *ringfile.File, size int) (data []byte, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	if conn.Control(func(fd uintptr) {
		data, err = unix.Mmap(int(fd), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	}) != nil {
		return nil, fs.ErrClosed
	}
	if err == nil {
		unix.Madvise(data, unix.MADV_RANDOM)
	}
	return data, err
}

func munmap(data []byte) { unix.Munmap(data) }
