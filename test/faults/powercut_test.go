package faults_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

var (
	states = flag.Int("states", 50, "crash states for each file system")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the power cuts")
)

// workload is a program that has promised something when the power fails.
type workload struct {
	name string

	// run works in dir and calls promise with ever larger numbers, whenever check holds for that
	// number from then on, come what may. It returns the last number.
	run func(e *ringfile.Engine, dir string, rng *rand.Rand, promise func(uint64) error) (uint64, error)

	// check returns a *lostError if the promise is broken in dir.
	check func(dir string, promised uint64) error
}

// lostError says that a promise was broken.
type lostError struct {
	promised, found uint64
	what            string
}

func (e *lostError) Error() string {
	return fmt.Sprintf("%d was promised, %d is there: %s", e.promised, e.found, e.what)
}

// TestPowerCuts: whenever the power fails, all that was promised is there.
func TestPowerCuts(t *testing.T) {
	powerCuts(t, workloads(), *states, func(t *testing.T, fs string, w workload, n int, rng *rand.Rand) {
		for _, err := range powerCut(t, fs, w, n, rng) {
			t.Error(err)
		}
	})
}

// TestPowerCutsControl: without the sync, promises are broken; else TestPowerCuts would prove
// nothing.
func TestPowerCutsControl(t *testing.T) {
	powerCuts(t, controls(), max(*states/4, 16), func(t *testing.T, fs string, w workload, n int, rng *rand.Rand) {
		errs := powerCut(t, fs, w, n, rng)
		for _, err := range errs {
			if le := (*lostError)(nil); !errors.As(err, &le) {
				t.Error(err)
			}
		}
		if len(errs) == 0 {
			t.Errorf("%d power cuts without a sync have lost nothing", n)
		}
	})
}

// powerCuts divides n crash states on each file system between workloads.
func powerCuts(t *testing.T, all []workload, n int, test func(t *testing.T, fs string, w workload, n int, rng *rand.Rand)) {
	t.Logf("to repeat: -seed %d -states %d", *seed, *states)
	for _, fs := range []string{"ext4", "xfs"} {
		for i, w := range all {
			t.Run(fs+"/"+w.name, func(t *testing.T) {
				defer testutil.Watchdog(t, 2*time.Minute+time.Duration(n)*time.Second)()
				test(t, fs, w, (n+i)/len(all), rand.New(rand.NewPCG(*seed, uint64(i))))
			})
		}
	}
}

// powerCut runs w, makes n crash states of what happened on the disk, and returns what is wrong with
// them.
func powerCut(t *testing.T, fs string, w workload, n int, rng *rand.Rand) (wrong []error) {
	d := newDisk(t, faults.Config{FS: fs})
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	promises, err := w.run(e, d.Mount, rng, d.Mark)
	if err != nil {
		t.Fatal(err)
	}
	log, err := d.Log()
	if err != nil {
		t.Fatal(err)
	}
	var dropped, torn int
	start := time.Now()
	for range n {
		c := faults.NewCrash(log, rng)
		if c.Dropped > 0 {
			dropped++
		}
		if c.Dropped > 0 && c.Kept > 0 {
			torn++
		}
		if err := d.Recover(c, func(dir string) error { return w.check(dir, c.Marked) }); err != nil {
			wrong = append(wrong, fmt.Errorf("power cut after %d of %d events, %d sectors lost, %d kept: %w",
				c.Cut, len(log), c.Dropped, c.Kept, err))
		}
	}
	t.Logf("%d promised in %d events on the disk; %d power cuts, of which %d lost all that was in the disk's cache, "+
		"%d a part: %d promises broken; %v a state", promises, len(log), n, dropped-torn, torn, len(wrong),
		(time.Since(start) / time.Duration(max(n, 1))).Round(time.Millisecond))
	return wrong
}
