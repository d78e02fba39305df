package bench

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/cputime"
)

// file is what both implementations have.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.ReadWriteCloser
	io.Seeker
	Stat() (fs.FileInfo, error)
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
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
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

func (r ringImpl) open(name string, flag int) (file, error) {
	f, err := r.e.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r ringImpl) readSmall(name string, buf []byte) (int, error) {
	f, err := r.e.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Read(buf)
}

// Session is a cell made ready for one implementation: its files are open. It is used by one
// goroutine at a time.
type Session struct {
	b      *Bench
	cell   Cell
	impl   impl
	task   task
	done   func()
	beside *Session // nil: nothing goes on beside
	bufs   [][]byte
	pieces uint64
	spin   uint64 // iterations of the work between two transfers

	// Cold data may be read once in a piece: visit gives out each of units in turn.
	units, stride, first uint64
	visited              atomic.Uint64
}

// Limit ends a piece: after some time, after a number of operations or, if the data are cold, when
// they have been read once; whatever is first.
type Limit struct {
	Time          time.Duration // zero: no limit
	Ops           int           // zero: no limit
	Started, Done func()        // called when the clock starts and stops; may be nil
}

// Open makes the cell ready for ringfile or for os.File.
func (b *Bench) Open(c Cell, useRing bool) (*Session, error) {
	s := &Session{b: b, cell: c, impl: osImpl{}, done: func() {}}
	if useRing {
		s.impl = ringImpl{b.Engine}
	}
	flag := os.O_RDWR
	if c.Mode == Direct {
		if oDirect == 0 {
			return nil, ErrNoDirect
		}
		flag |= oDirect
	}
	if c.Compute > 0 {
		s.spin = uint64(SpinsPerMicro() * float64(c.Compute) / 1e3)
	}
	var err error
	switch c.Op {
	case SmallFiles:
		if err := b.makeSmall(); err != nil {
			return nil, err
		}
		s.units = uint64(len(b.small))
		s.task = func(g, i int, rng *rand.Rand, buf []byte) error {
			_, err := s.impl.readSmall(b.small[s.unit(rng)], buf)
			return err
		}
	case Append, AppendOne, PosWrite:
		err = s.writer(flag)
	case PosRead, Seek, Stat:
		err = s.reader(flag)
	case Work:
		rounds := uint64(SpinsPerMicro() * float64(workStep.Microseconds()))
		s.task = func(int, int, *rand.Rand, []byte) error { compute(rounds); return nil }
	default:
		if c.Devices > 0 {
			err = s.spread(flag)
		} else {
			err = s.transfers(flag)
		}
	}
	if err != nil {
		return nil, refusal(c, err)
	}
	if c.Beside != "" {
		if s.beside, err = b.openBeside(c.Beside, useRing); err != nil {
			s.Close()
			return nil, err
		}
	}
	s.stride = strideOf(s.units)
	for range c.Goroutines {
		buf := ringfile.AlignedBuffer(max(c.Block, 1), 4096)
		clear(buf) // touch the memory now
		s.bufs = append(s.bufs, buf)
	}
	return s, nil
}

// Close closes the files.
func (s *Session) Close() error {
	s.done()
	if s.beside != nil {
		s.beside.done()
	}
	return nil
}

