package ringfile_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/sysio"
	"github.com/ringfile/ringfile/internal/testutil"
)

// cached returns what Cached says, and skips the test where nothing can.
func cached(t *testing.T, f *ringfile.File, off, length int64) int64 {
	t.Helper()
	n, err := f.Cached(off, length)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs Linux 6.5: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually tries until ok reports true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not seen within ten seconds: %s", what)
			return
		}
	}
}

// TestAdviseAndCached has a file read ahead, and dropped, and looks at the page cache.
func TestAdviseAndCached(t *testing.T) {
	const size = 4 << 20
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, size)
		f, err := e.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if n := cached(t, f, 0, 0); n != size {
			t.Errorf("%d bytes of a file that was just written are cached", n)
		}
		if n := cached(t, f, size-4096, 1<<40); n != 4096 {
			t.Errorf("%d bytes at the end are cached", n)
		}
		if n := cached(t, f, 100, 10); n != int64(os.Getpagesize()) {
			t.Errorf("%d bytes of ten are cached", n)
		}
		if n := cached(t, f, size, 0); n != 0 {
			t.Errorf("%d bytes behind the end are cached", n)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		for _, a := range []ringfile.Advice{ringfile.AdviceRandom, ringfile.AdviceSequential, ringfile.AdviceNormal} {
			if err := f.Advise(0, 0, a); err != nil {
				t.Errorf("advice %d: %v", a, err)
			}
		}
		if n := cached(t, f, 0, 0); n != size {
			t.Errorf("%d bytes are cached after advice that is of later", n)
		}
		if o, err := os.Open(name); err != nil {
			t.Fatal(err)
		} else {
			h, _ := sysio.Adopt(o)
			medium := h.Medium()
			o.Close()
			if medium == sysio.MediumMemory {
				return
			}
		}
		eventually(t, "nothing is cached", func() bool {
			err := f.Advise(0, 0, ringfile.AdviceDontNeed)
			return err == nil && cached(t, f, 0, 0) == 0
		})
		const ahead = 64 << 10 // some devices are read no further ahead at a time
		eventually(t, "the second megabyte is cached, as far as it is read at a time", func() bool {
			err := f.Advise(1<<20, 1<<20, ringfile.AdviceWillNeed)
			return err == nil && cached(t, f, 1<<20, ahead) == ahead
		})
	})
}

// TestAdviseErrors has advice that is none, and files that are none.
func TestAdviseErrors(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.Open(testutil.PatternFile(t, 4096))
		if err != nil {
			t.Fatal(err)
		}
		cached(t, f, 0, 0) // where that can be had, posix_fadvise can
		var pe *fs.PathError
		if err := f.Advise(0, 0, 77); !errors.As(err, &pe) || pe.Op != "advise" || pe.Path != f.Name() {
			t.Errorf("unknown advice: %v", err)
		}
		for _, place := range [][2]int64{{-1, 10}, {0, -1}} {
			if _, err := f.Cached(place[0], place[1]); !errors.As(err, &pe) || pe.Op != "cachestat" {
				t.Errorf("Cached(%d, %d): %v", place[0], place[1], err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = f.Cached(0, 0)
		_, none := (*ringfile.File)(nil).Cached(0, 0)
		for _, c := range []struct{ got, want error }{
			{err, fs.ErrClosed}, {f.Advise(0, 0, ringfile.AdviceNormal), fs.ErrClosed},
			{none, fs.ErrInvalid}, {(*ringfile.File)(nil).Advise(0, -1, ringfile.AdviceNormal), fs.ErrInvalid},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%v, want %v", c.got, c.want)
			}
		}
	})
}
