package ringfile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/testutil"
)

// batchConfig has few slots, so that batches do not fit.
var batchConfig = ringfile.Config{Rings: 1, Depth: 16, BlockingLimit: 8}

// batchFiles runs test on a file of Pattern, cached, cold and direct, on each route.
func batchFiles(t *testing.T, test func(t *testing.T, e *ringfile.Engine, f *ringfile.File)) {
	for _, kind := range []string{"cached", "cold", "direct"} {
		t.Run(kind, func(t *testing.T) {
			routes(t, batchConfig, func(t *testing.T, e *ringfile.Engine) {
				name := testutil.PatternFile(t, fileSize)
				flag := os.O_RDWR
				switch kind {
				case "cold":
					evict(t, name)
				case "direct":
					flag |= oDirect
				}
				f, err := e.OpenFile(name, flag, 0)
				if err != nil {
					t.Skipf("no O_DIRECT here: %v", err)
				}
				defer f.Close()
				test(t, e, f)
			})
		})
	}
}

// addReads adds reads of 4 KiB in turn at every offset of the file, n in all.
func addReads(b *ringfile.Batch, f *ringfile.File, n int) (bufs [][]byte) {
	for i := range n {
		buf := ringfile.AlignedBuffer(4096, 4096)
		bufs = append(bufs, buf)
		b.ReadAt(f, buf, batchOffset(i))
	}
	return bufs
}

func batchOffset(i int) int64 { return int64(i*37%(fileSize/4096)) * 4096 }

func checkBatchRead(t *testing.T, i int, r ringfile.Result, buf []byte, off int64) {
	t.Helper()
	if r.N != len(buf) || r.Err != nil {
		t.Errorf("operation %d at %d: %d, %v", i, off, r.N, r.Err)
	} else if at := testutil.CheckPattern(buf, off); at >= 0 {
		t.Errorf("operation %d: wrong byte at %d", i, off+int64(at))
	}
}

// TestBatchRead reads many times what the ring holds, more than once with one Batch.
func TestBatchRead(t *testing.T) {
	batchFiles(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		var b ringfile.Batch
		for _, n := range []int{0, 1, 7, 16, 17, 1000} {
			bufs := addReads(&b, f, n)
			if b.Len() != n {
				t.Errorf("Len = %d, want %d", b.Len(), n)
			}
			if err := b.Run(); err != nil {
				t.Errorf("Run of %d: %v", n, err)
			}
			for i, buf := range bufs {
				checkBatchRead(t, i, b.Result(i), buf, batchOffset(i))
			}
			b.Reset()
		}
	})
}

// TestBatchResults gets each result once, in a loop that adds operations.
func TestBatchResults(t *testing.T) {
	batchFiles(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		var b ringfile.Batch
		bufs := addReads(&b, f, 100)
		seen := make(map[int]bool)
		for i, r := range b.Results(t.Context()) {
			if seen[i] {
				t.Errorf("operation %d came twice", i)
			}
			seen[i] = true
			checkBatchRead(t, i, r, bufs[i], batchOffset(i))
			if len(bufs) < 300 {
				buf := ringfile.AlignedBuffer(4096, 4096)
				if at := b.ReadAt(f, buf, batchOffset(len(bufs))); at != len(bufs) {
					t.Errorf("index %d, want %d", at, len(bufs))
				}
				bufs = append(bufs, buf)
			}
		}
		if len(seen) != len(bufs) || len(bufs) != 300 {
			t.Errorf("%d results of %d operations, want 300", len(seen), len(bufs))
		}
	})
}

