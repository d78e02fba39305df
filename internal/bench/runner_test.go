package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		in := slices.Clone(c.in)
		if got := median(c.in); got != c.want {
			t.Errorf("of %v: got %v, want %v", c.in, got, c.want)
		}
		if !slices.Equal(in, c.in) {
			t.Errorf("%v became %v", in, c.in)
		}
	}
	if got := median([]time.Duration{1, 3}); got != 2 {
		t.Errorf("of durations: got %v, want 2", got)
	}
	if got := median([]int{1, 3}); got != 2 {
		t.Errorf("of integers: got %v, want 2", got)
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		ratios []float64
		want   Verdict
	}{
		{[]float64{1.2, 1.3, 1.01}, Faster},
		{[]float64{1.2, 1.3, 0.99}, Equal}, // not each time
		{[]float64{1.04, 1.04, 1.04}, Equal},
		{[]float64{0.9, 0.8, 0.99}, Slower},
		{[]float64{0.9, 0.8, 1.01}, Equal},
	} {
		if got := verdict(c.ratios); got != c.want {
			t.Errorf("%v: got %s, want %s", c.ratios, got, c.want)
		}
	}
}

// fakePiecer answers with samples and notes that it was asked.
type fakePiecer struct {
	name   string
	log    *[]string
	rates  []int
	err    error
	n      int
	closed bool
}

func (f *fakePiecer) Piece(Limit) (Sample, error) {
	*f.log = append(*f.log, f.name)
	if f.err != nil && f.n == 2 {
		return Sample{}, f.err
	}
	s := Sample{Ops: f.rates[f.n], Seconds: 1, P99: time.Duration(f.rates[f.n]), Threads: f.n, InCache: -1,
		Routes: Routes{Ring: uint64(f.rates[f.n])}}
	f.n++
	return s, nil
}

func (f *fakePiecer) Close() error { f.closed = true; return nil }

func fakeRun(t *testing.T, ctx context.Context, errOS, errRing error) (Result, []string, error) {
	t.Helper()
	var log []string
	sides := []*fakePiecer{
		{name: "os", log: &log, rates: []int{1, 100, 200, 100}, err: errOS},
		{name: "ring", log: &log, rates: []int{1, 200, 200, 300}, err: errRing},
	}
	r := Runner{Reps: 3, Time: time.Millisecond, Start: func(_ context.Context, _ Cell, useRing bool) (Piecer, error) {
		if useRing {
			return sides[1], nil
		}
		return sides[0], nil
	}}
	b := &Bench{Dir: t.TempDir(), Size: 1 << 20}
	c := Cell{Op: RandRead, Mode: Direct, Block: 4096, Goroutines: 1}
	if storageOf(b.Dir) == memory {
		t.Skip("in memory, this cell is left out")
	}
	res, err := r.Cell(ctx, b, c)
	for _, s := range sides {
		if !s.closed && ctx.Err() == nil {
			t.Errorf("%s was not closed", s.name)
		}
	}
	return res, log, err
}

