package ringfile_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestMeasureComputing has goroutines read, O_DIRECT, beside one for each P that computes without end, and prints what
// the scheduler makes of it: how long goroutines that could run waited for a P, and how often that was for a
// millisecond and more. With -run 'TestMeasureComputing/8ringfile' -trace FILE, `go tool trace FILE` shows each of them.
func TestMeasureComputing(t *testing.T) {
	const size = 256 << 20
	name := filepath.Join(measure.Dir(t), "computing")
	defer os.Remove(name)
	if err := os.WriteFile(name, testutil.PatternBytes(size), 0o600); err != nil {
		t.Fatal(err)
	}
	std, err := os.OpenFile(name, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer std.Close()
	ours, err := ringfile.OpenFile(name, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	fmt.Println("| readers | | reads/s | computing, of all | wait for a P: for each read | of 1 ms and more, of all waiting |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, readers := range []int{8, 32, 128} {
		for _, side := range []struct {
			name string
			f    io.ReaderAt
		}{{"os.File", std}, {"ringfile", ours}} {
			t.Run(fmt.Sprint(readers, side.name), func(t *testing.T) {
				reads, computed, waits := beside(t, side.f, size, readers, time.Second)
				fmt.Printf("| %d | %s | %d | %.0f %% | %.0f µs | %.0f %% |\n", readers, side.name, reads, 100*computed,
					1e6*waits.sum/float64(reads), 100*waits.long/waits.sum)
			})
		}
	}
}

// waits are the times that goroutines waited for a P, in seconds.
type waits struct{ sum, long float64 }

// beside runs readers for a while beside goroutines that compute.
func beside(t *testing.T, f io.ReaderAt, size int64, readers int, d time.Duration) (reads int64, computed float64, w waits) {
	unit := func() {
		x := uint64(1)
		for range 20000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		runtime.KeepAlive(x)
	}
	start := time.Now()
	for range 2000 {
		unit()
	}
	alone := 2000 / time.Since(start).Seconds() // of one P

	var stop atomic.Bool
	var units, done atomic.Int64
	var each sync.WaitGroup
	before := latencies()
	start = time.Now()
	for range runtime.GOMAXPROCS(0) {
		each.Go(func() {
			for !stop.Load() {
				unit()
				units.Add(1)
			}
		})
	}
	for range readers {
		each.Go(func() {
			buf := ringfile.AlignedBuffer(4096, 4096)
			for !stop.Load() {
				if _, err := f.ReadAt(buf, rand.Int64N(size/4096)*4096); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	time.Sleep(d)
	n, u, took := done.Load(), units.Load(), time.Since(start).Seconds()
	after := latencies()
	stop.Store(true)
	each.Wait()
	for i, c := range after.Counts {
		low, high := max(after.Buckets[i], 0), after.Buckets[i+1]
		if math.IsInf(high, 1) {
			high = low
		}
		sum := float64(c-before.Counts[i]) * (low + high) / 2
		w.sum += sum
		if low >= 1e-3 {
			w.long += sum
		}
	}
	return n, float64(u) / took / alone / float64(runtime.GOMAXPROCS(0)), w
}

// latencies returns how long goroutines have waited for a P so far.
func latencies() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}
