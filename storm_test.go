package ringfile_test

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// The storms run for a moment in go test, and as long as RINGFILE_STRESS says by command:
//
//	RINGFILE_STRESS=5m go test -race -run Storm -timeout 1h .
//
// Each has a watchdog (in routes), and each checks every byte that it reads.

// storm runs workers until the time is over.
func storm(t *testing.T, workers int, work func(rng *rand.Rand, worker int)) {
	end := time.Now().Add(testutil.StressTime(t))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), uint64(time.Now().UnixNano())))
			for time.Now().Before(end) && !t.Failed() {
				work(rng, w)
			}
		})
	}
	wg.Wait()
}

// anyRead reads 4 KiB at off in one of the ways there are. The buffer is poisoned before, so that a
// result without data shows.
func anyRead(ctx context.Context, rng *rand.Rand, f *ringfile.File, buf []byte, off int64) (int, error) {
	for i := range buf {
		buf[i] = 0xdb
	}
	switch rng.IntN(6) {
	case 0:
		return f.ReadAt(buf, off)
	case 1:
		return f.StartReadAt(buf, off).Await()
	case 2:
		return f.StartReadAt(buf, off).AwaitContext(ctx)
	case 3:
		return f.ReadAtContext(ctx, buf, off)
	case 4:
		return f.ReadvAt([][]byte{buf[:512], buf[512:]}, off)
	default:
		future := f.StartReadvAt([][]byte{buf[:1024], buf[1024:]}, off)
		if rng.IntN(2) == 0 {
			future.Cancel()
		}
		<-future.Done()
		return future.Await()
	}
}

// expected reports whether err is one of those that a storm may cause.
func expected(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrClosed)
}

// checkRead fails the test unless the read gave all the data, or an error that may be.
func checkRead(t *testing.T, n int, err error, buf []byte, off int64) {
	switch {
	case err == nil && n == len(buf):
		if at := testutil.CheckPattern(buf, off); at >= 0 {
			t.Errorf("wrong byte at %d", off+int64(at))
		}
	case err == nil || !expected(err):
		t.Errorf("read of %d at %d = %d, %v", len(buf), off, n, err)
	}
}

var small = ringfile.Config{Rings: 2, Depth: 16, BlockingLimit: 8}

func stormFiles(t *testing.T, test func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File)) {
	for name, direct := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			run := func(t *testing.T, e *ringfile.Engine) {
				name := testutil.PatternFile(t, fileSize)
				test(t, e, func() *ringfile.File {
					f, err := e.OpenFile(name, os.O_RDWR|direct, 0)
					if err != nil {
						t.Skip(err)
					}
					return f
				})
			}
			routes(t, small, run)
			t.Run("sqpoll", func(t *testing.T) { route(t, ringfile.BackendURing, withSQPoll(small), run) })
		})
	}
}

// TestStormCancel has contexts and deadlines end at every moment of a read.
func TestStormCancel(t *testing.T) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		storm(t, 40, func(rng *rand.Rand, w int) {
			buf := ringfile.AlignedBuffer(4096, 4096)
			off := rng.Int64N(fileSize/4096) * 4096
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(400))*time.Microsecond)
			n, err := anyRead(ctx, rng, f, buf, off)
			cancel()
			checkRead(t, n, err, buf, off)
			if w == 0 {
				f.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(300)) * time.Microsecond))
				time.Sleep(200 * time.Microsecond)
				f.SetReadDeadline(time.Time{})
			}
		})
	})
}

// TestStormClose closes files while they are read from; their numbers are reused at once.
func TestStormClose(t *testing.T) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		storm(t, 4, func(rng *rand.Rand, w int) {
			f := open()
			var wg sync.WaitGroup
			for range 8 {
				seed := rng.Uint64()
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(seed, 1))
					buf := ringfile.AlignedBuffer(4096, 4096)
					for range 4 {
						off := rng.Int64N(fileSize/4096) * 4096
						n, err := anyRead(t.Context(), rng, f, buf, off)
						checkRead(t, n, err, buf, off)
					}
				})
			}
			time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
			if err := f.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("second Close: %v", err)
			}
			wg.Wait()
		})
	})
}

// TestStormEngineClose closes engines while their files are read from.
func TestStormEngineClose(t *testing.T) {
	stormEngines(t, 40, func(t *testing.T, rng *rand.Rand, e *ringfile.Engine, f *ringfile.File, w int) {
		buf := ringfile.AlignedBuffer(4096, 4096)
		for range 20 {
			off := rng.Int64N(fileSize/4096) * 4096
			n, err := anyRead(t.Context(), rng, f, buf, off)
			checkRead(t, n, err, buf, off)
		}
	})
}

