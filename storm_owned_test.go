package ringfile_test

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestStormOwnedBuffers gives up writes and reads at every moment while garbage is collected all the
// time. The engine's memory that stands in for their buffers must stay theirs until the kernel is done:
// each write writes what is in the file already, and under -race, where released memory is poisoned,
// one that goes on with other memory destroys the file.
func TestStormOwnedBuffers(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		storm(t, 24, func(rng *rand.Rand, w int) {
			size := (1 + rng.IntN(20)) * 4096
			off := rng.Int64N(int64(fileSize-size)/4096) * 4096
			buf := ringfile.AlignedBuffer(size, 4096)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(300))*time.Microsecond)
			defer cancel()
			if w%2 == 0 {
				n, err := f.ReadAtContext(ctx, buf, off)
				checkRead(t, n, err, buf, off)
				return
			}
			testutil.Pattern(buf, off)
			n, err := f.WriteAtContext(ctx, buf, off)
			clear(buf) // it is the caller's again
			if err == nil && n != size || err != nil && !expected(err) {
				t.Errorf("write of %d = %d, %v", size, n, err)
			}
		})
		name := f.Name()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil { // what was given up is over now
			t.Error(err)
		}
		data, err := os.ReadFile(name)
		if err != nil || len(data) != fileSize {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if at := testutil.CheckPattern(data, 0); at >= 0 {
			t.Errorf("wrong byte %#x in the file at %d", data[at], at)
		}
	})
}

// TestStormProcs reads in every way with one P, and with many more than there are processors.
func TestStormProcs(t *testing.T) {
	for _, procs := range []int{1, 64} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
			f := open()
			defer f.Close()
			storm(t, 48, func(rng *rand.Rand, w int) {
				buf := ringfile.AlignedBuffer(4096, 4096)
				off := rng.Int64N(fileSize/4096) * 4096
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(20))*time.Millisecond)
				n, err := anyRead(ctx, rng, f, buf, off)
				cancel()
				checkRead(t, n, err, buf, off)
			})
		})
	}
}
