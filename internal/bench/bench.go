// Package bench measures the same work with os.File and with ringfile. bench_test.go and "ringfile
// bench" run it.
//
// The two take turns, in short pieces, on the same files with the same number of goroutines, so that
// other activity on the machine affects both; a ratio is the median of the ratios of neighbouring
// pieces. "ringfile bench" runs each in a process of its own, so that CPU time, threads and allocations
// are those of one implementation.
package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/ringfile/ringfile"
)

// Op is what is measured.
type Op string

const (
	RandRead   Op = "randread"  // reads at random offsets
	RandWrite  Op = "randwrite" // writes at random offsets
	SeqRead    Op = "seqread"   // each goroutine reads its own part in order
	PosRead    Op = "posread"   // each goroutine reads a file of its own at the position, in order
	PosWrite   Op = "poswrite"  // each goroutine writes a small file of its own at the position, over and over
	Seek       Op = "seek"      // each goroutine moves the position of a file of its own
	Stat       Op = "stat"      // each goroutine asks for the FileInfo of a file of its own
	SeqWrite   Op = "seqwrite"  // each goroutine writes its own part in order
	Append     Op = "append"    // append and fdatasync, a file for each goroutine
	AppendOne  Op = "appendone" // append and fdatasync, one file for all
	Mix        Op = "mix7525"   // three random reads for each random write
	SmallFiles Op = "smallfile" // open, read, close of a small file
	Work       Op = "work"      // no I/O: what computes beside a cell
)

// Mode is where the data is.
type Mode string

const (
	Direct Mode = "direct" // O_DIRECT
	Cached Mode = "cached" // in the page cache
	Cold   Mode = "cold"   // buffered, evicted before each piece
)

// Cell is one case of the matrix.
type Cell struct {
	Op         Op            `json:"op"`
	Mode       Mode          `json:"mode"`
	Block      int           `json:"block"` // bytes of a transfer
	Goroutines int           `json:"goroutines"`
	Compute    time.Duration `json:"compute_ns,omitempty"` // work of the goroutine between two transfers
	Beside     Beside        `json:"beside,omitempty"`     // what else goes on
	Devices    int           `json:"devices,omitempty"`    // on which the files are spread; zero: it is one file, on that of Dir
}

// String names the cell as Go benchmarks are named.
func (c Cell) String() string {
	s := fmt.Sprintf("op=%s/mode=%s/size=%s/goroutines=%d", c.Op, c.Mode, Size(c.Block), c.Goroutines)
	if c.Compute > 0 {
		s += fmt.Sprintf("/compute=%dus", c.Compute.Microseconds())
	}
	if c.Devices > 0 {
		s += fmt.Sprintf("/devices=%d", c.Devices)
	}
	if c.Beside != "" {
		s += "/beside=" + string(c.Beside)
	}
	return s
}

// Size returns n bytes in short.
func Size(n int) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return strconv.Itoa(n>>30) + "G"
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "M"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "k"
	}
	return strconv.Itoa(n)
}

// Sample is what one piece of measuring gave.
type Sample struct {
	Ops         int           `json:"ops"`
	Seconds     float64       `json:"seconds"`
	P50         time.Duration `json:"p50_ns"`
	P99         time.Duration `json:"p99_ns"`
	P999        time.Duration `json:"p999_ns"`
	CPUMicros   float64       `json:"cpu_us_per_op"` // user and system time of the process
	AllocsPerOp float64       `json:"allocs_per_op"`
	Threads     int           `json:"threads"` // most threads of the process at a time, kernel workers among them
	Workers     int           `json:"workers"` // kernel workers (io-wq) among them
	Routes      Routes        `json:"routes"`
	Others      float64       `json:"other_processors"`       // that were busy with something else, on average; 0 if not known
	InCache     float64       `json:"in_cache"`               // share of the data in the page cache before the piece; -1 if not known
	Beside      float64       `json:"beside_per_s,omitempty"` // what went on beside, operations per second
}

