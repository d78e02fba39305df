package ringfile_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// coldStorm reads data that is not in the page cache: each read drops its pages first.
func coldStorm(t *testing.T, read func(rng *rand.Rand, f *ringfile.File, buf []byte, off int64) (int, error)) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		const size = 16 << 20
		f, err := e.OpenFile(testutil.PatternFile(t, size), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM) // no readahead, which would make it warm
		storm(t, 8, func(rng *rand.Rand, w int) {
			buf := make([]byte, 16<<10)
			off := rng.Int64N((size-int64(len(buf)))/4096) * 4096
			unix.Fadvise(int(f.Fd()), off, int64(len(buf)), unix.FADV_DONTNEED)
			n, err := read(rng, f, buf, off)
			checkRead(t, n, err, buf, off)
		})
	})
}

// TestStormThreadExitCold is TestStormThreadExit for data that is not in the page cache: the kernel
// goes on with such a read in the thread that submitted it, and gives it up with EFAULT if that has
// ended in the meantime.
func TestStormThreadExitCold(t *testing.T) {
	coldStorm(t, func(rng *rand.Rand, f *ringfile.File, buf []byte, off int64) (int, error) {
		futures := make(chan *ringfile.Future[int], 1)
		go func() {
			runtime.LockOSThread() // never unlocked
			futures <- f.StartReadAt(buf, off)
		}()
		return (<-futures).Await()
	})
}

// TestStormSignalsCold has signals interrupt reads of data that is not in the page cache.
func TestStormSignalsCold(t *testing.T) {
	defer pester(t)()
	coldStorm(t, func(rng *rand.Rand, f *ringfile.File, buf []byte, off int64) (int, error) {
		if rng.IntN(8) == 0 {
			if err := f.Advise(off, 4096, ringfile.AdviceWillNeed); err != nil {
				t.Errorf("Advise: %v", err)
			}
		}
		return anyRead(t.Context(), rng, f, buf, off)
	})
}
