package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// A Piecer measures pieces of one cell with one implementation.
type Piecer interface {
	Piece(l Limit) (Sample, error)
	Close() error
}

// Runner measures cells, os.File and ringfile in turn.
type Runner struct {
	Reps int
	Time time.Duration // of a piece
	// Start makes a cell ready for one of the two.
	Start func(ctx context.Context, c Cell, useRing bool) (Piecer, error)
	// StartOther, if not nil, makes a cell ready for ringfile as another build has it.
	StartOther func(ctx context.Context, c Cell, useRing bool) (Piecer, error)
}

// Side is what one contestant did in a cell.
type Side struct {
	Name    string   `json:"name"`
	Median  Sample   `json:"median"` // each number the median of the samples', but for the peaks of threads and the sums of routes
	Samples []Sample `json:"samples"`
	Ops     int      `json:"ops"` // in all samples
	Error   string   `json:"error,omitempty"`
}

// Result is what came of a cell.
type Result struct {
	Volume  string    `json:"volume"`
	Cell    Cell      `json:"cell"`
	Name    string    `json:"name"`
	Skipped string    `json:"skipped,omitempty"` // why there are no numbers
	OS      Side      `json:"os"`
	Ring    Side      `json:"ringfile"`
	Ratios  []float64 `json:"ratios,omitempty"`         // of the rates, ringfile to os.File, for each repetition
	Ratio   float64   `json:"ratio,omitempty"`          // their median
	Other   *Side     `json:"other,omitempty"`          // ringfile of another build, if it was asked for
	ToOther float64   `json:"ratio_to_other,omitempty"` // median of the ratios of ringfile's rates to its
	Verdict Verdict   `json:"verdict,omitempty"`

	// Of what went on beside, ringfile to os.File, as Ratio.
	BesideRatio float64 `json:"beside_ratio,omitempty"`

	Doubts []string `json:"doubts,omitempty"` // where the counters do not show what the cell claims

	Disturbance string `json:"disturbance,omitempty"` // what else the machine did meanwhile, if that was much
}

// Verdict is the outcome of a cell in a word.
type Verdict string

const (
	Faster Verdict = "faster"
	Equal  Verdict = "equal" // or the difference is within what varies from piece to piece
	Slower Verdict = "slower"
)

// margin is the difference that counts as one.
const margin = 0.05

// verdict judges the ratios of the repetitions: a difference counts if it is seen each time.
func verdict(ratios []float64) Verdict {
	m := median(ratios)
	switch {
	case m >= 1+margin && slices.Min(ratios) > 1:
		return Faster
	case m <= 1-margin && slices.Max(ratios) < 1:
		return Slower
	}
	return Equal
}

// Names of the sides.
const (
	NameOS    = "os.File"
	NameRing  = "ringfile"
	NameOther = "other build"
)

// Sides returns those that were measured.
func (res *Result) Sides() []*Side {
	if res.Other != nil {
		return []*Side{&res.OS, &res.Ring, res.Other}
	}
	return []*Side{&res.OS, &res.Ring}
}

// Cell measures one cell on the files of b. A side that fails is noted in the result; the error is for what ends the
// whole run.
func (r *Runner) Cell(ctx context.Context, b *Bench, c Cell) (Result, error) {
	res := Result{Cell: c, Name: c.String(), OS: Side{Name: NameOS}, Ring: Side{Name: NameRing}}
	if res.Skipped = b.Skip(c); res.Skipped != "" {
		return res, nil
	}
	if r.StartOther != nil {
		res.Other = &Side{Name: NameOther}
	}
	sides := res.Sides()
	piecers := make([]Piecer, len(sides))
	for i := range sides {
		start := r.Start
		if i == 2 {
			start = r.StartOther
		}
		p, err := start(ctx, c, i > 0)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if p != nil {
			defer p.Close()
		}
		switch {
		case ctx.Err() != nil:
			return res, err
		case i == 0 && errors.Is(err, ErrNoDirect):
			res.Skipped = err.Error()
			return res, nil
		case err != nil:
			sides[i].Error = err.Error()
			continue
		}
		piecers[i] = p
	}
	for rep := -1; rep < r.Reps; rep++ {
		for turn := range sides {
			i := (turn + rep + 2) % len(sides) // they take turns in going first
			if piecers[i] == nil || sides[i].Error != "" {
				continue
			}
			l := Limit{Time: r.Time}
			if rep < 0 {
				// The first piece makes stacks, threads and rings, and is not counted.
				l.Time = r.warmUp()
			}
			s, err := piecers[i].Piece(l)
			switch {
			case ctx.Err() != nil:
				return res, ctx.Err()
			case errors.Is(err, ErrNotEvicted), errors.Is(err, ErrNoDirect) && i == 0:
				res.Skipped = err.Error()
				return res, nil
			case err != nil:
				sides[i].Error = err.Error()
			case rep >= 0:
				sides[i].Samples = append(sides[i].Samples, s)
			}
		}
	}
	res.judge(storageOf(b.Dir))
	if b.oneTwice(c.Devices) {
		res.Doubts = append(res.Doubts, "two of the directories are on one device")
	}
	return res, nil
}