// TestBatchMixed has reads, writes, vectors and syncs on several files of two engines in one batch.
func TestBatchMixed(t *testing.T) {
	for name, direct := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			routes(t, batchConfig, func(t *testing.T, e *ringfile.Engine) {
				other, err := ringfile.New(batchConfig)
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				var fs []*ringfile.File
				for i := range 4 {
					e := []*ringfile.Engine{e, other}[i%2]
					f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDWR|direct, 0)
					if err != nil {
						t.Skip(err)
					}
					defer f.Close()
					fs = append(fs, f)
				}
				var b ringfile.Batch
				type check struct {
					index int
					buf   []byte
					off   int64
				}
				var checks []check
				for i := range 200 {
					f, off := fs[i%4], int64(i%64)*4096
					buf := ringfile.AlignedBuffer(4096, 4096)
					switch i % 5 {
					case 0:
						checks = append(checks, check{b.ReadAt(f, buf, off), buf, off})
					case 1:
						checks = append(checks, check{b.ReadvAt(f, [][]byte{buf[:1024], buf[1024:]}, off), buf, off})
					case 2, 3:
						testutil.Pattern(buf, off) // what is there anyway: reads may run at the same time
						if i%5 == 2 {
							b.WriteAt(f, buf, off)
						} else {
							b.WritevAt(f, [][]byte{buf[:512], buf[512:]}, off)
						}
					default:
						b.Sync(f)
						b.Datasync(f)
					}
				}
				if err := b.Run(); err != nil {
					t.Fatal(err)
				}
				for _, c := range checks {
					checkBatchRead(t, c.index, b.Result(c.index), c.buf, c.off)
				}
			})
		})
	}
}

// TestBatchWrite writes a file in a batch and reads it back in another.
func TestBatchWrite(t *testing.T) {
	batchFiles(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		const shift = 1 << 30 // so that the contents change
		var b ringfile.Batch
		for i := range fileSize / 4096 {
			buf := ringfile.AlignedBuffer(4096, 4096)
			testutil.Pattern(buf, shift+int64(i)*4096)
			b.WriteAt(f, buf, int64(i)*4096)
		}
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			if r := b.Result(i); r.N != 4096 || r.Err != nil {
				t.Errorf("write %d: %+v", i, r)
			}
		}
		b.Datasync(f) // one more run of the same batch
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		got := ringfile.AlignedBuffer(fileSize, 4096)
		b.Reset()
		b.ReadAt(f, got, 0)
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		if at := testutil.CheckPattern(got, shift); at >= 0 {
			t.Errorf("wrong byte at %d", at)
		}
	})
}

// TestBatchErrors has operations fail among others that do not.
func TestBatchErrors(t *testing.T) {
	routes(t, batchConfig, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, fileSize)
		readOnly, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer readOnly.Close()
		gone, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		appending, err := e.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer appending.Close()
		dir, err := e.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		late, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		late.SetDeadline(time.Now().Add(-time.Second))

		buf := make([]byte, 4096)
		var b ringfile.Batch
		is := func(target error) func(error) bool {
			return func(err error) bool { return errors.Is(err, target) }
		}
		cases := []struct {
			index int
			n     int
			ok    func(error) bool
			what  string
		}{
			{b.ReadAt(readOnly, make([]byte, 4096), 0), 4096, func(err error) bool { return err == nil }, "good"},
			{b.ReadAt(gone, buf, 0), 0, is(fs.ErrClosed), "closed"},
			{b.WriteAt(readOnly, buf, 0), 0, is(syscall.EBADF), "read-only"},
			{b.ReadAt(readOnly, make([]byte, 4096), fileSize-100), 100, func(err error) bool { return err == io.EOF }, "end"},
			{b.ReadAt(readOnly, make([]byte, 10), fileSize+100), 0, func(err error) bool { return err == io.EOF }, "beyond"},
			{b.ReadAt(nil, buf, 0), 0, is(fs.ErrInvalid), "nil"},
			{b.ReadAt(readOnly, buf, -1), 0, func(err error) bool { return err != nil }, "negative"},
			{b.WriteAt(appending, buf, 0), 0, func(err error) bool { return err != nil }, "append"},
			{b.ReadAt(dir, buf, 0), 0, is(syscall.EISDIR), "directory"},
			{b.ReadAt(late, buf, 0), 0, is(os.ErrDeadlineExceeded), "late"},
			{b.Sync(late), 0, is(os.ErrDeadlineExceeded), "late sync"},
			{b.ReadAt(readOnly, nil, 0), 0, func(err error) bool { return err == nil }, "empty"},
			{b.Sync(gone), 0, is(fs.ErrClosed), "closed sync"},
			{b.ReadvAt(readOnly, [][]byte{make([]byte, 50), make([]byte, 100)}, fileSize-60), 60, func(err error) bool { return err == io.EOF }, "vector at the end"},
		}
		if r := b.Result(0); r.Err != ringfile.ErrNotRun {
			t.Errorf("before Run: %+v", r)
		}
		if err := b.Run(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Run: %v, want the error of the first that failed", err)
		}
		for _, c := range cases {
			if r := b.Result(c.index); r.N != c.n || !c.ok(r.Err) {
				t.Errorf("%s: %d, %v, want %d", c.what, r.N, r.Err, c.n)
			}
		}
		if r := b.Result(b.Len()); r.Err != ringfile.ErrNotRun {
			t.Errorf("no such operation: %+v", r)
		}
	})
}

