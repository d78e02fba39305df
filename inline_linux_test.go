package ringfile

import (
	"io"
	"os"
	"sync"
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
		f.ReadAt(buf[:1], 0) // finds out what the file system can do
		for i := range 12 {
			f.Seek(0, io.SeekStart)
			if err := unix.Fadvise(f.t.FD, 4096, 0, unix.FADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
			f.t.misses.Store(int32(i % 2)) // it is expected to be in the page cache, or not
			f.t.hits.Store(hotHits + int32(i%3) - 1)
			if n, err := f.Read(buf); n != size || err != nil {
				t.Fatalf("%d, %v, want %d", n, err, size)
			}
			if at := testutil.CheckPattern(buf[:size], 0); at >= 0 {
				t.Fatalf("wrong byte at %d", at)
			}
			if n, err := f.Read(buf); n != 0 || err != io.EOF {
				t.Fatalf("at the end: %d, %v", n, err)
			}
		}
	})
}

// TestReadBeyondCachedTogether has several read from one position what the page cache has every other page
// of: what a Read gives is one piece of the file, and none is given twice.
func TestReadBeyondCachedTogether(t *testing.T) {
	const chunk, chunks = 3 * 4096, 64
	name := testutil.PatternFile(t, chunk*chunks)
	for what, open := range map[string]func(t *testing.T, e *Engine) []*File{
		"one File": func(t *testing.T, e *Engine) []*File {
			f, err := e.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			return []*File{f, f, f, f}
		},
		"a position that is shared": func(t *testing.T, e *Engine) []*File {
			f, err := e.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			std, err := f.Dup()
			if err != nil {
				t.Fatal(err)
			}
			g := e.Adopt(std)
			return []*File{f, g, f, g}
		},
	} {
		t.Run(what, func(t *testing.T) {
			eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
				files := open(t, e)
				defer files[0].Close()
				defer files[1].Close()
				for i := range int32(6) {
					for _, f := range files {
						f.t.hits.Store(hotHits * (i % 2)) // reads were served at once for long, or not
					}
					for page := range int64(chunk * chunks / 4096) {
						advice := unix.FADV_DONTNEED
						if page%2 == 0 {
							advice = unix.FADV_WILLNEED
						}
						unix.Fadvise(files[0].t.FD, page*4096, 4096, advice)
					}
					unix.Fadvise(files[0].t.FD, 0, 0, unix.FADV_RANDOM)
					files[0].Seek(0, io.SeekStart)
					var mu sync.Mutex
					seen := make(map[int]bool)
					var wg sync.WaitGroup
					for _, f := range files {
						wg.Go(func() {
							buf := make([]byte, chunk)
							for {
								n, err := f.Read(buf)
								if err == io.EOF {
									return
								}
								if n != chunk || err != nil {
									t.Errorf("a Read: %d, %v, want %d", n, err, chunk)
									return
								}
								i := 0
								for i < chunks && testutil.CheckPattern(buf, int64(i*chunk)) >= 0 {
									i++
								}
								mu.Lock()
								if i == chunks || seen[i] {
									t.Errorf("a Read gave what is no piece of the file, or has been given (%d)", i)
								}
								seen[i] = true
								mu.Unlock()
							}
						})
					}
					wg.Wait()
					if len(seen) != chunks || t.Failed() {
						t.Fatalf("%d pieces, want %d", len(seen), chunks)
					}
				}
			})
		})
	}
}