// strideOf returns a step that leads through all of n units, far from one to the next.
func strideOf(n uint64) uint64 {
	if n < 2 {
		return 1
	}
	step := n * 618 / 1000
	for gcd(max(step, 1), n) != 1 {
		step++
	}
	return max(step, 1)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// unit chooses what is to be transferred next: at random, or what has not been yet if data are cold.
func (s *Session) unit(rng *rand.Rand) uint64 {
	if s.cell.Mode != Cold {
		return rng.Uint64N(s.units)
	}
	return (s.first + s.visited.Add(1)*s.stride) % s.units
}

// task does the operation number i of goroutine g.
type task func(g, i int, rng *rand.Rand, buf []byte) error

// transfers makes the task of the cells that work on the large file.
func (s *Session) transfers(flag int) error {
	f, err := s.impl.open(s.b.data, flag)
	if err != nil {
		return err
	}
	c := s.cell
	s.done = func() { f.Close() }
	s.units = uint64(s.b.region(c)) / uint64(c.Block)
	if s.units == 0 {
		f.Close()
		return fmt.Errorf("a file of %d bytes is too small for blocks of %d", s.b.Size, c.Block)
	}
	part := s.part()
	random := func(rng *rand.Rand) int64 { return int64(s.unit(rng)) * int64(c.Block) }
	next := func(g, i int) int64 {
		return int64((uint64(g)*part + uint64(i)%part) % s.units * uint64(c.Block))
	}
	read := func(buf []byte, off int64) error { _, err := f.ReadAt(buf, off); return err }
	write := func(buf []byte, off int64) error { _, err := f.WriteAt(buf, off); return err }
	switch c.Op {
	case RandRead:
		s.task = func(g, i int, rng *rand.Rand, buf []byte) error { return read(buf, random(rng)) }
	case RandWrite:
		s.task = func(g, i int, rng *rand.Rand, buf []byte) error { return write(buf, random(rng)) }
	case SeqRead:
		s.task = func(g, i int, rng *rand.Rand, buf []byte) error { return read(buf, next(g, i)) }
	case SeqWrite:
		s.task = func(g, i int, rng *rand.Rand, buf []byte) error { return write(buf, next(g, i)) }
	case Mix:
		s.task = func(g, i int, rng *rand.Rand, buf []byte) error {
			if rng.IntN(4) == 0 {
				return write(buf, random(rng))
			}
			return read(buf, random(rng))
		}
	default:
		f.Close()
		return fmt.Errorf("unknown operation %q", c.Op)
	}
	return nil
}

// openAll opens files, which done closes.
func (s *Session) openAll(names []string, flag int) (files []file, err error) {
	s.done = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, name := range names {
		f, err := s.impl.open(name, flag)
		if err != nil {
			s.done()
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// spread makes the task that reads at random from the files on several devices, each goroutine from one.
func (s *Session) spread(flag int) error {
	names := s.b.spreadNames(s.cell.Devices)
	if err := s.b.makeSpread(names); err != nil {
		return err
	}
	files, err := s.openAll(names, flag)
	if err != nil {
		return err
	}
	s.units = max(uint64(s.b.Size/spreadCount)/uint64(s.cell.Block), 1)
	s.task = func(g, i int, rng *rand.Rand, buf []byte) error {
		_, err := files[g%len(files)].ReadAt(buf, int64(s.unit(rng))*int64(s.cell.Block))
		return err
	}
	return nil
}

// reader makes the task of the cells in which each goroutine has opened the large file for itself. Those that read at
// the position begin again at the end of the region.
func (s *Session) reader(flag int) error {
	files, err := s.openAll(slices.Repeat([]string{s.b.data}, s.cell.Goroutines), flag)
	if err != nil {
		return err
	}
	switch s.cell.Op {
	case Seek:
		s.task = func(g, i int, _ *rand.Rand, _ []byte) error {
			_, err := files[g].Seek(int64(i)%s.b.Size, io.SeekStart)
			return err
		}
	case Stat:
		s.task = func(g, _ int, _ *rand.Rand, _ []byte) error { _, err := files[g].Stat(); return err }
	default:
		s.task = inOrder(files, s.b.region(s.cell)/int64(s.cell.Block), file.Read)
	}
	return nil
}

// inOrder returns the task that transfers at the position of a file of the goroutine's own, from the beginning again after
// so many units.
func inOrder(files []file, units int64, transfer func(f file, buf []byte) (int, error)) task {
	units = max(units, 1)
	return func(g, i int, _ *rand.Rand, buf []byte) error {
		if int64(i)%units == 0 {
			if _, err := files[g].Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
		_, err := transfer(files[g], buf)
		return err
	}
}

// part is how many units of the large file belong to a goroutine that goes through it in order.
func (s *Session) part() uint64 { return max(s.units/uint64(s.cell.Goroutines), 1) }

// writer makes the task of the cells that write to files of their own, one for each goroutine, or one. Those that append
// sync each time; those that write at the position begin again where a file is large enough.
func (s *Session) writer(flag int) error {
	kind := "os"
	if _, ok := s.impl.(ringImpl); ok {
		kind = "ring"
	}
	n := s.cell.Goroutines
	if s.cell.Op == AppendOne {
		n = 1
	}
	var names []string
	for i := range n {
		names = append(names, filepath.Join(s.b.Dir, "log-"+kind+"-"+strconv.Itoa(i)))
	}
	flag |= os.O_CREATE | os.O_TRUNC
	if s.cell.Op != PosWrite {
		flag |= os.O_APPEND
	}
	files, err := s.openAll(names, flag)
	closeAll := s.done
	s.done = func() {
		closeAll()
		for _, name := range names {
			os.Remove(name)
		}
	}
	if err != nil {
		s.done()
		return err
	}
	if s.cell.Op == PosWrite {
		s.task = inOrder(files, posWriteSize/int64(s.cell.Block), file.Write)
		return nil
	}
	s.task = func(g, i int, rng *rand.Rand, buf []byte) error {
		f := files[g%n]
		if _, err := f.Write(buf); err != nil {
			return err
		}
		return f.Datasync()
	}
	return nil
}

// budget is how many operations a piece may have, and each goroutine of it, so that no cold data
// are read twice.
func (s *Session) budget(l Limit) (all, each int64) {
	all, each = 1<<62, 1<<62
	if l.Ops > 0 {
		all = int64(l.Ops)
	}
	if s.cell.Mode == Cold {
		all = min(all, int64(s.units))
		if s.cell.Op == SeqRead {
			each = int64(s.part())
		}
	}
	return all, each
}

// Piece prepares the data and measures one piece.
func (s *Session) Piece(l Limit) (Sample, error) {
	inCache, err := s.b.prepare(s.cell)
	if err != nil {
		return Sample{}, err
	}
	sample, err := s.measure(l)
	sample.InCache = inCache
	return sample, err
}

// piece is the state that the goroutines of a piece share.
type piece struct {
	*Session
	left   atomic.Int64 // operations that may still start
	bound  bool         // left counts
	each   int64
	stop   atomic.Bool
	began  time.Time     // when all goroutines were let go
	full   chan struct{} // closed when the budget is used up
	once   sync.Once
	failed atomic.Pointer[error]

	// Goroutines share histograms: 10,000 of their own would not fit the cache, and the first
	// touch of their memory would be measured.
	hists []lockedHist
}

type lockedHist struct {
	mu sync.Mutex
	h  hist
	_  [64]byte
}

func (p *piece) end() {
	p.stop.Store(true)
	p.once.Do(func() { close(p.full) })
}

func (p *piece) fail(err error) {
	p.failed.CompareAndSwap(nil, &err)
	p.end()
}

// work is what goroutine g does.
func (p *piece) work(g int, rng *rand.Rand) {
	buf, h := p.bufs[g], &p.hists[g%len(p.hists)]
	for i := 0; !p.stop.Load() || i == 0 && p.cell.Compute == 0; i++ {
		if p.bound && p.left.Add(-1) < 0 || int64(i) >= p.each {
			p.end()
			return
		}
		t0 := p.began // all want to do their first at once
		if i > 0 {
			t0 = time.Now()
		}
		if err := p.task(g, i, rng, buf); err != nil && err != io.EOF {
			p.fail(err)
			return
		}
		took := time.Since(t0)
		h.mu.Lock()
		h.h.add(took)
		h.mu.Unlock()
		if p.spin > 0 && !p.stop.Load() {
			compute(p.spin)
		}
	}
}

// newPiece makes the next piece of the session.
func (s *Session) newPiece(l Limit) *piece {
	p := &piece{Session: s, full: make(chan struct{}), hists: make([]lockedHist, min(s.cell.Goroutines, 16))}
	all, each := s.budget(l)
	p.left.Store(all)
	p.bound, p.each = all < 1<<62, each
	s.pieces++
	// Both implementations go to the same places in the same order.
	s.visited.Store(0)
	s.first = 0
	if s.units > 0 {
		s.first = s.pieces * 7919 % s.units
	}
	return p
}

// launch starts the goroutines of the piece, which wait for start, and count for finished.
func (p *piece) launch(start <-chan struct{}, finished *sync.WaitGroup) {
	var ready sync.WaitGroup
	for g := range p.cell.Goroutines {
		ready.Add(1)
		finished.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), p.pieces))
			ready.Done()
			<-start
			p.work(g, rng)
		})
	}
	ready.Wait()
}