// stormEngines closes engines at any moment of what workers do with a file of theirs.
func stormEngines(t *testing.T, workers int, work func(t *testing.T, rng *rand.Rand, e *ringfile.Engine, f *ringfile.File, w int)) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		name := open()
		defer name.Close()
		storm(t, 2, func(rng *rand.Rand, w int) {
			e, err := ringfile.New(ringfile.ConfigOf(e))
			if err != nil {
				t.Error(err)
				return
			}
			f, err := e.OpenFile(name.Name(), os.O_RDWR|oDirect, 0)
			if err != nil {
				t.Error(err)
				return
			}
			var wg sync.WaitGroup
			for w := range workers {
				seed := rng.Uint64()
				wg.Go(func() { work(t, rand.New(rand.NewPCG(seed, 1)), e, f, w) })
			}
			time.Sleep(time.Duration(rng.IntN(1000)) * time.Microsecond)
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
			f.Close()
			wg.Wait()
		})
	})
}

// TestStormGC collects garbage all the time while buffers that nobody but the kernel knows are
// being filled, and memory is reused at once.
func TestStormGC(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		storm(t, 8, func(rng *rand.Rand, w int) {
			var all []*ringfile.Future[int]
			var bufs [][]byte
			for i := range 8 {
				buf := ringfile.AlignedBuffer(4096, 512)
				all = append(all, f.StartReadAt(buf, int64(i)*4096))
				bufs = append(bufs, buf)
				f.StartReadAt(ringfile.AlignedBuffer(4096, 512), int64(i)*4096) // nobody awaits
			}
			if w == 0 {
				runtime.GC()
			}
			for i, future := range all {
				n, err := future.Await()
				checkRead(t, n, err, bufs[i], int64(i)*4096)
			}
		})
	})
}

// TestStormFork starts processes while requests are in flight. A child must not inherit the
// rings, and the kernel's writes must reach the parent's memory.
func TestStormFork(t *testing.T) {
	if _, err := exec.LookPath("true"); err != nil {
		t.Skip(err)
	}
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		storm(t, 16, func(rng *rand.Rand, w int) {
			if w == 0 {
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
				}
				return
			}
			buf := ringfile.AlignedBuffer(4096, 4096)
			off := rng.Int64N(fileSize/4096) * 4096
			n, err := anyRead(t.Context(), rng, f, buf, off)
			checkRead(t, n, err, buf, off)
		})
	})
}

// TestStormThreadExit submits from threads that end at once: their goroutines are locked to them.
// The kernel then cancels what such a thread had submitted.
func TestStormThreadExit(t *testing.T) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		storm(t, 4, func(rng *rand.Rand, w int) {
			buf := ringfile.AlignedBuffer(4096, 4096)
			off := rng.Int64N(fileSize/4096) * 4096
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

// TestStormAbandon starts futures that nobody awaits.
func TestStormAbandon(t *testing.T) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		n := 10_000
		if testing.Short() {
			n = 1000
		}
		for i := range n {
			f.StartReadAt(ringfile.AlignedBuffer(4096, 4096), int64(i%256)*4096)
		}
	})
}

// TestStormMixed writes and reads disjoint parts of one file in every way, with syncs.
func TestStormMixed(t *testing.T) { mixedStorm(t) }

func mixedStorm(t *testing.T) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		const part = fileSize / 16
		storm(t, 16, func(rng *rand.Rand, w int) {
			size := (1 + rng.IntN(8)) * 4096
			off := int64(w)*part + rng.Int64N(int64(part-size)/4096+1)*4096
			seed := rng.Int64N(1 << 40)
			if n, err := anyWrite(t, rng, f, size, off, seed); n != size || err != nil {
				t.Errorf("write of %d at %d = %d, %v", size, off, n, err)
				return
			}
			got := ringfile.AlignedBuffer(size, 4096)
			n, err := anyRead(t.Context(), rng, f, got, off)
			checkRead(t, n, err, got, seed)
		})
	})
}

// anyWrite writes size bytes of the pattern that belongs at seed at off, in one of the ways there are.
func anyWrite(t *testing.T, rng *rand.Rand, f *ringfile.File, size int, off, seed int64) (n int, err error) {
	buf := ringfile.AlignedBuffer(size, 4096)
	testutil.Pattern(buf, seed)
	switch rng.IntN(8) {
	case 0:
		return f.WriteAt(buf, off)
	case 1:
		return f.StartWriteAt(buf, off).Await()
	case 2:
		return f.WriteAtContext(t.Context(), buf, off)
	case 3:
		return f.WritevAt([][]byte{buf[:512], buf[512:]}, off)
	case 4:
		return f.StartWritevAt([][]byte{buf[:1024], buf[1024:]}, off).Await()
	case 5:
		if n, err = f.WriteAt(buf, off); err == nil {
			err = f.Datasync()
		}
		return n, err
	case 6:
		if n, err = f.WriteAt(buf, off); err == nil {
			_, err = f.StartDatasync().Await()
		}
		return n, err
	}
	if n, err = f.WriteAt(buf, off); err == nil {
		err = f.SyncContext(t.Context())
	}
	return n, err
}