// TestBatchContext runs batches whose context has ended, or ends at any moment.
func TestBatchContext(t *testing.T) {
	batchFiles(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		var b ringfile.Batch
		addReads(&b, f, 100)
		if err := b.RunContext(ctx); !errors.Is(err, why) {
			t.Errorf("Run with a context that has ended: %v", err)
		}
		for i := range b.Len() {
			if r := b.Result(i); r.N != 0 || !errors.Is(r.Err, why) {
				t.Errorf("operation %d: %+v", i, r)
			}
		}
	})
}

// TestBatchLeave leaves the loop over the results early, by break and by panic: nothing is in flight
// afterwards, and what was not finished says so.
func TestBatchLeave(t *testing.T) {
	batchFiles(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		var b ringfile.Batch
		for _, leave := range []int{1, 2, 20, 99, -1, -2, -20, -99} {
			ctx := context.Background()
			if leave < 0 {
				ctx, leave = t.Context(), -leave
			}
			b.Reset()
			bufs := addReads(&b, f, 100)
			n := 0
			func() {
				defer func() { recover() }()
				for range b.Results(ctx) {
					if n++; n == leave {
						if leave%2 == 0 {
							panic("left")
						}
						break
					}
				}
			}()
			// With a context that can end the engine's memory is in flight, for a moment longer.
			s := e.Stats()
			for end := time.Now().Add(5 * time.Second); ctx.Done() != nil && s.InFlight != 0 && time.Now().Before(end); s = e.Stats() {
				time.Sleep(time.Millisecond)
			}
			if s.InFlight != 0 {
				t.Fatalf("left with requests in flight: %+v", s)
			}
			for i := range bufs {
				r := b.Result(i)
				if !errors.Is(r.Err, context.Canceled) {
					checkBatchRead(t, i, r, bufs[i], batchOffset(i))
				}
			}
			for range b.Results(t.Context()) {
				t.Error("a result after the end")
			}
		}
	})
}

// TestReadAtMulti reads ranges of one file, some beyond its end.
func TestReadAtMulti(t *testing.T) {
	batchFiles(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		var bufs [][]byte
		var offs []int64
		for i := range 300 {
			offs = append(offs, batchOffset(i))
			bufs = append(bufs, ringfile.AlignedBuffer(4096, 4096))
		}
		if n, err := f.ReadAtMulti(bufs, offs); n != len(bufs) || err != nil {
			t.Fatalf("%d of %d, %v", n, len(bufs), err)
		}
		for i, buf := range bufs {
			checkBatchRead(t, i, ringfile.Result{N: len(buf)}, buf, offs[i])
		}
		if n, err := f.ReadAtMulti(nil, nil); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
		offs[7], offs[9] = fileSize, -4096
		if n, err := f.ReadAtMultiContext(t.Context(), bufs, offs); n != 7 || err != io.EOF {
			t.Errorf("beyond the end: %d, %v, want 7, EOF", n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if n, err := f.ReadAtMultiContext(ctx, bufs, offs); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %d, %v", n, err)
		}
		if n, err := (*ringfile.File)(nil).ReadAtMulti(bufs, offs); n != 0 || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("nil file: %d, %v", n, err)
		}
		defer func() {
			if recover() == nil {
				t.Error("no panic for one offset too few")
			}
		}()
		f.ReadAtMulti(bufs, offs[1:])
	})
}

