package ringfile_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/bench"
)

// The benchmarks measure the cells of "ringfile bench": all of them, or with -short those of its
// quick run. What differs is that both implementations run in this process, one benchmark after
// the other, so that the number of threads, of which Go ends none, means nothing and is not
// reported, and that a benchmark of few operations shows how they start. To compare, use -count and
// benchstat with -col /impl.
//
// RINGFILE_BENCH_DIR says in which directory to measure: what is true for one file system is not
// for others, and the temporary directory may be in memory.

func BenchmarkReadAt(b *testing.B)           { benchmarkOp(b, bench.RandRead, false) }
func BenchmarkWriteAt(b *testing.B)          { benchmarkOp(b, bench.RandWrite, false) }
func BenchmarkReadSequentially(b *testing.B) { benchmarkOp(b, bench.SeqRead, false) }
func BenchmarkWriteSequentially(b *testing.B) {
	benchmarkOp(b, bench.SeqWrite, false)
}
func BenchmarkAppendDatasync(b *testing.B) { benchmarkOp(b, bench.Append, false) }
func BenchmarkMix7525(b *testing.B)        { benchmarkOp(b, bench.Mix, false) }
func BenchmarkOpenReadClose(b *testing.B)  { benchmarkOp(b, bench.SmallFiles, false) }

// BenchmarkReadAtBetweenWork is BenchmarkReadAt in goroutines that compute between their reads.
func BenchmarkReadAtBetweenWork(b *testing.B) { benchmarkOp(b, bench.RandRead, true) }

// benchmarkOp runs the cells of one operation, those with work in between or those without.
func benchmarkOp(b *testing.B, op bench.Op, compute bool) {
	cells, size := bench.Full(), int64(256<<20)
	if testing.Short() {
		cells, size = bench.Quick(), 64<<20
	}
	dir := os.Getenv("RINGFILE_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	files, err := bench.New(dir, size, e)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { files.Close() })
	// os.File may need more threads for 10,000 goroutines than the 10,000 at which Go gives up.
	defer debug.SetMaxThreads(debug.SetMaxThreads(20_000))
	for _, c := range cells {
		if c.Op != op || (c.Compute > 0) != compute {
			continue
		}
		for _, impl := range []string{"os", "ring"} {
			b.Run(benchmarkName(impl, c), func(b *testing.B) { benchmarkCell(b, files, c, impl == "ring") })
		}
	}
}

// benchmarkName is flat, so that the two implementations of a cell run next to each other.
func benchmarkName(impl string, c bench.Cell) string {
	s := fmt.Sprintf("impl=%s/mode=%s/size=%s/goroutines=%d", impl, c.Mode, bench.Size(c.Block), c.Goroutines)
	if c.Compute > 0 {
		s += fmt.Sprintf("/compute=%dus", c.Compute.Microseconds())
	}
	return s
}

func benchmarkCell(b *testing.B, files *bench.Bench, c bench.Cell, useRing bool) {
	if why := files.Skip(c); why != "" {
		b.Skip(why)
	}
	s, err := files.Open(c, useRing)
	if errors.Is(err, bench.ErrNoDirect) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetBytes(int64(c.Block))
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	// Cold data are used up at some time: then the clock stops, and they are evicted again.
	var sum bench.Sample
	var p50, p99 float64
	for sum.Ops < b.N {
		got, err := s.Piece(bench.Limit{Ops: b.N - sum.Ops, Started: b.StartTimer, Done: b.StopTimer})
		if errors.Is(err, bench.ErrNotEvicted) || errors.Is(err, bench.ErrNoDirect) {
			b.Skip(err)
		}
		if err != nil {
			b.Fatal(err)
		}
		n := float64(got.Ops)
		sum.Ops += got.Ops
		sum.CPUMicros += got.CPUMicros * n
		p50 += float64(got.P50.Nanoseconds()) * n
		p99 += float64(got.P99.Nanoseconds()) * n
		sum.Routes = sum.Routes.Plus(got.Routes)
	}
	n := float64(sum.Ops)
	b.ReportMetric(p50/n/1e3, "p50-us")
	b.ReportMetric(p99/n/1e3, "p99-us")
	b.ReportMetric(sum.CPUMicros/n, "cpu-us/op")
	if useRing {
		b.ReportMetric(float64(sum.Routes.Ring)/n, "ring/op")
		b.ReportMetric(float64(sum.Routes.Cached)/n, "cached/op")
		b.ReportMetric(float64(sum.Routes.Blocking)/n, "blocking/op")
	}
}

// TestBenchmarkedReadsDoNotAllocate says what the benchmarks show: neither route of a read allocates.
func TestBenchmarkedReadsDoNotAllocate(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	files, err := bench.New(t.TempDir(), 4<<20, e)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for _, mode := range []bench.Mode{bench.Cached, bench.Direct} {
		t.Run(string(mode), func(t *testing.T) {
			c := bench.Cell{Op: bench.RandRead, Mode: mode, Block: 4096, Goroutines: 4}
			if why := files.Skip(c); why != "" {
				t.Skip(why)
			}
			s, err := files.Open(c, true)
			if errors.Is(err, bench.ErrNoDirect) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Piece(bench.Limit{Ops: 100}); err != nil {
				t.Fatal(err)
			}
			// The goroutines, their generators and the runtime's own allocate some, and what counts the
			// threads does all the time: once, reads in a guest took a minute instead of half a second.
			least := math.Inf(1)
			for range 5 {
				got, err := s.Piece(bench.Limit{Ops: 2000})
				if err != nil {
					t.Fatal(err)
				}
				if least = min(least, got.AllocsPerOp); least <= 0.2 {
					return
				}
			}
			t.Errorf("%.2f allocations per read, want none", least)
		})
	}
}