// sum returns the histogram of all goroutines, when they have finished.
func (p *piece) sum() *hist {
	sum := new(hist)
	for i := range p.hists {
		sum.merge(&p.hists[i].h)
	}
	return sum
}

// measure runs the goroutines of the cell until the limit, and until each has done one operation
// unless they compute in between or there are fewer operations than goroutines. What goes on beside begins with
// them and ends after them.
func (s *Session) measure(l Limit) (Sample, error) {
	p := s.newPiece(l)
	var finished, ended sync.WaitGroup
	start := make(chan struct{})
	p.launch(start, &finished)
	var beside *piece
	if s.beside != nil {
		beside = s.beside.newPiece(Limit{})
		beside.launch(start, &ended)
	}
	runtime.GC()
	threads := watchThreads()
	stats := s.b.stats()
	var mem0, mem1 runtime.MemStats
	runtime.ReadMemStats(&mem0)
	call(l.Started)
	meter := startMeter()
	cpu0 := cputime.Process()
	p.began = time.Now()
	if beside != nil {
		beside.began = p.began
	}
	close(start)
	p.wait(l.Time)
	finished.Wait()
	took, cpu := time.Since(p.began), cputime.Process()-cpu0
	others := meter.others(cputime.Process() - cpu0)
	call(l.Done)
	runtime.ReadMemStats(&mem1)
	sample := Sample{Seconds: took.Seconds(), Others: others}
	if beside != nil {
		beside.stop.Store(true)
		ended.Wait()
		sample.Beside = float64(beside.sum().n) / time.Since(p.began).Seconds()
	}
	sample.Routes = routesBetween(stats, s.b.stats(), beside)
	sample.Threads, sample.Workers = threads()
	if err := p.failed.Load(); err != nil {
		return sample, refusal(s.cell, *err)
	}
	if beside != nil {
		if err := beside.failed.Load(); err != nil {
			return sample, fmt.Errorf("beside it: %w", *err)
		}
	}
	sum := p.sum()
	sample.Ops = int(sum.n)
	if sample.Ops == 0 {
		return sample, fmt.Errorf("no operation was finished within %v", took)
	}
	sample.P50, sample.P99, sample.P999 = sum.quantile(0.5), sum.quantile(0.99), sum.quantile(0.999)
	sample.CPUMicros = float64(cpu.Nanoseconds()) / 1e3 / float64(sample.Ops)
	sample.AllocsPerOp = float64(mem1.Mallocs-mem0.Mallocs) / float64(sample.Ops)
	return sample, nil
}