func (r *Runner) warmUp() time.Duration { return min(r.Time/4, 25*time.Millisecond) }

// judge derives everything from the samples. In memory, nothing goes through a ring or is tried in
// the page cache first.
func (res *Result) judge(on storage) {
	for _, s := range res.Sides() {
		s.summarize()
	}
	res.Ratios = ratios(&res.Ring, &res.OS, Sample.OpsPerSecond)
	if len(res.Ratios) > 0 {
		res.Ratio, res.Verdict = median(res.Ratios), verdict(res.Ratios)
	}
	beside := ratios(&res.Ring, &res.OS, func(s Sample) float64 { return s.Beside })
	if len(beside) > 0 {
		res.BesideRatio = median(beside)
		// A gain at the cost of what goes on beside is none.
		if verdict(beside) == Slower && res.Verdict == Faster {
			res.Verdict = Equal
		} else if verdict(beside) == Slower {
			res.Verdict = Slower
		}
	}
	if res.Other != nil {
		res.ToOther = median(ratios(&res.Ring, res.Other, Sample.OpsPerSecond))
	}
	res.Doubts = res.doubts(on)
	res.Disturbance = disturbance(Processors(), res.Sides()...)
}

// ratios returns those of a number of two sides, for each repetition; none if one of them failed.
func ratios(of, to *Side, number func(Sample) float64) (list []float64) {
	if of.Error != "" || to.Error != "" {
		return nil
	}
	for i := range min(len(of.Samples), len(to.Samples)) {
		if base := number(to.Samples[i]); base > 0 {
			list = append(list, number(of.Samples[i])/base)
		}
	}
	return list
}

// Failed tells whether one of the two could not do the cell. Another build may not know it.
func (res *Result) Failed() bool { return res.OS.Error != "" || res.Ring.Error != "" }

// median returns the middle of v, the mean of the two middle ones if there is none.
func median[T cmp.Ordered](v []T) T {
	var zero T
	if len(v) == 0 {
		return zero
	}
	s := slices.Sorted(slices.Values(v))
	if m := len(s) / 2; len(s)%2 == 1 {
		return s[m]
	}
	return mean(s[len(s)/2-1], s[len(s)/2])
}

func mean[T cmp.Ordered](a, b T) T {
	switch a := any(a).(type) {
	case float64:
		return any((a + any(b).(float64)) / 2).(T)
	case time.Duration:
		return any((a + any(b).(time.Duration)) / 2).(T)
	case int:
		return any((a + any(b).(int)) / 2).(T)
	}
	return b
}

func medianOf[T cmp.Ordered](samples []Sample, field func(Sample) T) T {
	v := make([]T, len(samples))
	for i, s := range samples {
		v[i] = field(s)
	}
	return median(v)
}

func (s *Side) summarize() {
	if len(s.Samples) == 0 {
		return
	}
	m := Sample{
		Ops:         medianOf(s.Samples, func(s Sample) int { return s.Ops }),
		P50:         medianOf(s.Samples, func(s Sample) time.Duration { return s.P50 }),
		P99:         medianOf(s.Samples, func(s Sample) time.Duration { return s.P99 }),
		P999:        medianOf(s.Samples, func(s Sample) time.Duration { return s.P999 }),
		CPUMicros:   medianOf(s.Samples, func(s Sample) float64 { return s.CPUMicros }),
		AllocsPerOp: medianOf(s.Samples, func(s Sample) float64 { return s.AllocsPerOp }),
		Others:      medianOf(s.Samples, func(s Sample) float64 { return s.Others }),
		InCache:     medianOf(s.Samples, func(s Sample) float64 { return s.InCache }),
		Beside:      medianOf(s.Samples, func(s Sample) float64 { return s.Beside }),
	}
	// So that the rate of the median is the median of the rates.
	if rate := medianOf(s.Samples, Sample.OpsPerSecond); rate > 0 {
		m.Seconds = float64(m.Ops) / rate
	}
	s.Ops = 0
	for _, x := range s.Samples {
		m.Threads, m.Workers = max(m.Threads, x.Threads), max(m.Workers, x.Workers)
		m.Routes = m.Routes.Plus(x.Routes)
		s.Ops += x.Ops
	}
	s.Median = m
}