// TestBatchCounts looks at the routes: a batch that waits costs few calls of io_uring_enter, one that
// is cached none.
func TestBatchCounts(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := ringfile.New(ringfile.Config{Rings: 1})
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	name := testutil.PatternFile(t, fileSize)
	for _, flag := range []int{0, oDirect} {
		f, err := e.OpenFile(name, os.O_RDONLY|flag, 0)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		f.ReadAt(ringfile.AlignedBuffer(fileSize, 4096), 0) // cached, and the file system is known
		var b ringfile.Batch
		addReads(&b, f, 128)
		before := e.Stats()
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		s := e.Stats()
		ring, cached, enters := s.Ring-before.Ring, s.Cached-before.Cached, s.Enters-before.Enters
		submitting := uint64(0) // of these calls; the others wait, each for at least one completion
		for i := range s.Batches {
			submitting += s.Batches[i] - before.Batches[i]
		}
		if flag == 0 && (cached != 128 && !ringfile.ReadsByCall(e) || enters != 0) {
			t.Errorf("cached: %d served from the cache, %d enters", cached, enters)
		}
		if flag != 0 && (ring != 128 || submitting > 20) {
			t.Errorf("direct: %d on the ring, %d enters, %d of them submitting", ring, enters, submitting)
		}
	}
}

// leastAllocations returns how many allocations a call of run makes at least: when the machine is slow
// a batch hires goroutines.
func leastAllocations(run func()) float64 {
	least := testing.AllocsPerRun(20, run)
	for range 20 {
		if least > 0 {
			least = min(least, testing.AllocsPerRun(20, run))
		}
	}
	return least
}

// TestBatchAllocates looks for allocations in a batch that is used again.
func TestBatchAllocates(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for name, flag := range map[string]int{"cached": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				if flag != 0 && e.Backend() == ringfile.BackendBlocking || ringfile.ReadsByCall(e) {
					t.Skip("goroutines are hired there")
				}
				f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDWR|flag, 0)
				if err != nil {
					t.Skip(err)
				}
				defer f.Close()
				bufs := make([][]byte, 64)
				offs := make([]int64, 64)
				for i := range bufs {
					bufs[i] = ringfile.AlignedBuffer(4096, 4096)
					offs[i] = int64(i) * 4096
				}
				var b ringfile.Batch
				if n := leastAllocations(func() {
					for i, buf := range bufs {
						b.ReadAt(f, buf, int64(i)*4096)
						if i%4 == 0 {
							b.WriteAt(f, buf, int64(i)*4096)
						}
					}
					if err := b.Run(); err != nil {
						t.Error(err)
					}
					b.Reset()
				}); n >= 1 {
					t.Errorf("%v allocations a batch", n)
				}
				if n := leastAllocations(func() { f.ReadAtMulti(bufs, offs) }); n >= 1 {
					t.Errorf("ReadAtMulti: %v allocations", n)
				}
			})
		})
	}
}

