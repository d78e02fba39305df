package testutil

import (
	"os"

	"golang.org/x/sys/unix"
)

// Evict writes a file's dirty pages out and drops it from the page cache.
func Evict(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