// Share returns the share of each route in percent of the operations of the side.
func (s *Side) Share() (cached, ring, blocking float64) {
	if s.Ops == 0 {
		return 0, 0, 0
	}
	f := 100 / float64(s.Ops)
	r := s.Median.Routes
	return f * float64(r.Cached), f * float64(r.Ring), f * float64(r.Blocking)
}

// doubts compares what the counters and the page cache say with what the cell claims.
func (res *Result) doubts(on storage) (d []string) {
	c := res.Cell
	for _, s := range res.Sides() {
		if len(s.Samples) == 0 {
			continue
		}
		in := s.Median.InCache
		switch {
		case in < 0: // not known
		case c.Mode == Cached && in < 0.99:
			d = append(d, fmt.Sprintf("%s: only %.0f %% of the data were in the page cache", s.Name, in*100))
		case c.Mode != Cached && in > 0.01:
			d = append(d, fmt.Sprintf("%s: %.0f %% of the data were in the page cache", s.Name, in*100))
		}
	}
	if len(res.Ring.Samples) == 0 {
		return d
	}
	cached, ring, blocking := res.Ring.Share()
	expect := func(route string, got, want float64) {
		if got < want {
			d = append(d, fmt.Sprintf("routes: %.0f %% of the operations by %s, at least %.0f %% expected", got, route, want))
		}
	}
	switch {
	case !c.Op.routed():
	case on == memory:
		expect("cache or blocking call", cached+blocking, 95) // small reads never wait there: docs/design.md
	case on == copyOnWrite && c.Mode == Direct && c.Op == Mix:
		expect("ring", ring, 70)
		expect("blocking call", blocking, 20)
	case on == copyOnWrite && c.Mode == Direct && (c.Op == RandWrite || c.Op == SeqWrite):
		expect("blocking call", blocking, 95)
	case c.Op == AppendOne: // the write, and a sync if it is not made with those of others
		expect("ring or blocking call", ring+blocking, 100)
	case c.Mode == Direct && c.Op == Append:
		expect("ring or blocking call", ring+blocking, 190) // the write, alone or not, and the sync
	case c.Mode == Direct && c.Op.writes() && c.Goroutines <= 8:
		expect("ring or blocking call", ring+blocking, 95) // writes that are alone: docs/design.md
	case c.Mode != Cached && !c.Op.ownFiles() && !(c.Mode == Cold && c.Op == SeqRead) && c.Goroutines/max(c.Devices, 1) <= 4*runtime.GOMAXPROCS(0)+2:
		expect("ring or blocking call", ring+blocking, 90) // those that are few: docs/design.md
	case c.Mode == Direct:
		expect("ring", ring, 95)
	case c.Op == Append:
		expect("blocking call", blocking, 190) // the write and the sync
	case c.Mode == Cached && (c.Op == RandWrite || c.Op == SeqWrite || c.Op == PosWrite):
		expect("blocking call", blocking, 95)
	case c.Mode == Cached && c.Op == Mix:
		expect("cache or ring", cached+ring, 70) // by ring where a writer's lock is in the way, as on XFS
		expect("blocking call", blocking, 20)
	case c.Mode == Cached:
		expect("cache", cached, 95)
	case c.Mode == Cold && c.Op == RandRead && c.Block >= 64<<10 && c.Goroutines <= 32:
		expect("ring or blocking call", ring+blocking, 90) // large reads that are few: docs/design.md
	case c.Mode == Cold && c.Op == RandRead:
		expect("ring", ring, 90)
	case c.Mode == Cold && c.Op == Mix:
		expect("ring", ring, 65)
	case c.Mode == Cold && c.Op == SeqRead && c.Block >= 256<<10:
		expect("cache or blocking call", cached+blocking, 95) // read ahead, or large: docs/design.md
	case c.Mode == Cold && c.Op == SeqRead:
		expect("cache or ring", cached+ring, 95) // much of it read ahead
	case c.Mode == Cold:
		expect("ring", ring, 90)
	}
	return d
}

// writes reports whether the operation writes to the large file.
func (o Op) writes() bool { return o == RandWrite || o == SeqWrite || o == Mix }

// ownFiles reports whether the operation writes to files of its own.
func (o Op) ownFiles() bool { return o == Append || o == AppendOne || o == PosWrite }

// routed reports whether the operation is one that an engine counts by its route.
func (o Op) routed() bool { return o != Seek && o != Stat }
