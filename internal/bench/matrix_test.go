package bench

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMatrixIsWhatWasAsked(t *testing.T) {
	cells := Full()
	has := func(f func(Cell) bool) bool { return slices.ContainsFunc(cells, f) }
	for _, op := range []Op{RandRead, RandWrite, SeqRead, SeqWrite, PosRead, PosWrite, Seek, Stat, Append, AppendOne, Mix, SmallFiles} {
		for _, g := range []int{1, 2, 4, 8, 32, 128} {
			if !has(func(c Cell) bool { return c.Op == op && c.Goroutines == g }) {
				t.Errorf("no %s with %d goroutines", op, g)
			}
		}
	}
	for _, m := range []Mode{Direct, Cached, Cold} {
		for _, work := range []time.Duration{0, 10 * time.Microsecond, 50 * time.Microsecond, 200 * time.Microsecond} {
			if !has(func(c Cell) bool { return c.Mode == m && c.Compute == work && c.Goroutines == 10_000 }) {
				t.Errorf("no %s with %v of work and 10,000 goroutines", m, work)
			}
		}
	}
	seen := map[string]bool{}
	for _, c := range cells {
		if seen[c.String()] {
			t.Errorf("%s is there twice", c)
		}
		seen[c.String()] = true
		if !c.fits() {
			t.Errorf("%s does not fit", c)
		}
	}
	for _, c := range Quick() {
		if !seen[c.String()] {
			t.Errorf("%s is in the quick run but not in the full one", c)
		}
	}
}

func TestWithGoroutines(t *testing.T) {
	got := WithGoroutines([]Cell{
		{Op: Append, Mode: Cached, Block: 4096, Goroutines: 1},
		{Op: Append, Mode: Cached, Block: 4096, Goroutines: 2},
		{Op: SeqRead, Mode: Cached, Block: 1 << 20, Goroutines: 2},
	}, []int{3, 5000})
	want := []Cell{
		{Op: Append, Mode: Cached, Block: 4096, Goroutines: 3},
		{Op: SeqRead, Mode: Cached, Block: 1 << 20, Goroutines: 3},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCellNames(t *testing.T) {
	c := Cell{Op: RandRead, Mode: Cold, Block: 4096, Goroutines: 32, Compute: 50 * time.Microsecond}
	if got, want := c.String(), "op=randread/mode=cold/size=4k/goroutines=32/compute=50us"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, c := range Full() {
		if title := c.Title(); c.Op.routed() && (!strings.Contains(title, "B") || title == string(c.Op)) {
			t.Errorf("%s has the title %q", c, title)
		}
	}
}

func TestSkip(t *testing.T) {
	b := &Bench{Dir: t.TempDir(), Size: 16 << 20}
	for _, c := range []struct {
		cell Cell
		skip bool
	}{
		{Cell{Op: SeqRead, Mode: Cached, Block: 1 << 20, Goroutines: 8}, false},
		{Cell{Op: SeqRead, Mode: Cached, Block: 1 << 20, Goroutines: 9}, true},
		{Cell{Op: SeqRead, Mode: Cached, Block: 9 << 20, Goroutines: 1}, true},
		{Cell{Op: RandRead, Mode: Cached, Block: 32 << 20, Goroutines: 1}, true},
		{Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 10_000}, false},
		{Cell{Op: RandRead, Mode: Direct, Block: 4096, Goroutines: 1}, storageOf(b.Dir) == memory},
		{Cell{Op: RandRead, Mode: Cold, Block: 4096, Goroutines: 1}, storageOf(b.Dir) == memory},
	} {
		if why := b.Skip(c.cell); (why != "") != c.skip || strings.Contains(why, " 1 goroutines") {
			t.Errorf("%s: got %q, want a reason: %v", c.cell, why, c.skip)
		}
	}
}

// A step leads through all units before it comes back to the first.
func TestStride(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 4, 10, 97, 1000, 2000, 4096, 65536} {
		seen := make([]bool, n)
		step := strideOf(n)
		for i := range n {
			at := (5 + i*step) % n
			if seen[at] {
				t.Fatalf("of %d units, unit %d comes twice", n, at)
			}
			seen[at] = true
		}
	}
}