// wait returns when d is over or the operations are used up, and tells the goroutines.
func (p *piece) wait(d time.Duration) {
	if d <= 0 {
		<-p.full
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.full:
	}
	p.stop.Store(true)
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func (b *Bench) stats() (st ringfile.Stats) {
	if b.Engine != nil {
		st = b.Engine.Stats()
	}
	return st
}

// routesBetween returns the routes between two times, without those of what went on beside.
func routesBetween(from, to ringfile.Stats, beside *piece) Routes {
	r := Routes{to.Cached - from.Cached, to.Ring - from.Ring, to.Blocking - from.Blocking}
	if beside == nil {
		return r
	}
	syncs := to.Syncs - from.Syncs - (to.SharedSyncs - from.SharedSyncs)
	return r.less(beside.cell.Op, beside.sum().n, syncs)
}

// Plus returns the sum of both.
func (r Routes) Plus(o Routes) Routes {
	return Routes{r.Cached + o.Cached, r.Ring + o.Ring, r.Blocking + o.Blocking}
}

// compute spends the time of n rounds.
func compute(n uint64) {
	if spin(n) == 0 {
		panic("bench: spin returned zero")
	}
}

// spin computes something for n rounds. It is a fixed amount of work, not of time: a thread that
// is not running makes no progress.
//
//go:noinline
func spin(n uint64) uint64 {
	x := n | 1
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

var spinsPerMicro atomic.Uint64 // thousandths

// SpinsPerMicro returns how much work the processor does in a microsecond, measured once.
func SpinsPerMicro() float64 {
	if n := spinsPerMicro.Load(); n > 0 {
		return float64(n) / 1e3
	}
	const rounds = 200_000
	best := time.Duration(1 << 62)
	for range 10 {
		t0 := time.Now()
		if spin(rounds) == 0 {
			panic("bench: spin returned zero")
		}
		best = min(best, time.Since(t0))
	}
	rate := rounds / (float64(max(best, 1)) / 1e3)
	setSpinsPerMicro(rate)
	return rate
}

// setSpinsPerMicro makes another process's measurement count here, so that both do the same work.
func setSpinsPerMicro(rate float64) { spinsPerMicro.Store(max(uint64(rate*1e3), 1)) }
