package ringfile

import (
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
)

// TestReadBeyondCached reads, by one Read, what the page cache has only the first page of: all of it, as os does.
func TestReadBeyondCached(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		const size = 64<<10 + 10
		f, err := e.OpenFile(testutil.PatternFile(t, size), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2*size)
		for range 10 {
			f.Seek(0, io.SeekStart)
			if err := unix.Fadvise(f.t.FD, 4096, 0, unix.FADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
			f.t.misses.Store(1) // else what the page cache has at the position is a Read of its own
			if n, err := f.Read(buf); n != size || err != nil {
				t.Fatalf("%d, %v, want %d", n, err, size)
			}
			if at := testutil.CheckPattern(buf[:size], 0); at >= 0 {
				t.Fatalf("wrong byte at %d", at)
			}
		}
	})
}
