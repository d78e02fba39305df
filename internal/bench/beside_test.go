package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestBesideCells does each cell beside which something goes on, or that is spread over devices, for a moment, with both.
func TestBesideCells(t *testing.T) {
	b := newBench(t, 8<<20)
	dirs := []string{t.TempDir(), t.TempDir()}
	if other, err := os.MkdirTemp("/dev/shm", "ringfile-bench-"); err == nil {
		defer os.RemoveAll(other)
		dirs = append(dirs, other) // most probably another device
	}
	if err := b.AddDevices(dirs, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(BesideCells(), DeviceCells(2, true)...) {
		for _, useRing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/ring=%v", c, useRing), func(t *testing.T) {
				if why := b.Skip(c); why != "" {
					t.Skip(why)
				}
				s, err := b.Run(c, useRing, 5*time.Millisecond)
				if errors.Is(err, ErrNoDirect) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if s.Ops < 1 || (s.Beside > 0) != (c.Beside != "") {
					t.Errorf("%d operations, %v beside", s.Ops, s.Beside)
				}
				routes := s.Routes.Cached + s.Routes.Ring + s.Routes.Blocking
				if useRing && (routes < uint64(s.Ops)*9/10 || routes > uint64(s.Ops)*11/10+2) || !useRing && routes > 0 {
					t.Errorf("%d operations, routes %+v", s.Ops, s.Routes)
				}
			})
		}
	}
}

// What cannot be measured for want of another device is skipped, with the reason.
func TestSkipBeside(t *testing.T) {
	b := &Bench{Dir: t.TempDir(), Size: 16 << 20}
	for _, c := range []struct {
		cell    Cell
		devices []string
		want    string // contained; empty if it is not skipped
	}{
		{Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 1, Beside: Computing}, nil, ""},
		{Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 1, Beside: SyncingAt}, nil, "another device"},
		{Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 1, Beside: SlowReads}, nil, "another device"},
		{Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 1, Beside: "nonsense"}, nil, "not known"},
		{Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 1, Devices: 2}, []string{"/"}, "names 1"},
	} {
		b.Devices = c.devices
		if why := b.Skip(c.cell); (why != "") != (c.want != "") || !strings.Contains(why, c.want) {
			t.Errorf("%s: got %q, want %q", c.cell, why, c.want)
		}
		if _, err := b.openBeside(c.cell.Beside, false); c.cell.Beside != "" && (err != nil) != (c.want != "") {
			t.Errorf("%s: opened: %v", c.cell, err)
		}
	}
	if sameDevice(b.Dir, b.Dir) {
		b.Devices = []string{b.Dir, b.Dir}
		if why := b.Skip(Cell{Beside: SyncingAt}); !strings.Contains(why, "another device") {
			t.Errorf("syncs on the same device: got %q", why)
		}
		if b.oneTwice(1) || !b.oneTwice(2) {
			t.Error("that a directory was given twice is not seen")
		}
	}
}

func TestRoutesLess(t *testing.T) {
	all := Routes{Cached: 5, Ring: 100, Blocking: 30}
	for _, c := range []struct {
		beside   Op
		n, syncs uint64
		want     Routes
	}{
		{Work, 1000, 0, all},
		{AppendOne, 12, 8, Routes{5, 100, 10}},
		{AppendOne, 25, 10, Routes{5, 95, 0}}, // some syncs went to the ring
		{AppendOne, 200, 200, Routes{5, 0, 0}},
		{RandRead, 90, 0, Routes{5, 10, 30}},
		{RandRead, 110, 0, Routes{5, 0, 20}},
	} {
		if got := all.less(c.beside, c.n, c.syncs); got != c.want {
			t.Errorf("%s, %d and %d: got %+v, want %+v", c.beside, c.n, c.syncs, got, c.want)
		}
	}
}

// A gain at the cost of what goes on beside is none, and a loss there is one.
func TestBesideVerdict(t *testing.T) {
	side := func(ops int, beside float64) Side {
		var s Side
		for range 3 {
			s.Samples = append(s.Samples, Sample{Ops: ops, Seconds: 1, InCache: -1, Beside: beside})
		}
		return s
	}
	for _, c := range []struct {
		ops    int
		beside float64
		want   Verdict
	}{
		{200, 10, Faster}, {200, 20, Faster}, {200, 5, Equal}, {100, 10, Equal}, {100, 5, Slower}, {50, 20, Slower},
	} {
		res := Result{Cell: Cell{Op: RandRead, Beside: Computing}, OS: side(100, 10), Ring: side(c.ops, c.beside)}
		res.judge(device)
		if res.Verdict != c.want || res.BesideRatio != c.beside/10 {
			t.Errorf("%d and %v: got %s, ratio %v, want %s", c.ops, c.beside, res.Verdict, res.BesideRatio, c.want)
		}
		if want := fmt.Sprintf("beside it: 10 and %v steps of 100 µs of work per second, ratio %.2f", c.beside, c.beside/10); res.BesideText() != want {
			t.Errorf("got %q, want %q", res.BesideText(), want)
		}
		if want := fmt.Sprintf("%.2f, beside it %.2f", float64(c.ops)/100, c.beside/10); res.RatioText() != want {
			t.Errorf("got %q, want %q", res.RatioText(), want)
		}
	}
}

func TestQueue(t *testing.T) {
	s := Side{Median: Sample{Ops: 50_000, Seconds: 0.5}}
	if got := (Cell{Goroutines: 1000}).Queue(&s); got != 10*time.Millisecond {
		t.Errorf("got %v, want 10ms", got)
	}
	for _, got := range []time.Duration{(Cell{Goroutines: 1}).Queue(new(Side)), (Cell{Goroutines: 1, Compute: 1}).Queue(&s)} {
		if got != 0 {
			t.Errorf("got %v where it is not known", got)
		}
	}
}

func TestRatiosToFio(t *testing.T) {
	side := func(name string, ops int, cpu float64) Side {
		s := Side{Name: name, Samples: []Sample{{Ops: ops, Seconds: 1, CPUMicros: cpu}}}
		s.summarize()
		return s
	}
	r := FioResult{Sides: []Side{side("fio io_uring", 100, 2), side("fio libaio", 200, 4), side(NameOS, 400, 9), side(NameRing, 150, 3)}}
	r.compare()
	if r.ToFio != 0.75 || r.CPUToFio != 1.5 || !strings.Contains(r.ToFioText(), "0.75 of the rate of the better engine, 1.50 of io_uring's") {
		t.Errorf("got %v and %v, %q", r.ToFio, r.CPUToFio, r.ToFioText())
	}
	r.Sides[3].Error = "failed"
	if r.compare(); r.ToFio != 0 || r.ToFioText() != "" {
		t.Errorf("ringfile failed: got %v, %q", r.ToFio, r.ToFioText())
	}
}
