package mapped_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/mapped"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// mappings runs test on each backend, for a mapping of a file of n bytes of Pattern.
func mappings(t *testing.T, n int, test func(t *testing.T, f *ringfile.File, m *mapped.Mapping)) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, n), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, err := mapped.Map(f)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		test(t, f, m)
	})
}

const fileSize = 1<<20 + 777

// TestRandom reads ranges of all kinds, known and not, in and beyond the file.
func TestRandom(t *testing.T) {
	mappings(t, fileSize, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		if m.Len() != fileSize {
			t.Errorf("Len = %d", m.Len())
		}
		for round := range 3 {
			if err := testutil.Evict(f.Name()); err != nil {
				t.Fatal(err)
			}
			if round == 2 {
				mapped.Age(m)
			}
			var all sync.WaitGroup
			for g := range uint64(8) {
				all.Go(func() {
					rng := rand.New(rand.NewPCG(g, uint64(round)))
					ctx := t.Context()
					if g%2 == 0 {
						ctx = context.Background()
					}
					for range 100 {
						off, n := rng.Int64N(fileSize+5000), rng.IntN(10_000)
						if rng.IntN(10) == 0 {
							n = rng.IntN(300_000)
						}
						want := int(max(0, min(int64(n), fileSize-off)))
						p := make([]byte, n)
						if k, err := m.ReadAt(p, off); k != want || (err == io.EOF) != (k < n) || err != nil && err != io.EOF || testutil.CheckPattern(p[:k], off) >= 0 {
							t.Errorf("ReadAt(%d, %d) = %d, %v, or other bytes", n, off, k, err)
						}
						b, err := m.Bytes(ctx, off, n)
						if want < n {
							if err != io.EOF || b != nil {
								t.Errorf("Bytes(%d, %d) = %d, %v", off, n, len(b), err)
							}
						} else if err != nil || len(b) != n || cap(b) != n || testutil.CheckPattern(b, off) >= 0 {
							t.Errorf("Bytes(%d, %d) = %d, %v, or other bytes", off, n, len(b), err)
						}
					}
				})
			}
			all.Wait()
		}
	})
}

// TestLoads sees to it that what is cold is brought in by reads, once, and that what has gone since is counted.
func TestLoads(t *testing.T) {
	mappings(t, fileSize, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		evict := func() bool {
			f.Sync()
			f.Advise(0, 0, ringfile.AdviceDontNeed)
			n, err := f.Cached(0, 0)
			return err == nil && n == 0
		}
		if !evict() {
			t.Skip("needs Linux 6.5 and a disk: the file cannot be dropped from the page cache, or nobody can tell")
		}
		for range 3 {
			if _, err := m.Bytes(t.Context(), 400_000, 100); err != nil {
				t.Fatal(err)
			}
		}
		if s := m.Stats(); s != (mapped.Stats{Loads: 1}) {
			t.Errorf("%+v, want one load", s)
		}
		if n, err := f.Cached(400_000, 100); err != nil || n == 0 {
			t.Errorf("%d bytes are in the page cache, %v", n, err)
		}
		mapped.Age(m)
		if !evict() {
			t.Skip("the file cannot be dropped a second time")
		}
		if _, err := m.Bytes(t.Context(), 400_000, 100); err != nil {
			t.Fatal(err)
		}
		if s := m.Stats(); s != (mapped.Stats{Loads: 2, Evicted: 1}) {
			t.Errorf("%+v, want two loads and a page that was gone", s)
		}
		mapped.Age(m)
		mapped.LongAgo(m)
		if !evict() {
			t.Skip("the file cannot be dropped a third time")
		}
		if _, err := m.Bytes(t.Context(), 400_000, 100); err != nil {
			t.Fatal(err)
		}
		if s := m.Stats(); s != (mapped.Stats{Loads: 3, Evicted: 1}) {
			t.Errorf("%+v, want three loads and no other page that was taken to be there", s)
		}
	})
}

