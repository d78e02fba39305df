package ringfile_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// evict drops a file from the page cache.
func evict(t testing.TB, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := evictFile(f); err != nil {
		t.Fatal(err)
	}
}

func evictFile(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
