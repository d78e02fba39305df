package chain_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/chain"
	"github.com/ringfile/ringfile/internal/measure"
)

// measureEngine makes an engine with everything at its default.
func measureEngine(t *testing.T) *ringfile.Engine {
	t.Helper()
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// submitted returns a proof: how much the rings of chains have been given since.
func submitted() func() string {
	before := chain.Flights()
	return func() string { return fmt.Sprintf("%d submissions", chain.Flights()-before) }
}

// TestMeasureChain appends durably: by calls of os, by calls of ringfile, and by chains.
func TestMeasureChain(t *testing.T) {
	dir := measure.Dir(t)
	measure.Header()
	for _, workers := range []int{1, 8} {
		measureAppend(t, dir, fmt.Sprintf("append 4 KiB + fdatasync, buffered, %d goroutines", workers), 0, workers)
		measureAppend(t, dir, fmt.Sprintf("append 4 KiB + fdatasync, direct, %d goroutines", workers), oDirect, workers)
	}
}

// workersDo has workers do n operations each.
func workersDo(workers, n int, do func(worker, i int) error) (int, error) {
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error {
			for i := range n {
				if err := do(w, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers * n, g.Wait()
}

func measureAppend(t *testing.T, dir, cell string, direct, workers int) {
	const each = 40
	calls, chains := measureEngine(t), measureEngine(t)
	bufs := make([][]byte, workers)
	cs := make([]chain.Chain, workers)
	plain := make([]*os.File, workers)
	byCalls, byChains := make([]*ringfile.File, workers), make([]*ringfile.File, workers)
	for w := range workers {
		bufs[w] = ringfile.AlignedBuffer(4096, 4096)
		name := filepath.Join(dir, fmt.Sprintf("ringfile-append-%d", w))
		t.Cleanup(func() { os.Remove(name) })
		flag := os.O_RDWR | os.O_CREATE | direct
		var err [3]error
		plain[w], err[0] = os.OpenFile(name, flag, 0o644)
		byCalls[w], err[1] = calls.OpenFile(name, flag, 0o644)
		byChains[w], err[2] = chains.OpenFile(name, flag, 0o644)
		for _, err := range err {
			if err != nil {
				t.Fatal(err)
			}
		}
		defer plain[w].Close()
		defer byCalls[w].Close()
		defer byChains[w].Close()
	}
	truncate := func() error {
		for _, f := range plain {
			if err := f.Truncate(0); err != nil {
				return err
			}
		}
		return nil
	}
	measure.Compare(t, cell,
		measure.Side{Name: "os.File, fdatasync", Prepare: truncate, Run: func() (int, error) {
			return workersDo(workers, each, func(w, i int) error {
				if _, err := plain[w].WriteAt(bufs[w], int64(i)*4096); err != nil {
					return err
				}
				return datasync(plain[w])
			})
		}},
		measure.Side{Name: "ringfile calls", Prepare: truncate, Run: func() (int, error) {
			return workersDo(workers, each, func(w, i int) error {
				if _, err := byCalls[w].WriteAt(bufs[w], int64(i)*4096); err != nil {
					return err
				}
				return byCalls[w].Datasync()
			})
		}},
		measure.Side{Name: "Chain", Prepare: truncate, Run: func() (int, error) {
			return workersDo(workers, each, func(w, i int) error {
				c := &cs[w]
				c.Reset()
				c.WriteAt(byChains[w], bufs[w], int64(i)*4096)
				c.Datasync(byChains[w])
				return c.Run()
			})
		}, Proof: submitted()},
	)
}