// TestShrunk has the file become shorter, and longer again: errors, and no SIGBUS.
func TestShrunk(t *testing.T) {
	mappings(t, fileSize, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		p := make([]byte, 100)
		for _, off := range []int64{8192, 900_000} {
			if _, err := m.Bytes(t.Context(), off, len(p)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Truncate(100_000); err != nil {
			t.Fatal(err)
		}
		if n, err := m.ReadAt(p, 900_000); n != 0 || err != io.EOF {
			t.Errorf("ReadAt of what is gone = %d, %v", n, err)
		}
		if s := m.Stats(); s.Faults != 1 {
			t.Errorf("%+v, want a fault", s)
		}
		if n, err := m.ReadAt(p, 8192); n != len(p) || err != nil || testutil.CheckPattern(p, 8192) >= 0 {
			t.Errorf("ReadAt of what is left = %d, %v, or other bytes", n, err)
		}
		mapped.Age(m)
		if b, err := m.Bytes(t.Context(), 900_000, 100); err != io.EOF {
			t.Errorf("Bytes of what is gone = %d, %v", len(b), err)
		}
		if err := f.Truncate(2 << 20); err != nil {
			t.Fatal(err)
		}
		if b, err := m.Bytes(t.Context(), 900_000, 100); err != nil || !bytes.Equal(b, make([]byte, 100)) {
			t.Errorf("Bytes of what is there again = %v, %v", b, err)
		}
		if n, err := m.ReadAt(p, 1<<20+5000); n != len(p) || err != nil {
			t.Errorf("ReadAt of what is not mapped = %d, %v", n, err)
		}
	})
}

// TestLastPage takes what is left in the last page of a file that has become shorter.
func TestLastPage(t *testing.T) {
	mappings(t, 8192, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		if err := f.Truncate(5000); err != nil {
			t.Fatal(err)
		}
		for _, ctx := range []context.Context{t.Context(), context.Background()} {
			for _, off := range []int64{4096, 4900} {
				mapped.Age(m)
				if b, err := m.Bytes(ctx, off, 100); err != nil || len(b) != 100 || testutil.CheckPattern(b, off) >= 0 {
					t.Errorf("Bytes(%d, 100) = %d, %v, or other bytes", off, len(b), err)
				}
			}
			mapped.Age(m)
			if b, err := m.Bytes(ctx, 4901, 100); err != io.EOF {
				t.Errorf("Bytes(4901, 100) = %d, %v", len(b), err)
			}
		}
	})
}

// TestOnTime has File.Cached hang, which takes no context: Bytes returns when its own ends.
func TestOnTime(t *testing.T) {
	mappings(t, fileSize, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		if _, err := m.Bytes(t.Context(), 5000, 100); err != nil {
			t.Fatal(err)
		}
		mapped.Age(m)
		release := make(chan struct{})
		var hung atomic.Int64
		mapped.Cached(t, func(*ringfile.File, int64, int64) (int64, error) {
			hung.Add(1)
			<-release
			return 0, nil
		})
		timer := time.AfterFunc(10*time.Second, func() { close(release) })
		for range 3 { // the others find one that hangs
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			start := time.Now()
			_, err := m.Bytes(ctx, 5000, 100)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("Bytes has taken %v, %v", took, err)
			}
			cancel()
		}
		if n := hung.Load(); n != 1 {
			t.Errorf("%d calls hang", n)
		}
		if timer.Stop() {
			close(release)
		}
		for m.Stats().Evicted == 0 {
			time.Sleep(time.Millisecond)
		}
	})
}

// TestDirect has a file that was opened with O_DIRECT.
func TestDirect(t *testing.T) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 8192), os.O_RDONLY|oDirect, 0)
		if err != nil || !f.Direct() {
			t.Skipf("no O_DIRECT here: %v", err)
		}
		defer f.Close()
		if _, err := mapped.Map(f); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Map: %v", err)
		}
	})
}