func TestRunnerInterleaves(t *testing.T) {
	res, log, err := fakeRun(t, t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(log, " "), "ring os os ring ring os os ring"; got != want {
		t.Errorf("order: got %s, want %s", got, want)
	}
	if want := []float64{2, 1, 3}; !slices.Equal(res.Ratios, want) || res.Ratio != 2 {
		t.Errorf("ratios: got %v with median %v, want %v", res.Ratios, res.Ratio, want)
	}
	// The median of the rates, the sum of the routes, the peak of the threads; no warming up.
	m := res.OS.Median
	if m.OpsPerSecond() != 100 || m.Threads != 3 || m.Routes.Ring != 400 || res.OS.Ops != 400 || m.P99 != 100 {
		t.Errorf("os.File: got %+v", m)
	}
	if res.Verdict != Equal {
		t.Errorf("verdict: got %s", res.Verdict) // one of the repetitions was even
	}
}

func TestRunnerSideDies(t *testing.T) {
	res, log, err := fakeRun(t, t.Context(), errors.New("the program died"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.OS.Error != "the program died" || !res.Failed() || res.Verdict != "" || res.Ratio != 0 {
		t.Errorf("got error %q, verdict %q, ratio %v", res.OS.Error, res.Verdict, res.Ratio)
	}
	if len(res.Ring.Samples) != 3 {
		t.Errorf("the other side has %d samples, want 3 (%v)", len(res.Ring.Samples), log)
	}
}

func TestRunnerSkips(t *testing.T) {
	for _, reason := range []error{ErrNotEvicted, ErrNoDirect} {
		res, _, err := fakeRun(t, t.Context(), reason, nil)
		if err != nil || res.Skipped != reason.Error() {
			t.Errorf("got skipped %q, error %v, want %q", res.Skipped, err, reason)
		}
	}
	// What only ringfile is refused is a failure of ringfile.
	res, _, _ := fakeRun(t, t.Context(), nil, ErrNoDirect)
	if res.Skipped != "" || res.Ring.Error == "" {
		t.Errorf("got skipped %q, error %q", res.Skipped, res.Ring.Error)
	}
}

func TestRunnerInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := fakeRun(t, ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestDoubts(t *testing.T) {
	for _, c := range []struct {
		name    string
		op      Op
		mode    Mode
		on      storage
		routes  Routes
		inCache float64
		want    string // in the only doubt; empty if there is none
	}{
		{"direct by ring", RandRead, Direct, device, Routes{Ring: 100}, 0, ""},
		{"direct by blocking calls", RandRead, Direct, device, Routes{Blocking: 100}, 0, "by ring"},
		{"cached", RandRead, Cached, device, Routes{Cached: 100}, 1, ""},
		{"cached, but waiting", RandRead, Cached, device, Routes{Cached: 50, Ring: 50}, 1, "by cache"},
		{"cached, but not there", RandRead, Cached, device, Routes{Cached: 100}, 0.5, "only 50 %"},
		{"cold", RandRead, Cold, device, Routes{Ring: 100}, 0, ""},
		{"cold, but not evicted", RandRead, Cold, device, Routes{Ring: 100}, 0.05, "5 % of the data"},
		{"not known", RandRead, Cold, device, Routes{Ring: 100}, -1, ""},
		{"in memory", RandRead, Cached, memory, Routes{Blocking: 100}, 1, ""},
		{"in memory, small", RandRead, Cached, memory, Routes{Cached: 100}, 1, ""},
		{"in memory, by ring", RandRead, Cached, memory, Routes{Ring: 100}, 1, "cache or blocking call"},
		{"direct write", RandWrite, Direct, device, Routes{Blocking: 100}, 0, ""},
		{"direct write, copied", RandWrite, Direct, copyOnWrite, Routes{Blocking: 100}, 0, ""},
		{"direct write, copied, by ring", RandWrite, Direct, copyOnWrite, Routes{Ring: 100}, 0, "by blocking call"},
		{"direct mix, copied", Mix, Direct, copyOnWrite, Routes{Ring: 75, Blocking: 25}, 0, ""},
		{"buffered write", RandWrite, Cached, device, Routes{Blocking: 100}, 1, ""},
		{"append", Append, Cached, device, Routes{Blocking: 200}, -1, ""},
		{"append to one file", AppendOne, Cached, device, Routes{Blocking: 103}, -1, ""},
		{"append to one file, without a sync", AppendOne, Cached, device, Routes{Blocking: 90}, -1, "by ring or blocking call"},
		{"append, direct", Append, Direct, device, Routes{Ring: 100, Blocking: 100}, -1, ""},
		{"mix", Mix, Cached, device, Routes{Cached: 75, Blocking: 25}, 1, ""},
		{"mix behind locks", Mix, Cached, device, Routes{Cached: 50, Ring: 25, Blocking: 25}, 1, ""},
		{"mix, all blocking", Mix, Cached, device, Routes{Blocking: 100}, 1, "by cache or ring"},
		{"cold in sequence", SeqRead, Cold, device, Routes{Cached: 70, Ring: 30}, 0, ""},
		{"cold in sequence, blocking", SeqRead, Cold, device, Routes{Blocking: 100}, 0, "by cache or ring"},
	} {
		t.Run(c.name, func(t *testing.T) {
			goroutines := 1
			if strings.Contains(c.name, "by blocking calls") {
				goroutines = 1024 // not few
			}
			res := Result{Cell: Cell{Op: c.op, Mode: c.mode, Block: 4096, Goroutines: goroutines}, Ring: Side{Name: NameRing,
				Samples: []Sample{{Ops: 100, Seconds: 1, Routes: c.routes, InCache: c.inCache}}}}
			res.judge(c.on)
			switch {
			case c.want == "" && len(res.Doubts) > 0:
				t.Errorf("got %q, want none", res.Doubts)
			case c.want != "" && (len(res.Doubts) != 1 || !strings.Contains(res.Doubts[0], c.want)):
				t.Errorf("got %q, want one with %q", res.Doubts, c.want)
			}
		})
	}
}

// TestCells does what every kind of cell does, for a moment, with both.
func TestCells(t *testing.T) {
	b := newBench(t, 8<<20)
	var cells []Cell
	for _, c := range Full() {
		if c.Goroutines == 4 {
			cells = append(cells, c)
		}
	}
	for _, c := range cells {
		for _, useRing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/ring=%v", c, useRing), func(t *testing.T) {
				if why := b.Skip(c); why != "" {
					t.Skip(why)
				}
				s, err := b.Run(c, useRing, time.Millisecond)
				if errors.Is(err, ErrNoDirect) || errors.Is(err, ErrNotEvicted) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if s.Ops < 1 || s.Seconds <= 0 || s.P50 > s.P99 || s.P99 > s.P999 || math.IsNaN(s.CPUMicros) {
					t.Errorf("got %+v", s)
				}
				if !c.Op.routed() {
					return
				}
				routes := s.Routes.Cached + s.Routes.Ring + s.Routes.Blocking
				if useRing && routes < uint64(s.Ops) || !useRing && routes > 0 {
					t.Errorf("%d operations, routes %+v", s.Ops, s.Routes)
				}
			})
		}
	}
}

// Cold data are read at most once in a piece, and a limit of operations is kept.
func TestLimits(t *testing.T) {
	b := newBench(t, 1<<20)
	for _, c := range []struct {
		name  string
		cell  Cell
		limit Limit
		max   int
	}{
		{"operations", Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 8}, Limit{Ops: 1001}, 1001},
		{"fewer operations than goroutines", Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 8}, Limit{Ops: 3}, 3},
		{"cold", Cell{Op: RandRead, Mode: Cold, Block: 4096, Goroutines: 8}, Limit{Time: 10 * time.Second}, 256},
		{"cold in sequence", Cell{Op: SeqRead, Mode: Cold, Block: 4096, Goroutines: 8}, Limit{Time: 10 * time.Second}, 256},
		{"cold small files", Cell{Op: SmallFiles, Mode: Cold, Block: 4096, Goroutines: 8}, Limit{Time: 10 * time.Second}, smallCount},
	} {
		t.Run(c.name, func(t *testing.T) {
			if why := b.Skip(c.cell); why != "" {
				t.Skip(why)
			}
			s, err := b.Open(c.cell, true)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got, err := s.Piece(c.limit)
			if errors.Is(err, ErrNotEvicted) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Ops > c.max || c.cell.Op != SeqRead && got.Ops < c.max {
				t.Errorf("%d operations, want %d", got.Ops, c.max)
			}
		})
	}
}

func TestWorkIsWork(t *testing.T) {
	b := newBench(t, 1<<20)
	s, err := b.Run(Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 1, Compute: 200 * time.Microsecond}, false, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// Generous: the machine may be busy with other things, which slows down.
	if most := int(s.Seconds*1e6/200*1.5) + 2; s.Ops > most {
		t.Errorf("%d operations in %v s with 200 µs of work for each, want at most %d", s.Ops, s.Seconds, most)
	}
}
