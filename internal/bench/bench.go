// Package bench measures one and the same work with os.File and with ringfile. It is what
// bench_test.go and "ringfile bench" run.
//
// The two take turns, in short pieces, on the same files with the same number of goroutines, so
// that what the machine does meanwhile hits both; a ratio is the median of the ratios of
// neighbouring pieces.
package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
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
	SeqWrite   Op = "seqwrite"  // each goroutine writes its own part in order
	Append     Op = "append"    // append 4 KiB and fdatasync, a file for each goroutine
	Mix        Op = "mix7525"   // three random reads for each random write
	SmallFiles Op = "smallfile" // open, read, close of a small file
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
	Op         Op
	Mode       Mode
	Block      int           // bytes of a transfer
	Goroutines int           //
	Compute    time.Duration // work of the goroutine between two transfers
}

// String names the cell as Go benchmarks are named.
func (c Cell) String() string {
	s := fmt.Sprintf("op=%s/mode=%s/block=%s/goroutines=%d", c.Op, c.Mode, size(c.Block), c.Goroutines)
	if c.Compute > 0 {
		s += "/compute=" + c.Compute.String()
	}
	return s
}

func size(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "M"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "k"
	}
	return strconv.Itoa(n)
}

// file is what both implementations have.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.ReadWriteCloser
	Datasync() error
}

// impl opens files one way or the other.
type impl interface {
	open(name string, flag int) (file, error)
	// readSmall opens, reads to the end and closes.
	readSmall(name string, buf []byte) (int, error)
}

type osImpl struct{}

type osFile struct{ *os.File }

func (f osFile) Datasync() error { return datasync(f.File) }

func (osImpl) open(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o644)
	return osFile{f}, err
}

func (osImpl) readSmall(name string, buf []byte) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Read(buf)
}

type ringImpl struct{ e *ringfile.Engine }

func (r ringImpl) open(name string, flag int) (file, error) { return r.e.OpenFile(name, flag, 0o644) }

func (r ringImpl) readSmall(name string, buf []byte) (int, error) {
	f, err := r.e.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Read(buf)
}

// Sample is what one piece of measuring gave.
type Sample struct {
	Ops            int
	Seconds        float64
	P50, P99, P999 time.Duration
	CPUMicros      float64 // user and system time of the process for each operation
	AllocsPerOp    float64
	Threads        int // most threads of the process at a time, kernel workers among them
	Workers        int // most kernel workers (io-wq) at a time
	Roads          Roads
}

// Roads proves which way operations went.
type Roads struct{ Cached, Ring, Blocking uint64 }

// OpsPerSecond is the rate of the sample.
func (s Sample) OpsPerSecond() float64 { return float64(s.Ops) / s.Seconds }

// Bench has the files of a directory to measure on.
type Bench struct {
	Dir    string
	Size   int64 // of the large file
	Engine *ringfile.Engine

	data  string   // the large file
	small []string // small files
}

const (
	smallCount = 2000
	smallSize  = 4096
)

