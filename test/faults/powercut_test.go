package faults_test

import (
	"errors"
	"flag"
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

// TestPowerCuts: whenever the power fails, every record that was acknowledged is there.
func TestPowerCuts(t *testing.T) {
	powerCuts(t, walModes, func(t *testing.T, mode walMode, n, lost int) {})
}

// TestPowerCutsControl: without the sync, records do get lost; else TestPowerCuts would prove
// nothing.
func TestPowerCutsControl(t *testing.T) {
	powerCuts(t, controls, func(t *testing.T, mode walMode, n, lost int) {
		if lost == 0 {
			t.Errorf("%d power cuts without a sync have lost nothing", n)
		}
	})
}

func powerCuts(t *testing.T, modes []walMode, judge func(t *testing.T, mode walMode, n, lost int)) {
	t.Logf("to repeat: -seed %d -states %d", *seed, *states)
	for _, fs := range []string{"ext4", "xfs"} {
		for i, mode := range modes {
			t.Run(fs+"/"+mode.name, func(t *testing.T) {
				defer testutil.Watchdog(t, 2*time.Minute+time.Duration(*states)*time.Second)()
				share := (*states + i) / len(modes)
				rng := rand.New(rand.NewPCG(*seed, uint64(i)))
				judge(t, mode, share, powerCut(t, fs, mode, share, rng))
			})
		}
	}
}

// powerCut writes a log, makes n crash states of what happened on the disk, and returns in how many
// of them records are lost, which is an error unless the mode is broken.
func powerCut(t *testing.T, fs string, mode walMode, n int, rng *rand.Rand) (lost int) {
	d := newDisk(t, faults.Config{FS: fs})
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	records, err := writeLog(e, d.Mount, mode, 100, rng, d.Mark)
	if err != nil {
		t.Fatal(err)
	}
	log, err := d.Log()
	if err != nil {
		t.Fatal(err)
	}
	var dropped, kept int
	start := time.Now()
	for range n {
		c := faults.NewCrash(log, rng)
		dropped += min(c.Dropped, 1)
		kept += min(c.Kept, 1)
		err := d.Recover(c, func(dir string) error { return checkLog(dir, mode, c.Marked) })
		var le *lostError
		switch {
		case errors.As(err, &le) && mode.broken:
			lost++
		case err != nil:
			lost++
			t.Errorf("power cut after %d of %d events, %d sectors lost, %d kept: %v", c.Cut, len(log), c.Dropped, c.Kept, err)
		}
	}
	t.Logf("%d records, %d events on the disk, %d power cuts (%d lost a part of the disk's cache, %d kept one), %d lost records, %v a state",
		records, len(log), n, dropped, kept, lost, (time.Since(start) / time.Duration(max(n, 1))).Round(time.Millisecond))
	return lost
}