// TestClose closes a mapping beside reads of it.
func TestClose(t *testing.T) {
	mappings(t, fileSize, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				p := make([]byte, 100)
				for {
					n, err := m.ReadAt(p, 5000)
					if errors.Is(err, fs.ErrClosed) {
						return
					}
					if n != len(p) || err != nil || testutil.CheckPattern(p, 5000) >= 0 {
						t.Errorf("ReadAt = %d, %v, or other bytes", n, err)
						return
					}
				}
			})
		}
		if _, err := m.Bytes(t.Context(), 5000, 100); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		if _, err := m.Bytes(t.Context(), 5000, 100); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Bytes after Close: %v", err)
		}
		if err := m.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if _, err := f.ReadAt(make([]byte, 10), 0); err != nil {
			t.Errorf("the file: %v", err)
		}
	})
}

// TestErrors has arguments, files and contexts that are of no use.
func TestErrors(t *testing.T) {
	mappings(t, fileSize, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		var pe *fs.PathError
		for _, c := range []struct {
			off int64
			n   int
		}{{-1, 10}, {0, -1}} {
			if _, err := m.Bytes(t.Context(), c.off, c.n); !errors.As(err, &pe) {
				t.Errorf("Bytes(%d, %d): %v", c.off, c.n, err)
			}
		}
		if _, err := m.ReadAt(make([]byte, 10), -1); !errors.As(err, &pe) {
			t.Errorf("ReadAt(-1): %v", err)
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if _, err := m.Bytes(ctx, 0, 10); !errors.Is(err, why) || !errors.As(err, &pe) {
			t.Errorf("Bytes with a context that has ended: %v", err)
		}
		f.Close()
		if _, err := m.Bytes(t.Context(), 0, 10); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Bytes of a closed file: %v", err)
		}
		if _, err := mapped.Map(f); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Map of a closed file: %v", err)
		}
		dir, err := f.Engine().Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		if _, err := mapped.Map(dir); !errors.As(err, &pe) {
			t.Errorf("Map of a directory: %v", err)
		}
	})
	mappings(t, 0, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		if b, err := m.Bytes(t.Context(), 0, 0); len(b) != 0 || err != nil {
			t.Errorf("nothing of an empty file: %d, %v", len(b), err)
		}
		if _, err := m.Bytes(t.Context(), 0, 1); err != io.EOF {
			t.Errorf("Bytes of an empty file: %v", err)
		}
		if n, err := m.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF {
			t.Errorf("ReadAt of an empty file: %d, %v", n, err)
		}
	})
}

// TestAllocations sees to it that what is known costs no memory.
func TestAllocations(t *testing.T) {
	mappings(t, fileSize, func(t *testing.T, f *ringfile.File, m *mapped.Mapping) {
		p := make([]byte, 512)
		ctx := t.Context()
		use := func() {
			m.ReadAt(p, 4000)
			m.Bytes(ctx, 4000, 512)
		}
		use()
		if n := testing.AllocsPerRun(1000, use); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// BenchmarkView takes views of what is in memory, by a slice expression and by Bytes.
func BenchmarkView(b *testing.B) {
	f, err := ringfile.Open(testutil.PatternFile(b, fileSize))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	m, err := mapped.Map(f)
	if err != nil {
		b.Skip(err)
	}
	defer m.Close()
	all, err := m.Bytes(b.Context(), 0, fileSize)
	if err != nil {
		b.Fatal(err)
	}
	offs := make([]int64, 4096)
	for i := range offs {
		offs[i] = rand.Int64N(fileSize - 100)
	}
	sum := 0
	b.Run("slice", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			off := offs[i%len(offs)]
			sum += len(all[off : off+100 : off+100])
		}
	})
	b.Run("Bytes", func(b *testing.B) {
		ctx := b.Context()
		for i := 0; b.Loop(); i++ {
			p, _ := m.Bytes(ctx, offs[i%len(offs)], 100)
			sum += len(p)
		}
	})
}
