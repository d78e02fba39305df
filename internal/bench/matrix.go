package bench

import (
	"fmt"
	"slices"
	"time"
)

// kind is a row of the matrix: what is done, in which modes.
type kind struct {
	op      Op
	block   int
	compute time.Duration
	modes   []Mode
}

var (
	all      = []Mode{Direct, Cached, Cold}
	buffered = []Mode{Cached, Cold}
	inCache  = []Mode{Cached}         // what a call costs
	written  = []Mode{Direct, Cached} // what only writes does not care what is in the cache

	kinds = []kind{
		{RandRead, 4 << 10, 0, all},
		{RandWrite, 4 << 10, 0, written},
		{RandRead, 64 << 10, 0, all},
		{SeqRead, 1 << 20, 0, all},
		{SeqWrite, 1 << 20, 0, written},
		{Append, 4 << 10, 0, written},
		{AppendOne, 4 << 10, 0, written},
		{Mix, 4 << 10, 0, all},
		{SmallFiles, smallSize, 0, buffered},
		{RandRead, 64, 0, inCache},
		{RandRead, 512, 0, inCache},
		{PosRead, 64, 0, inCache},
		{PosRead, 512, 0, inCache},
		{PosRead, 4 << 10, 0, inCache},
		{PosWrite, 64, 0, inCache},
		{PosWrite, 512, 0, inCache},
		{PosWrite, 4 << 10, 0, inCache},
		{Seek, 0, 0, inCache},
		{Stat, 0, 0, inCache},
		{RandRead, 4 << 10, 10 * time.Microsecond, all},
		{RandRead, 4 << 10, 50 * time.Microsecond, all},
		{RandRead, 4 << 10, 200 * time.Microsecond, all},
	}
)

// Goroutines are the numbers of goroutines of the full matrix.
var Goroutines = []int{1, 2, 4, 8, 32, 128, 1024, 10_000}

// Left are the combinations that the matrix leaves out, in words.
var Left = []string{
	"cold + random write, sequential write, append: a write of whole pages does not ask what was in the cache",
	"direct + small files: they are opened, read and closed as a program would do it, through the page cache",
	"append, read and write at the position, seek and stat with 10,000 goroutines: each has a file of its own; append to one file with as many: " +
		"os.File could want more threads than Go allows",
	"cells whose buffers would need more than 256 MiB: 64 KiB with 10,000 goroutines, 1 MiB with 1,024 and more",
	"sequential cells in which a goroutine's part of the file would be less than two blocks",
	"direct and cold on tmpfs and ramfs, which have no device and where nothing can be evicted",
}

const maxBuffers = 256 << 20

// Full returns every cell of the matrix that makes sense for some file, in the order of the table.
func Full() []Cell {
	var cells []Cell
	for _, k := range kinds {
		for _, m := range k.modes {
			for _, g := range Goroutines {
				c := Cell{Op: k.op, Mode: m, Block: k.block, Goroutines: g, Compute: k.compute}
				if c.fits() {
					cells = append(cells, c)
				}
			}
		}
	}
	return cells
}

// fits tells whether the cell is in the matrix at all; see Left.
func (c Cell) fits() bool {
	few := c.Op.ownFiles() || c.Op == PosRead || c.Op == Seek || c.Op == Stat
	return int64(c.Block)*int64(c.Goroutines) <= maxBuffers && (!few || c.Goroutines <= 1024)
}