// Routes proves which way operations went.
type Routes struct {
	Cached   uint64 `json:"cached"`
	Ring     uint64 `json:"ring"`
	Blocking uint64 `json:"blocking"`
}

// OpsPerSecond is the rate of the sample.
func (s Sample) OpsPerSecond() float64 {
	if s.Seconds == 0 {
		return 0
	}
	return float64(s.Ops) / s.Seconds
}

// Bench has the files of a directory to measure on.
type Bench struct {
	Dir    string
	Size   int64            // of the large file
	Engine *ringfile.Engine // may be nil if only os.File is measured

	// Directories on other devices, for the cells that want them; AddDevices makes them.
	Devices []string
	Slow    string

	data  string   // the large file
	small []string // small files
	owner bool     // Close removes the files
}

const (
	smallCount = 2000
	smallSize  = 4096

	// cachedRegion bounds what is used of the large file in the mode Cached: more would not make
	// it more cached, but would have to be written back after each piece of writing.
	cachedRegion = 128 << 20

	spreadCount = 64       // files on several devices
	slowSize    = 16 << 20 // of the file on a slow device

	posWriteSize = 256 << 10 // of the file of a goroutine
)

// New makes the files in dir; Close removes them.
func New(dir string, size int64, e *ringfile.Engine) (*Bench, error) {
	return Create(dir, size, e, func(int64) error { return nil })
}

