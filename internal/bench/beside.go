package bench

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Beside is what else the program does while a cell is measured, with the same implementation.
type Beside string

const (
	Computing Beside = "compute"  // as many goroutines as there are Ps compute without end
	Syncing   Beside = "sync"     // four goroutines append to another file of the same device and sync it
	SyncingAt Beside = "syncaway" // the same, on another device
	SlowReads Beside = "slow"     // reads of a slow device
)

// workStep is the work that counts as one operation of Computing.
const workStep = 100 * time.Microsecond

// besides says what each is: a cell, whose rate is the progress.
var besides = map[Beside]struct {
	title, unit string
	cell        Cell // no goroutines: as many as Ps
	dir         func(*Bench) string
}{
	Computing: {"goroutines that compute, one for each P", "steps of 100 µs of work", Cell{Op: Work}, (*Bench).dir},
	Syncing:   {"syncs on the same device", "appends with a sync", syncCell, (*Bench).dir},
	SyncingAt: {"syncs on another device", "appends with a sync", syncCell, (*Bench).otherDir},
	SlowReads: {"reads of a slow device", "reads of it", Cell{Op: RandRead, Mode: Direct, Block: 4 << 10, Goroutines: 64},
		func(b *Bench) string { return b.Slow }},
}

var syncCell = Cell{Op: AppendOne, Mode: Cached, Block: 4 << 10, Goroutines: 4}

// BesideCells returns the cells beside computing goroutines and beside syncs of the same device.
func BesideCells() []Cell {
	return append(reads(Cell{Mode: Direct, Beside: Computing}, 8, 32, 128), syncCells(Syncing)...)
}

// DeviceCells returns the cells that want n other devices: reads of files spread over one and over all of them, those
// beside reads of a slow device if there is one, and reads beside syncs on the first.
func DeviceCells(n int, slow bool) []Cell {
	cells := reads(Cell{Mode: Direct, Devices: 1}, 64, 512)
	if n > 1 {
		cells = append(cells, reads(Cell{Mode: Direct, Devices: n}, 64, 512)...)
	}
	if slow {
		cells = append(cells, reads(Cell{Mode: Direct, Devices: n, Beside: SlowReads}, 64, 512)...)
	}
	return append(cells, syncCells(SyncingAt)...)
}

func syncCells(b Beside) []Cell {
	return append(reads(Cell{Mode: Direct, Beside: b}, 1, 8, 32, 128), reads(Cell{Mode: Cached, Beside: b}, 1, 32)...)
}

// reads returns c as random reads of 4 KiB by so many goroutines.
func reads(c Cell, goroutines ...int) []Cell {
	c.Op, c.Block = RandRead, 4<<10
	return WithGoroutines([]Cell{c}, goroutines)
}

func (b *Bench) dir() string { return b.Dir }

// otherDir is the first of the directories that is on another device than Dir; empty if none is.
func (b *Bench) otherDir() string {
	for _, dir := range b.Devices {
		if !sameDevice(dir, b.Dir) {
			return dir
		}
	}
	return ""
}

// oneTwice reports whether two of the first n directories are on one device.
func (b *Bench) oneTwice(n int) bool {
	for i, dir := range b.Devices[:n] {
		if slices.ContainsFunc(b.Devices[:i], func(d string) bool { return sameDevice(d, dir) }) {
			return true
		}
	}
	return false
}

// skipBeside returns why the cell cannot be measured here for want of devices; empty if it can.
func (b *Bench) skipBeside(c Cell) string {
	switch {
	case c.Devices > len(b.Devices):
		return fmt.Sprintf("--devices names %d, and it wants %d", len(b.Devices), c.Devices)
	case c.Beside != "" && besides[c.Beside].cell.Op == "":
		return fmt.Sprintf("%q beside a cell is not known", c.Beside)
	case c.Beside != "" && besides[c.Beside].dir(b) == "":
		return "it wants a directory on another device (--devices, --slow)"
	case c.Mode == Direct && slices.ContainsFunc(b.Devices[:c.Devices], func(d string) bool { return storageOf(d) == memory }):
		return "no device: one of the directories is in memory"
	}
	return ""
}

// openBeside makes ready what goes on beside a cell.
func (b *Bench) openBeside(name Beside, useRing bool) (*Session, error) {
	what := besides[name]
	if what.cell.Op == "" || what.dir(b) == "" {
		return nil, errors.New(b.skipBeside(Cell{Beside: name}))
	}
	c := what.cell
	if c.Goroutines == 0 {
		c.Goroutines = runtime.GOMAXPROCS(0)
	}
	return Attach(what.dir(b), slowSize, b.Engine).Open(c, useRing)
}

// less returns the routes without those of what went on beside: n operations, with so many syncs. It takes from the
// route that they are for first, so that what is left never proves more than is true.
func (r Routes) less(beside Op, n, syncs uint64) Routes {
	take := func(from *uint64, n uint64) uint64 {
		n = min(n, *from)
		*from -= n
		return n
	}
	switch beside {
	case AppendOne:
		n += syncs
		n -= take(&r.Blocking, n)
		take(&r.Ring, n)
	case RandRead:
		n -= take(&r.Ring, n)
		take(&r.Blocking, n)
	}
	return r
}

// RatioText returns the ratio, and that of what went on beside.
func (res *Result) RatioText() string {
	s := fmt.Sprintf("%.2f", res.Ratio)
	if res.BesideRatio > 0 {
		s += fmt.Sprintf(", beside it %.2f", res.BesideRatio)
	}
	return s
}

// BesideText says what was done beside the cell, and how much; empty if nothing was.
func (res *Result) BesideText() string {
	if res.Cell.Beside == "" || res.Skipped != "" {
		return ""
	}
	s := fmt.Sprintf("beside it: %s and %s %s per second", Count(res.OS.Median.Beside), Count(res.Ring.Median.Beside), besides[res.Cell.Beside].unit)
	if res.BesideRatio > 0 {
		s += fmt.Sprintf(", ratio %.2f", res.BesideRatio)
	}
	return s
}