// Quick returns the cells that answer whether ringfile pays on this machine.
func Quick() []Cell {
	pick := func(op Op, m Mode, block int, compute time.Duration, goroutines ...int) (cells []Cell) {
		for _, g := range goroutines {
			cells = append(cells, Cell{Op: op, Mode: m, Block: block, Goroutines: g, Compute: compute})
		}
		return cells
	}
	return slices.Concat(
		pick(RandRead, Direct, 4<<10, 0, 1, 8, 32, 128, 1024, 10_000),
		pick(RandRead, Cached, 4<<10, 0, 1, 32),
		pick(RandRead, Cold, 4<<10, 0, 1, 32, 1024),
		pick(RandWrite, Direct, 4<<10, 0, 1, 128),
		pick(RandWrite, Cached, 4<<10, 0, 32),
		pick(RandRead, Direct, 64<<10, 0, 32),
		pick(SeqRead, Direct, 1<<20, 0, 8),
		pick(SeqRead, Cold, 1<<20, 0, 8),
		pick(SeqWrite, Direct, 1<<20, 0, 8),
		pick(Append, Cached, 4<<10, 0, 1, 32),
		pick(Mix, Direct, 4<<10, 0, 32, 1024),
		pick(SmallFiles, Cached, smallSize, 0, 32),
		pick(SmallFiles, Cold, smallSize, 0, 32),
		pick(RandRead, Direct, 4<<10, 10*time.Microsecond, 32),
		pick(RandRead, Direct, 4<<10, 200*time.Microsecond, 32),
	)
}

// WithGoroutines returns the cells with other numbers of goroutines.
func WithGoroutines(cells []Cell, goroutines []int) []Cell {
	var out []Cell
	for _, c := range cells {
		for _, g := range goroutines {
			c.Goroutines = g
			if c.fits() && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	// The order of the table: by what comes before the number of goroutines, as it was.
	return out
}

// storage is what is behind the files of a file system.
type storage uint8

const (
	device      storage = iota
	memory              // there is nothing to wait for, and O_DIRECT and eviction mean nothing
	copyOnWrite         // a device, on which nothing is written over: direct writes are never for the ring
)

// Skip returns why the cell makes no sense with the files of b; empty if it does.
func (b *Bench) Skip(c Cell) string {
	if why := b.skipBeside(c); why != "" {
		return why
	}
	switch {
	case storageOf(b.Dir) == memory && c.Mode == Direct:
		return "no device: the file system is in memory and ignores O_DIRECT"
	case storageOf(b.Dir) == memory && c.Mode == Cold:
		return "no device: the file system is in memory and nothing can be evicted"
	case (c.Op == SeqRead || c.Op == SeqWrite) && b.region(c)/int64(c.Block)/int64(c.Goroutines) < 2:
		return fmt.Sprintf("the file is too small: parts of less than two blocks for %s", Plural(c.Goroutines, "goroutine"))
	case !c.Op.ownFiles() && c.Op != SmallFiles && b.region(c) < int64(c.Block):
		return "the file is smaller than a block"
	}
	return ""
}

// Title says what a cell does, without mode and goroutines.
func (c Cell) Title() string {
	var s string
	switch c.Op {
	case RandRead:
		s = "random read " + sizeTitle(c.Block)
	case RandWrite:
		s = "random write " + sizeTitle(c.Block)
	case SeqRead:
		s = "sequential read " + sizeTitle(c.Block)
	case PosRead:
		s = "read at the position " + sizeTitle(c.Block)
	case PosWrite:
		s = "write at the position " + sizeTitle(c.Block)
	case Seek, Stat:
		s = string(c.Op)
	case SeqWrite:
		s = "sequential write " + sizeTitle(c.Block)
	case Append:
		s = "append " + sizeTitle(c.Block) + " + fdatasync"
	case AppendOne:
		s = "append " + sizeTitle(c.Block) + " + fdatasync, one file"
	case Mix:
		s = "75/25 random mix " + sizeTitle(c.Block)
	case SmallFiles:
		s = "open + read + close " + sizeTitle(c.Block)
	default:
		s = string(c.Op)
	}
	if c.Compute > 0 {
		s += fmt.Sprintf(", %d µs of work", c.Compute.Microseconds())
	}
	if c.Devices > 0 {
		s += fmt.Sprintf(", %d files on %s", spreadCount, Plural(c.Devices, "device"))
	}
	if c.Beside != "" {
		s += ", beside " + besides[c.Beside].title
	}
	return s
}

func sizeTitle(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// Title says in words what the mode is.
func (m Mode) Title() string {
	switch m {
	case Direct:
		return "O_DIRECT"
	case Cached:
		return "in page cache"
	case Cold:
		return "cold buffered"
	}
	return string(m)
}