// Create is New with a function that hears of each megabyte written and can end it.
func Create(dir string, size int64, e *ringfile.Engine, wrote func(n int64) error) (*Bench, error) {
	tmp, err := os.MkdirTemp(dir, "ringfile-bench-")
	if err != nil {
		return nil, err
	}
	b := Attach(tmp, size, e)
	b.owner = true
	if err := b.fill(wrote); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Attach uses the files that Create has made: dir is its Dir.
func Attach(dir string, size int64, e *ringfile.Engine) *Bench {
	b := &Bench{Dir: dir, Size: size, Engine: e, data: filepath.Join(dir, "data")}
	for i := range smallCount {
		b.small = append(b.small, filepath.Join(dir, "small"+strconv.Itoa(i)))
	}
	return b
}

// AddDevices makes directories in dirs, which are to be on other devices, and in slow, if it is not empty. Close removes them.
func (b *Bench) AddDevices(dirs []string, slow string) error {
	for _, dir := range dirs {
		tmp, err := os.MkdirTemp(dir, "ringfile-bench-")
		if err != nil {
			return err
		}
		b.Devices = append(b.Devices, tmp)
	}
	if slow == "" {
		return nil
	}
	var err error
	if b.Slow, err = os.MkdirTemp(slow, "ringfile-bench-"); err != nil {
		return err
	}
	return Attach(b.Slow, slowSize, nil).fill(func(int64) error { return nil })
}

// spreadNames are the files of a cell on n devices, in turns.
func (b *Bench) spreadNames(n int) (names []string) {
	for i := range spreadCount {
		names = append(names, filepath.Join(b.Devices[i%n], "spread"+strconv.Itoa(i)))
	}
	return names
}

// makeSpread makes those that there are not yet: together they are as large as the large file.
func (b *Bench) makeSpread(names []string) error {
	size := max(b.Size/spreadCount&^4095, 4096)
	for _, name := range names {
		if fi, err := os.Stat(name); err == nil && fi.Size() == size {
			continue
		}
		f := Bench{Size: size, data: name}
		if err := f.fill(func(int64) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// Data is the name of the large file.
func (b *Bench) Data() string { return b.data }

// Close removes the files if this Bench has made them.
func (b *Bench) Close() error {
	if !b.owner {
		return nil
	}
	err := os.RemoveAll(b.Dir)
	for _, dir := range append(b.Devices, b.Slow) {
		if dir != "" {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

func (b *Bench) fill(wrote func(n int64) error) error {
	f, err := os.Create(b.data)
	if err != nil {
		return err
	}
	defer f.Close()
	chunk := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{})
	for off := int64(0); off < b.Size; off += int64(len(chunk)) {
		rng.Read(chunk) // no device compresses or deduplicates it away
		n, err := f.WriteAt(chunk[:min(int64(len(chunk)), b.Size-off)], off)
		if err != nil {
			return err
		}
		if err := wrote(int64(n)); err != nil {
			return err
		}
	}
	return f.Sync()
}

// makeSmall makes the small files if there are none yet.
func (b *Bench) makeSmall() error {
	if _, err := os.Stat(b.small[len(b.small)-1]); err == nil {
		return nil
	}
	content := make([]byte, smallSize)
	rand.NewChaCha8([32]byte{}).Read(content)
	for _, name := range b.small {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	// What is not written back cannot be evicted.
	f, err := os.Open(b.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncFileSystem(f)
}

// ErrNotEvicted says that data stayed in the page cache although they were to be evicted.
var ErrNotEvicted = errors.New("the data cannot be evicted from the page cache")

// ErrNoDirect says that the file system refuses O_DIRECT.
var ErrNoDirect = errors.New("the file system refuses O_DIRECT with blocks of this size")

// refusal returns ErrNoDirect for the error that a file system without O_DIRECT gives.
func refusal(c Cell, err error) error {
	if c.Mode == Direct && (errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)) {
		return ErrNoDirect
	}
	return err
}

// region is the part of the large file that the cell uses.
func (b *Bench) region(c Cell) int64 {
	if c.Mode == Cached {
		return min(b.Size, cachedRegion)
	}
	return b.Size
}

// prepare puts the data where the mode wants it and returns the share that is in the page cache, -1
// if the system does not tell.
func (b *Bench) prepare(c Cell) (inCache float64, err error) {
	switch c.Op {
	case Append, AppendOne, PosWrite:
		return -1, nil
	case SmallFiles:
		return b.prepareSmall(c)
	}
	if c.Devices > 0 {
		return -1, nil // nothing has gone through the page cache since they were made
	}
	f, err := os.Open(b.data)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	// What the piece before has written goes to the device first, and not during this one.
	if err := datasync(f); err != nil {
		return -1, err
	}
	region := b.region(c)
	switch c.Mode {
	case Direct:
		evict(f)
		return inCacheShare(f, region), nil
	case Cold:
		if err := evict(f); err != nil {
			return -1, fmt.Errorf("%w: %v", ErrNotEvicted, err)
		}
		inCache = inCacheShare(f, region)
		if inCache > 0.1 {
			return inCache, ErrNotEvicted
		}
		return inCache, nil
	}
	if inCache = inCacheShare(f, region); inCache < 1 {
		buf := make([]byte, 1<<20)
		for off := int64(0); off < region; off += int64(len(buf)) {
			if _, err := f.ReadAt(buf[:min(int64(len(buf)), region-off)], off); err != nil {
				return inCache, err
			}
		}
		inCache = inCacheShare(f, region)
	}
	return inCache, nil
}

func (b *Bench) prepareSmall(c Cell) (inCache float64, err error) {
	buf := make([]byte, smallSize)
	for i, name := range b.small {
		f, err := os.Open(name)
		if err != nil {
			return -1, err
		}
		if c.Mode == Cold {
			err = evict(f)
		} else {
			_, err = f.Read(buf)
		}
		if i == 0 && err == nil {
			inCache = inCacheShare(f, smallSize)
		}
		f.Close()
		if err != nil {
			return -1, err
		}
	}
	if c.Mode == Cold && inCache > 0.1 {
		return inCache, ErrNotEvicted
	}
	return inCache, nil
}

// Run measures one piece of a cell, of at least d, with ringfile or with os.File.
func (b *Bench) Run(c Cell, useRing bool, d time.Duration) (Sample, error) {
	s, err := b.Open(c, useRing)
	if err != nil {
		return Sample{}, err
	}
	defer s.Close()
	return s.Piece(Limit{Time: d})
}
