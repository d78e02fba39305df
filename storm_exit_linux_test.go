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

// TestStormThreadExitCold is TestStormThreadExit for data that is not in the page cache: the kernel
// goes on with such a read in the thread that submitted it, and gives it up with EFAULT if that has
// ended in the meantime.
func TestStormThreadExitCold(t *testing.T) {
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		const size = 16 << 20
		f, err := e.OpenFile(testutil.PatternFile(t, size), os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM) // no readahead, which would make it warm
		storm(t, 4, func(rng *rand.Rand, w int) {
			buf := make([]byte, 16<<10)
			off := rng.Int64N((size-int64(len(buf)))/4096) * 4096
			unix.Fadvise(int(f.Fd()), off, int64(len(buf)), unix.FADV_DONTNEED)
			futures := make(chan *ringfile.Future[int], 1)
			go func() {
				runtime.LockOSThread() // never unlocked
				futures <- f.StartReadAt(buf, off)
			}()
			n, err := (<-futures).Await()
			checkRead(t, n, err, buf, off)
		})
	})
}