// anyBatch runs a batch in one of the ways there are, and checks it. Writes write what is there
// already, so that a buffer that is read by the kernel after its operation shows in the file.
func anyBatch(ctx context.Context, t *testing.T, rng *rand.Rand, b *ringfile.Batch, f *ringfile.File) {
	n := 1 + rng.IntN(40)
	offs := make([]int64, n)
	bufs := make([][]byte, n)
	for i := range n {
		bufs[i], offs[i] = ringfile.AlignedBuffer(4096, 4096), rng.Int64N(fileSize/4096)*4096
		switch rng.IntN(8) {
		case 0:
			testutil.Pattern(bufs[i], offs[i])
			b.WriteAt(f, bufs[i], offs[i])
		case 1:
			b.ReadvAt(f, [][]byte{bufs[i][:1024], bufs[i][1024:]}, offs[i])
		default:
			b.ReadAt(f, bufs[i], offs[i])
		}
	}
	switch rng.IntN(3) {
	case 0:
		b.Run()
	case 1:
		b.RunContext(ctx)
	default:
		stop := rng.IntN(2 * n)
		for range b.Results(ctx) {
			if stop--; stop == 0 {
				break
			}
		}
	}
	for i := range n {
		r := b.Result(i)
		checkRead(t, r.N, r.Err, bufs[i], offs[i])
		for j := range bufs[i] {
			bufs[i][j] = 0xdb // it is ours again: nobody may write to it, or read it under -race
		}
	}
	b.Reset()
}

// TestStormBatch has contexts and deadlines end, files be closed, and loops be left at every moment.
func TestStormBatch(t *testing.T) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		var mu sync.Mutex
		f := open()
		defer func() { f.Close() }()
		storm(t, 6, func(rng *rand.Rand, w int) {
			var b ringfile.Batch
			for range 5 {
				mu.Lock()
				f := f
				mu.Unlock()
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(1000))*time.Microsecond)
				anyBatch(ctx, t, rng, &b, f)
				cancel()
			}
			if w != 0 {
				return
			}
			f.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(300)) * time.Microsecond))
			anyBatch(t.Context(), t, rng, &b, f)
			f.SetReadDeadline(time.Time{})
			if rng.IntN(4) == 0 {
				fresh := open()
				mu.Lock()
				old := f
				f = fresh
				mu.Unlock()
				if err := old.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
					t.Errorf("Close: %v", err)
				}
			}
		})
	})
}

// TestStormBatchEngineClose closes engines while batches run.
func TestStormBatchEngineClose(t *testing.T) {
	stormEngines(t, 4, func(t *testing.T, rng *rand.Rand, e *ringfile.Engine, f *ringfile.File, w int) {
		var b ringfile.Batch
		for range 5 {
			anyBatch(t.Context(), t, rng, &b, f)
		}
	})
}

// TestStormBatchGC collects garbage all the time while buffers that only the batch knows are filled.
func TestStormBatchGC(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		storm(t, 4, func(rng *rand.Rand, w int) {
			var b ringfile.Batch
			bufs := addReads(&b, f, 40)
			n := 0
			for i, r := range b.Results(t.Context()) {
				checkBatchRead(t, i, r, bufs[i], batchOffset(i))
				if n++; n%16 == 0 && w == 0 {
					runtime.GC()
				}
			}
		})
	})
}

// TestBatchMisuse panics where a program is wrong in a way that would corrupt memory.
func TestBatchMisuse(t *testing.T) {
	f, err := ringfile.Open(testutil.PatternFile(t, fileSize))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, misuse := range map[string]func(*ringfile.Batch){
		"run within a run":   func(b *ringfile.Batch) { b.Run() },
		"reset within a run": func(b *ringfile.Batch) { b.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			var b ringfile.Batch
			addReads(&b, f, 3)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				if err := b.Run(); err != nil { // it is usable still
					t.Error(err)
				}
			}()
			for range b.Results(t.Context()) {
				misuse(&b)
			}
		})
	}
}

// TestBatchSpreads has a batch of many blocking calls, quick ones and ones that wait, more than may
// run at a time.
func TestBatchSpreads(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking")
	e, err := ringfile.New(ringfile.Config{BlockingLimit: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	defer testutil.Watchdog(t, time.Minute)()
	var b ringfile.Batch
	for i := range 40 {
		f, err := e.Create(filepath.Join(t.TempDir(), fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for j := range 10 {
			b.WriteAt(f, make([]byte, 1<<16), int64(j)<<16)
		}
		b.Datasync(f)
	}
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.Blocking != 440 {
		t.Errorf("%d blocking calls, want 440", s.Blocking)
	}
}
