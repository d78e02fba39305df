package ringfile_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/uring"
)

// TestMeasureColdLarge compares reads that are not in the page cache, through os.File and engines that
// leave different numbers of them to system calls.
func TestMeasureColdLarge(t *testing.T) {
	const size = 512 << 20
	name := measureFile(t, size)
	plain, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	type engine struct {
		name string
		e    *ringfile.Engine
		f    *ringfile.File
	}
	var engines []engine
	for _, perP := range []int32{-1, 4, 8, 16, 32} {
		e, err := ringfile.NewTuned(ringfile.Config{}, ringfile.Tuning{
			Setup: uring.SetupCoopTaskrun, ReadersPerP: perP, AloneRead: 16 << 10})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if e.Backend() != ringfile.BackendURing {
			t.Skip(e.Available())
		}
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		engines = append(engines, engine{fmt.Sprintf("%d calls per P", max(perP, 0)), e, f})
	}
	measure.Header()
	for _, block := range []int{16 << 10, 64 << 10} {
		for _, goroutines := range []int{2, 4, 8, 16, 32, 128} {
			ops := min(4000, (200<<20)/block)
			read := func(f io.ReaderAt) func() (int, error) {
				return func() (int, error) { return coldReads(f, block, goroutines, ops, size) }
			}
			prepare := func() error { return evictFile(plain) }
			sides := []measure.Side{{Name: "os.File", Prepare: prepare, Run: read(plain)}}
			for _, x := range engines {
				sides = append(sides, measure.Side{Name: x.name, Prepare: prepare, Run: read(x.f), Proof: proof(x.e)})
			}
			measure.Compare(t, fmt.Sprintf("cold random reads of %d KiB, %d goroutines", block>>10, goroutines), sides...)
		}
	}
}

// coldReads reads ops different blocks of f, of size bytes, in no order.
func coldReads(f io.ReaderAt, block, goroutines, ops, size int) (int, error) {
	order := rand.Perm(size / block)[:ops]
	var wg sync.WaitGroup
	errs := make(chan error, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			buf := make([]byte, block)
			for i := g; i < ops; i += goroutines {
				if n, err := f.ReadAt(buf, int64(order[i])*int64(block)); n != block || err != nil {
					errs <- fmt.Errorf("read %d: %w", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return ops, <-errs
}
