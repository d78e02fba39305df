package ringfile_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/uring"
)

// TestMeasureTuning compares the parameters of rings with their alternatives, by O_DIRECT random
// reads. The engine as it is comes first.
func TestMeasureTuning(t *testing.T) {
	name := measureFile(t, pollBlocks*pollBlock)
	type engine struct {
		name string
		e    *ringfile.Engine
		f    *ringfile.File
	}
	var engines []engine
	for _, c := range []struct {
		name   string
		config ringfile.Config
		how    ringfile.Tuning
	}{
		{"as it is", ringfile.Config{}, ringfile.Tuning{Setup: uring.SetupCoopTaskrun}},
		{"without COOP_TASKRUN", ringfile.Config{}, ringfile.Tuning{}},
		{"NO_IOWAIT", ringfile.Config{}, ringfile.Tuning{Setup: uring.SetupCoopTaskrun, Wait: uring.EnterNoIowait}},
		{"batches of a half", ringfile.Config{}, ringfile.Tuning{Setup: uring.SetupCoopTaskrun, BatchShare: 2}},
		{"batches of a quarter", ringfile.Config{}, ringfile.Tuning{Setup: uring.SetupCoopTaskrun, BatchShare: 4}},
		{"batches of 16 at most", ringfile.Config{}, ringfile.Tuning{Setup: uring.SetupCoopTaskrun, BatchMax: 16}},
		{"batches of 256 at most", ringfile.Config{}, ringfile.Tuning{Setup: uring.SetupCoopTaskrun, BatchMax: 256}},
		{"a ring for each P", ringfile.Config{Rings: runtime.GOMAXPROCS(0)}, ringfile.Tuning{Setup: uring.SetupCoopTaskrun}},
	} {
		e, err := ringfile.NewTuned(c.config, c.how)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if e.Backend() != ringfile.BackendURing {
			t.Skip(e.Available())
		}
		f, err := e.OpenFile(name, os.O_RDONLY|oDirect, 0)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		if _, err := f.ReadAt(ringfile.AlignedBuffer(pollBlock, pollBlock), 0); err != nil {
			t.Fatal(err)
		}
		engines = append(engines, engine{c.name, e, f})
	}
	measure.Header()
	for _, goroutines := range []int{1, 2, 8, 32, 128} {
		ops := 2000 + 160*min(goroutines, 64)
		var sides []measure.Side
		for _, x := range engines {
			sides = append(sides, measure.Side{Name: x.name, Proof: proof(x.e), Run: func() (int, error) {
				return randomReads(x.f, goroutines, ops, plainBuffer)
			}})
		}
		measure.Compare(t, fmt.Sprintf("4 KiB random reads, %d goroutines", goroutines), sides...)
	}
}

// TestMeasureBusy compares O_DIRECT random reads through os.File and an engine while as many
// goroutines as there are Ps compute without end.
func TestMeasureBusy(t *testing.T) {
	name := measureFile(t, pollBlocks*pollBlock)
	plain, err := os.OpenFile(name, os.O_RDONLY|oDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	defer plain.Close()
	open := func(how ringfile.Tuning) (*ringfile.Engine, *ringfile.File) {
		e, err := ringfile.NewTuned(ringfile.Config{}, how)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		f, err := e.OpenFile(name, os.O_RDONLY|oDirect, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return e, f
	}
	e, f := open(ringfile.Tuning{Setup: uring.SetupCoopTaskrun})
	e2, f2 := open(ringfile.Tuning{})
	measure.Header()
	for _, goroutines := range []int{1, 2, 8, 32, 128} {
		busy := func(f io.ReaderAt) func() (int, error) {
			return func() (int, error) {
				defer compute(runtime.GOMAXPROCS(0))()
				return randomReads(f, goroutines, 500+40*min(goroutines, 64), plainBuffer)
			}
		}
		measure.Compare(t, fmt.Sprintf("4 KiB random reads, %d goroutines", goroutines),
			measure.Side{Name: "os.File", Run: busy(plain)},
			measure.Side{Name: "ringfile", Run: busy(f), Proof: proof(e)},
			measure.Side{Name: "without COOP_TASKRUN", Run: busy(f2), Proof: proof(e2)})
	}
}

// compute keeps n goroutines busy until stop is called.
func compute(n int) (stop func()) {
	var over atomic.Bool
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for x := uint64(1); !over.Load(); {
				for range 10_000 {
					x = x*6364136223846793005 + 1
				}
			}
		})
	}
	return func() {
		over.Store(true)
		wg.Wait()
	}
}

// TestMeasureBareRing compares modes of a ring without an engine: one thread that keeps a number of
// O_DIRECT reads in flight. It is what an engine could gain by a mode that asks for a single thread.
func TestMeasureBareRing(t *testing.T) {
	name := measureFile(t, pollBlocks*pollBlock)
	f, err := os.OpenFile(name, os.O_RDONLY|oDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const most = 128
	buf := ringfile.AlignedBuffer(most*pollBlock, pollBlock)
	var sides []func(depth int) measure.Side
	for _, c := range []struct {
		name  string
		setup uring.SetupFlags
		wait  uring.EnterFlags
		reg   bool
	}{
		{"plain", 0, 0, false},
		{"COOP_TASKRUN", uring.SetupCoopTaskrun, 0, false},
		{"SINGLE_ISSUER, DEFER_TASKRUN", uring.SetupSingleIssuer | uring.SetupDeferTaskrun, 0, false},
		{"NO_IOWAIT", 0, uring.EnterNoIowait, false},
		{"registered ring descriptor", 0, 0, true},
	} {
		r, err := uring.New(uring.Config{Entries: 2 * most, Flags: c.setup})
		if err != nil {
			t.Log(c.name, err)
			continue
		}
		defer r.Close()
		if c.reg {
			if err := r.RegisterRingFD(); err != nil {
				t.Log(c.name, err)
				continue
			}
			defer r.UnregisterRingFD()
		}
		sides = append(sides, func(depth int) measure.Side {
			return measure.Side{Name: c.name, Run: func() (int, error) {
				return bareReads(r, c.wait, int(f.Fd()), buf, depth, 20_000)
			}}
		})
	}
	measure.Header()
	for _, depth := range []int{1, 8, 32, most} {
		var row []measure.Side
		for _, side := range sides {
			row = append(row, side(depth))
		}
		measure.Compare(t, fmt.Sprintf("4 KiB random reads, depth %d", depth), row...)
	}
}

// bareReads makes ops reads of a block at random places with depth of them in flight.
func bareReads(r *uring.Ring, wait uring.EnterFlags, fd int, buf []byte, depth, ops int) (int, error) {
	rng := rand.New(rand.NewPCG(uint64(depth), rand.Uint64()))
	read := func(slot uint64) {
		sqe := r.GetSQE()
		at := slot * pollBlock
		sqe.PrepRead(fd, buf[at:at+pollBlock], uint64(rng.Int64N(pollBlocks))*pollBlock)
		sqe.UserData = slot
	}
	for slot := range depth {
		read(uint64(slot))
	}
	var cqes [128]uring.CQE
	for started, ended := depth, 0; ended < ops; {
		r.Flush()
		if _, err := r.Enter(r.SQReady(), 1, uring.EnterGetEvents|wait); err != nil {
			return 0, err
		}
		n := r.CopyCQEs(cqes[:])
		for _, c := range cqes[:n] {
			if c.Res != pollBlock {
				return 0, fmt.Errorf("a read ended with %d", c.Res)
			}
			if ended++; started < ops {
				read(c.UserData)
				started++
			}
		}
	}
	return ops, nil
}
