package mapped_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/mapped"
)

const measureSize = 512 << 20

// TestMeasureMapped compares a Mapping with os.File where all is in memory, and with page faults where nothing is.
func TestMeasureMapped(t *testing.T) {
	name := filepath.Join(measure.Dir(t), "ringfile-mapped")
	defer os.Remove(name)
	if err := os.WriteFile(name, testutil.PatternBytes(measureSize), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	o, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	f, err := e.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mapped.Map(f)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()

	measure.Header()
	const hot = 16 << 20
	warm := func() error { // what is known is forgotten after ten seconds
		_, err := m.Bytes(t.Context(), 0, hot)
		return err
	}
	for _, size := range []int{16, 64, 512, 4096} {
		random := func(r io.ReaderAt) func() (int, error) {
			return func() (int, error) {
				p := make([]byte, size)
				rng := rand.New(rand.NewPCG(1, 2))
				for range 200_000 {
					if _, err := r.ReadAt(p, rng.Int64N(hot-int64(size))); err != nil {
						return 0, err
					}
				}
				return 200_000, nil
			}
		}
		measure.Compare(t, fmt.Sprintf("ReadAt of %d bytes that are in memory", size),
			measure.Side{Name: "os.File", Prepare: warm, Run: random(o)},
			enginetest.Side(e, "ringfile.File", warm, random(f)),
			enginetest.Side(e, "Mapping", warm, random(m)))
	}
	all := mapped.Raw(m)[:hot]
	view := func(bytes func(off int64) []byte) func() (int, error) {
		return func() (int, error) {
			rng := rand.New(rand.NewPCG(1, 2))
			for range 2_000_000 {
				sink += bytes(rng.Int64N(hot - 100))[0]
			}
			return 2_000_000, nil
		}
	}
	ctx := t.Context()
	measure.Compare(t, "a view of 100 bytes that are in memory",
		measure.Side{Name: "slice expression", Prepare: warm, Run: view(func(off int64) []byte { return all[off : off+100] })},
		measure.Side{Name: "Bytes", Prepare: warm, Run: view(func(off int64) []byte {
			b, err := m.Bytes(ctx, off, 100)
			if err != nil {
				panic(err)
			}
			return b
		})})
	measureCold(t, e, o, f)
}

var sink byte

// measureCold has goroutines touch cold pages in random places, beside one that computes.
func measureCold(t *testing.T, e *ringfile.Engine, o *os.File, f *ringfile.File) {
	const goroutines, touches = 256, 40
	fmt.Printf("\n| %d goroutines touch cold pages, GOMAXPROCS %d | touches/s (range) | a goroutine that computes keeps (range) |\n| --- | --- | --- |\n", goroutines, runtime.GOMAXPROCS(0))
	sides := []string{"page faults", "os.File.ReadAt", "Bytes", "Bytes with a context that can end"}
	rates, kept := map[string][]float64{}, map[string][]float64{}
	for rep := range uint64(measure.Reps) {
		for _, side := range sides {
			alone := computing(func() { time.Sleep(300 * time.Millisecond) })
			// A mapping keeps its pages from being dropped, so each has its own.
			m, err := mapped.Map(f)
			if err != nil {
				t.Fatal(err)
			}
			plain := mapped.Raw(m)
			if err := testutil.Evict(f.Name()); err != nil {
				t.Fatal(err)
			}
			var sum atomic.Int64
			view := func(ctx context.Context, off int64) error {
				b, err := m.Bytes(ctx, off, 8)
				if err == nil {
					sum.Add(int64(b[0]))
				}
				return err
			}
			touch := map[string]func(off int64, p []byte) error{
				"page faults":                       func(off int64, _ []byte) error { sum.Add(int64(plain[off])); return nil },
				"os.File.ReadAt":                    func(off int64, p []byte) error { _, err := o.ReadAt(p, off); return err },
				"Bytes":                             func(off int64, _ []byte) error { return view(context.Background(), off) },
				"Bytes with a context that can end": func(off int64, _ []byte) error { return view(t.Context(), off) },
			}[side]
			var took time.Duration
			speed := computing(func() {
				start := time.Now()
				var all sync.WaitGroup
				for g := range uint64(goroutines) {
					all.Go(func() {
						rng := rand.New(rand.NewPCG(rep, g))
						p := make([]byte, 8)
						for range touches {
							if err := touch(rng.Int64N(measureSize/4096)*4096, p); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				took = time.Since(start)
			})
			rates[side] = append(rates[side], goroutines*touches/took.Seconds())
			kept[side] = append(kept[side], 100*speed/alone)
			m.Close()
		}
	}
	for _, side := range sides {
		r, k := rates[side], kept[side]
		slices.Sort(r)
		slices.Sort(k)
		fmt.Printf("| %s | %.0f (%.0f-%.0f) | %.0f %% (%.0f-%.0f) |\n", side, r[len(r)/2], r[0], r[len(r)-1], k[len(k)/2], k[0], k[len(k)-1])
	}
}

// computing returns how fast a goroutine computes beside do.
func computing(do func()) float64 {
	var stop atomic.Bool
	done := make(chan float64)
	go func() {
		start, n, x := time.Now(), 0, uint64(1)
		for !stop.Load() {
			for range 10_000 {
				x = x*0x9e3779b97f4a7c15 + 1
			}
			n++
		}
		sink += byte(x)
		done <- float64(n) / time.Since(start).Seconds()
	}()
	do()
	stop.Store(true)
	return <-done
}
