//go:build linux

package fsx

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// routes runs test with an engine of each backend that there is.
func routes(t *testing.T, test func(t *testing.T, e *ringfile.Engine)) {
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := ringfile.New(ringfile.Config{})
			if err != nil {
				t.Skip(err)
			}
			defer testutil.Watchdog(t, 5*time.Minute)()
			test(t, e)
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			if s := e.Stats(); s.Unknown != 0 || s.Broken != 0 || s.InFlight != 0 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// few is how many operations a test makes.
func few(t *testing.T) int {
	if testing.Short() {
		return 2_000
	}
	return 6_000
}

func TestRun(t *testing.T) {
	routes(t, func(t *testing.T, e *ringfile.Engine) {
		report, err := Run(t.Context(), Options{Engine: e, Dir: t.TempDir(), Seed: 1, Ops: few(t)})
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range operations {
			if report.Counts[op.name] == 0 && op.weight > 4 { // rarer ones may be missing from a short run
				t.Errorf("no %s among %d operations", op.name, report.Ops)
			}
		}
		t.Logf("%+v\n%+v", report, e.Stats())
	})
}

// TestRunFinds changes the file behind the back of a run, which must notice each time.
func TestRunFinds(t *testing.T) {
	routes(t, func(t *testing.T, e *ringfile.Engine) {
		for name, damage := range map[string]func(f *os.File) error{
			"byte": func(f *os.File) error {
				var b [1]byte
				if _, err := f.ReadAt(b[:], 0); err != nil {
					return err
				}
				b[0]++
				_, err := f.WriteAt(b[:], 0)
				return err
			},
			"size": func(f *os.File) error {
				st, err := f.Stat()
				if err != nil {
					return err
				}
				return f.Truncate(st.Size() + 1)
			},
		} {
			_, err := Run(t.Context(), Options{Engine: e, Dir: t.TempDir(), Seed: 2, Ops: 3000,
				sabotage: func(path string, op int) {
					if op < 1000 {
						return
					}
					f, err := os.OpenFile(path, os.O_RDWR, 0)
					if err != nil {
						t.Error(err)
						return
					}
					defer f.Close()
					damage(f) // which fails while the file is empty
				}})
			var failure *Failure
			if !errors.As(err, &failure) || !strings.Contains(failure.Log, "read") {
				t.Errorf("%s: got %v, want a *Failure with a log", name, err)
			}
		}
	})
}

// TestSeed checks that a seed decides about a run.
func TestSeed(t *testing.T) {
	var logs [3]string
	for i, seed := range []uint64{7, 7, 8} {
		e, err := ringfile.New(ringfile.Config{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Run(t.Context(), Options{Engine: e, Dir: t.TempDir(), Seed: seed, Ops: 500,
			sabotage: func(path string, op int) {
				if op == 499 {
					if err := os.Truncate(path, 300<<10); err != nil { // more than it can have
						t.Error(err)
					}
				}
			}})
		var failure *Failure
		if !errors.As(err, &failure) {
			t.Fatal(err)
		}
		for line := range strings.Lines(failure.Log) {
			what, _, _ := strings.Cut(line, "=")
			logs[i] += what // without results, which differ when calls are given up
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if logs[0] != logs[1] || logs[0] == logs[2] {
		t.Errorf("the seeds 7, 7 and 8 have made\n%s\n%s\n%s", logs[0], logs[1], logs[2])
	}
}

// TestEnded checks that a run ends with its context.
func TestEnded(t *testing.T) {
	routes(t, func(t *testing.T, e *ringfile.Engine) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		report, err := Run(ctx, Options{Engine: e, Dir: t.TempDir(), Ops: math.MaxInt,
			sabotage: func(_ string, op int) {
				if op == 100 {
					cancel()
				}
			}})
		if err != nil || report.Ops > 101 {
			t.Errorf("%d operations, %v", report.Ops, err)
		}
	})
}

func TestRunCrowd(t *testing.T) {
	routes(t, func(t *testing.T, e *ringfile.Engine) {
		report, err := RunCrowd(t.Context(), Options{Engine: e, Dir: t.TempDir(), Seed: 1, Ops: 2 * few(t)})
		if err != nil {
			t.Fatal(err)
		}
		if report.Ops < 2*few(t) || report.Counts["buffered phases"] == 0 {
			t.Errorf("%+v", report)
		}
		t.Logf("%+v\n%+v", report, e.Stats())
	})
}

// TestRunCrowdFinds changes a byte in each half of a range, which the crowd must notice.
func TestRunCrowdFinds(t *testing.T) {
	routes(t, func(t *testing.T, e *ringfile.Engine) {
		for name, off := range map[string]int64{"own": 3*rangeBytes + 5, "cell": 3*rangeBytes + ownBytes + 5} {
			_, err := RunCrowd(t.Context(), Options{Engine: e, Dir: t.TempDir(), Seed: 2, Ops: 20_000,
				sabotage: func(path string, op int) {
					f, err := os.OpenFile(path, os.O_RDWR, 0)
					if err != nil {
						t.Error(err)
						return
					}
					defer f.Close()
					var b [1]byte
					f.ReadAt(b[:], off)
					b[0]++
					f.WriteAt(b[:], off)
				}})
			if err == nil {
				t.Errorf("%s: a byte has changed, and nobody has noticed", name)
			}
		}
	})
}

// TestCheckCell checks what a reader may find in a cell.
func TestCheckCell(t *testing.T) {
	var old, now, mixed [cellBytes]byte
	fillCell(old[:], 3, 7)
	fillCell(now[:], 3, 8)
	copy(mixed[:], old[:])
	copy(mixed[1000:], now[1000:2000])
	for _, c := range []struct {
		name      string
		p         []byte
		low, high uint64
		ok        bool
	}{
		{"old", old[:], 7, 8, true},
		{"new", now[:], 7, 8, true},
		{"mixed", mixed[:], 7, 8, true},
		{"too old", old[:], 8, 9, false},
		{"mixed with what is too old", mixed[:], 8, 8, false},
		{"too new", now[:], 6, 7, false},
	} {
		if err := checkCell("reader", c.p, 3, c.low, c.high); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestFileSystems runs on file systems that this machine's directories are not on.
func TestFileSystems(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, kind := range []string{"xfs", "btrfs", "tmpfs"} {
		t.Run(kind, func(t *testing.T) {
			dir, undo, err := Mount(t.Context(), kind, t.TempDir())
			if err != nil {
				t.Skip(err)
			}
			defer func() {
				if err := undo(); err != nil {
					t.Error(err)
				}
			}()
			routes(t, func(t *testing.T, e *ringfile.Engine) {
				for name, run := range map[string]func(context.Context, Options) (Report, error){"run": Run, "crowd": RunCrowd} {
					if _, err := run(t.Context(), Options{Engine: e, Dir: dir, Seed: 3, Ops: few(t) / 2}); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		})
	}
}