// New makes the files in dir; Close removes them.
func New(dir string, size int64, e *ringfile.Engine) (*Bench, error) {
	tmp, err := os.MkdirTemp(dir, "ringfile-bench-")
	if err != nil {
		return nil, err
	}
	b := &Bench{Dir: tmp, Size: size, Engine: e, data: filepath.Join(tmp, "data")}
	if err := b.fill(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close removes the files.
func (b *Bench) Close() error { return os.RemoveAll(b.Dir) }

func (b *Bench) fill() error {
	f, err := os.Create(b.data)
	if err != nil {
		return err
	}
	defer f.Close()
	chunk := make([]byte, 1<<20)
	var seed [32]byte
	rng := rand.NewChaCha8(seed)
	for off := int64(0); off < b.Size; off += int64(len(chunk)) {
		rng.Read(chunk) // no device compresses or deduplicates it away
		if _, err := f.WriteAt(chunk[:min(int64(len(chunk)), b.Size-off)], off); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	for i := range smallCount {
		name := filepath.Join(b.Dir, "small"+strconv.Itoa(i))
		if err := os.WriteFile(name, chunk[:smallSize], 0o644); err != nil {
			return err
		}
		b.small = append(b.small, name)
	}
	return nil
}

// Run measures one piece of a cell, of at least d, with ringfile or with os.File.
func (b *Bench) Run(c Cell, useRing bool, d time.Duration) (Sample, error) {
	var im impl = osImpl{}
	if useRing {
		im = ringImpl{b.Engine}
	}
	if err := b.prepare(c); err != nil {
		return Sample{}, err
	}
	work, done, err := b.worker(c, im)
	if err != nil {
		return Sample{}, err
	}
	defer done()
	return b.measure(c, work, d)
}

// prepare puts the data where the mode wants it.
func (b *Bench) prepare(c Cell) error {
	f, err := os.Open(b.data)
	if err != nil {
		return err
	}
	defer f.Close()
	switch c.Mode {
	case Cold:
		return evict(f, b.small)
	case Cached:
		_, err = io.Copy(io.Discard, f)
	}
	return err
}

// task does the operation number i of goroutine g.
type task func(g, i int, rng *rand.Rand, buf []byte) error

// worker returns the work of a cell.
func (b *Bench) worker(c Cell, im impl) (task, func(), error) {
	flag := os.O_RDWR
	if c.Mode == Direct {
		flag |= oDirect
	}
	if c.Op == SmallFiles {
		return func(g, i int, rng *rand.Rand, buf []byte) error {
			_, err := im.readSmall(b.small[rng.IntN(len(b.small))], buf)
			return err
		}, func() {}, nil
	}
	if c.Op == Append {
		return b.appender(c, im, flag)
	}
	f, err := im.open(b.data, flag)
	if err != nil {
		return nil, nil, err
	}
	blocks := b.Size / int64(c.Block)
	part := max(blocks/int64(c.Goroutines), 1)
	random := func(rng *rand.Rand) int64 { return rng.Int64N(blocks) * int64(c.Block) }
	next := func(g, i int) int64 {
		return (int64(g)*part + int64(i)%part) % blocks * int64(c.Block)
	}
	read := func(buf []byte, off int64) error { _, err := f.ReadAt(buf, off); return err }
	write := func(buf []byte, off int64) error { _, err := f.WriteAt(buf, off); return err }
	var t task
	switch c.Op {
	case RandRead:
		t = func(g, i int, rng *rand.Rand, buf []byte) error { return read(buf, random(rng)) }
	case RandWrite:
		t = func(g, i int, rng *rand.Rand, buf []byte) error { return write(buf, random(rng)) }
	case SeqRead:
		t = func(g, i int, rng *rand.Rand, buf []byte) error { return read(buf, next(g, i)) }
	case SeqWrite:
		t = func(g, i int, rng *rand.Rand, buf []byte) error { return write(buf, next(g, i)) }
	case Mix:
		t = func(g, i int, rng *rand.Rand, buf []byte) error {
			if rng.IntN(4) == 0 {
				return write(buf, random(rng))
			}
			return read(buf, random(rng))
		}
	default:
		f.Close()
		return nil, nil, fmt.Errorf("unknown operation %q", c.Op)
	}
	return t, func() { f.Close() }, nil
}

func (b *Bench) appender(c Cell, im impl, flag int) (task, func(), error) {
	files := make([]file, c.Goroutines)
	done := func() {
		for i, f := range files {
			if f != nil {
				f.Close()
				os.Remove(filepath.Join(b.Dir, "log"+strconv.Itoa(i)))
			}
		}
	}
	for i := range files {
		f, err := im.open(filepath.Join(b.Dir, "log"+strconv.Itoa(i)), flag|os.O_CREATE|os.O_TRUNC|os.O_APPEND)
		if err != nil {
			done()
			return nil, nil, err
		}
		files[i] = f
	}
	return func(g, i int, rng *rand.Rand, buf []byte) error {
		if _, err := files[g].Write(buf); err != nil {
			return err
		}
		return files[g].Datasync()
	}, done, nil
}

// measure runs work in c.Goroutines goroutines for d, and until each has done one operation.
func (b *Bench) measure(c Cell, work task, d time.Duration) (Sample, error) {
	var stop atomic.Bool
	var failed atomic.Pointer[error]
	fail := func(err error) { failed.CompareAndSwap(nil, &err) }
	var ready, finished sync.WaitGroup
	start := make(chan struct{})
	// Goroutines share histograms: 10,000 of their own would not fit the cache, and the first
	// touch of their memory would be measured.
	groups := min(c.Goroutines, 16)
	hists := make([]hist, groups)
	locks := make([]sync.Mutex, groups)
	counts := make([]int, c.Goroutines)
	for g := range c.Goroutines {
		ready.Add(1)
		finished.Add(1)
		go func() {
			defer finished.Done()
			rng := rand.New(rand.NewPCG(uint64(g), uint64(time.Now().UnixNano())))
			buf := ringfile.AlignedBuffer(c.Block, 4096)
			clear(buf)
			ready.Done()
			<-start
			h, mu := &hists[g%groups], &locks[g%groups]
			for i := 0; i == 0 || !stop.Load(); i++ {
				t0 := time.Now()
				if err := work(g, i, rng, buf); err != nil && err != io.EOF {
					fail(err)
					return
				}
				took := time.Since(t0)
				mu.Lock()
				h.add(took)
				mu.Unlock()
				counts[g]++
				compute(c.Compute)
			}
		}()
	}
	ready.Wait()
	runtime.GC()
	threads := watchThreads()
	before := b.roads()
	var mem0, mem1 runtime.MemStats
	runtime.ReadMemStats(&mem0)
	cpu0, t0 := cpuTime(), time.Now()
	close(start)
	time.Sleep(d)
	stop.Store(true)
	finished.Wait()
	took, cpu := time.Since(t0), cpuTime()-cpu0
	runtime.ReadMemStats(&mem1)
	s := Sample{Seconds: took.Seconds()}
	s.Threads, s.Workers = threads()
	if err := failed.Load(); err != nil {
		return s, *err
	}
	all := new(hist)
	for i := range hists {
		all.merge(&hists[i])
	}
	for _, n := range counts {
		s.Ops += n
	}
	s.P50, s.P99, s.P999 = all.quantile(0.5), all.quantile(0.99), all.quantile(0.999)
	s.CPUMicros = float64(cpu.Nanoseconds()) / 1e3 / float64(s.Ops)
	s.AllocsPerOp = float64(mem1.Mallocs-mem0.Mallocs) / float64(s.Ops)
	s.Roads = b.roads().minus(before)
	return s, nil
}

func (b *Bench) roads() Roads {
	st := b.Engine.Stats()
	return Roads{st.Cached, st.Ring, st.Blocking}
}

func (r Roads) minus(o Roads) Roads {
	return Roads{r.Cached - o.Cached, r.Ring - o.Ring, r.Blocking - o.Blocking}
}

// compute keeps the processor busy for d.
func compute(d time.Duration) {
	if d > 0 {
		for t0 := time.Now(); time.Since(t0) < d; {
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
