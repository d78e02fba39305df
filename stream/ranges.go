package stream

import (
	"bytes"
	"context"
	"io/fs"
	"iter"
	"slices"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/ctxerr"
	"github.com/ringfile/ringfile/internal/race"
)

// Range is a range of a file: Len bytes from offset Off.
type Range struct {
	File *ringfile.File
	Off  int64
	Len  int
	Tag  any // the caller's; it comes back with the block
}

// Block is a Range that has been read.
type Block struct {
	Range
	Index int // which of the sequence it is, from zero

	// Data is what was read, as many bytes as ReadAt would have returned: Len, unless there was an
	// error. It is valid until the next iteration of the loop, or its end.
	Data []byte

	from *transfer
}

// Keep returns Data as a slice that is never reused for other blocks. It costs a buffer, or a copy if
// the block was read together with others.
func (b *Block) Keep() []byte {
	if b.from == nil { // kept, or empty
		return b.Data
	}
	if t := b.from; len(t.blocks) == 1 && 2*len(b.Data) >= len(t.buf) {
		t.buf = nil
	} else {
		b.Data = bytes.Clone(b.Data)
	}
	b.from = nil
	return b.Data
}

// RangesConfig configures Ranges. The zero value suits disks.
type RangesConfig struct {
	// Unordered delivers blocks as their reads finish. Otherwise they come in the order of the ranges.
	Unordered bool

	// MaxRequests and MaxBytes limit what is in flight or waiting to be used. Zero: 256, 8 MiB. A range
	// larger than MaxBytes is read all the same, on its own. Memory use is up to three times MaxBytes:
	// buffer sizes are powers of two, and as much as MaxBytes is kept for the next reads.
	MaxRequests, MaxBytes int
}

const (
	defaultRequests = 256
	defaultBytes    = 8 << 20

	// gathered is how many bytes of consecutive small ranges are read together wherever they come from,
	// after runLimit consecutive ones.
	gathered = 64 << 10
	runLimit = 8

	maxDistance = 1 << 16
)

// Ranges reads the ranges of a sequence ahead of the loop that uses them:
//
//	for b, err := range stream.Ranges(ctx, ranges, stream.RangesConfig{}) {
//		if err != nil {
//			return err
//		}
//		use(b.Data)
//	}
//
// The read-ahead distance adapts: it is zero while the page cache has what is asked for, which then
// costs what ReadAt costs, and grows several times over each time the loop has to wait for a device.
// From then on, adjacent ranges are read together.
//
// The sequence is asked for the next range when there is room for it, in the goroutine of the loop,
// between two iterations. It may itself read, wait or compute. Ranges may repeat, overlap, be empty or
// end beyond the end of the file.
//
// An error belongs to the range it comes with and is what ReadAt would have returned: a *fs.PathError,
// or a bare io.EOF if the file ends within or before the range. Data holds what was read, and the loop
// may continue. When ctx ends, the loop ends on time. If blocks were still to come, its last iteration
// has the error of ctx in a *fs.PathError.
//
// The block and its data are valid until the next iteration; use Keep to hold on to the data. Leaving
// the loop abandons the reads in flight without waiting for them: the kernel's use of their buffers and
// files ends later.
//
// A context that can end has a cost: data in the page cache is then read by other goroutines, as in
// ReadAtContext.
func Ranges(ctx context.Context, ranges iter.Seq[Range], c RangesConfig) iter.Seq2[*Block, error] {
	return func(yield func(*Block, error) bool) {
		l := newLookahead(ctx, c, yield)
		defer l.leave()
		for r := range ranges {
			if !l.add(r) {
				return
			}
		}
		l.finish()
	}
}

// lookahead is a loop over Ranges.
type lookahead struct {
	ctx    context.Context
	ends   bool // ctx may end
	config RangesConfig
	yield  func(*Block, error) bool
	queue  *ringfile.ReadQueue

	distance int  // how many blocks may be under way, as far as the bounds of the configuration allow
	ready    int  // turns since the last change that found their block read
	quick    bool // reads without RWF_NOWAIT are served as if by the page cache, see await

	index    int         // of the next range
	behind   int64       // the end of the last one
	run      int         // how many follow one another by now
	few      int         // how many may be under way in any case, see follow
	blocks   int         // under way: asked for, and not returned
	bytes    int         // of their transfers
	whole    int         // transfers of which there are blocks under way
	flying   int         // transfers that are in flight
	fresh    int         // of those, the ones that have not been started
	open     *transfer   // the last one, which may still grow; nil if there is none
	merging  bool        // it is growing, or the one before it grew until it was full
	waiting  []*transfer // in the order in which their blocks are returned, the first head of them are nil
	head     int
	byIndex  []*transfer // those in flight, by their index in the queue
	spare    []*transfer
	idle     int       // bytes of the buffers of spare
	returned *transfer // whose blocks have all been returned; the last one is the loop's until its next turn
	stalled  bool      // the turn had to wait

	file  *ringfile.File // of the last range
	align int64          // of its transfers
	known map[*ringfile.File]int64
}

func newLookahead(ctx context.Context, c RangesConfig, yield func(*Block, error) bool) *lookahead {
	if c.MaxRequests <= 0 {
		c.MaxRequests = defaultRequests
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultBytes
	}
	return &lookahead{ctx: ctx, ends: ctx.Done() != nil, config: c, yield: yield, queue: ringfile.NewReadQueue(ctx), distance: 1, few: 1, align: 1}
}

// add accepts the next range. It returns false if the loop has ended.
func (l *lookahead) add(r Range) bool {
	l.follow(r.File, r.Off, r.Len)
	if t := l.returned; t != nil && l.blocks == 0 && l.distance == 1 && l.few == 1 && !l.quick && r.File == l.file && l.align == 1 &&
		0 < r.Len && r.Len <= len(t.buf) && !race.Enabled {
		// The page cache is expected to have it, as it had the one before, whose transfer is used again.
		i, result := l.queue.ReadAt(r.File, t.buf[:r.Len], r.Off)
		if i >= 0 {
			return l.addMissed(t, r, i)
		}
		b := &t.blocks[0]
		b.Range, b.Index, b.Data, b.from = r, l.index, t.buf[:result.N:r.Len], t
		l.index++
		if l.over() {
			b.Data = nil
			l.yield(b, l.ended(t))
			return false
		}
		return l.yield(b, result.Err)
	}
	l.recycle()
	if l.open != nil && !l.merge(r) {
		l.launch()
		l.merging = false
	}
	if l.open == nil {
		for l.blocks > 0 && r.Len > l.config.MaxBytes-l.bytes {
			if !l.next() {
				return false
			}
		}
		l.begin(r)
	}
	l.index++
	if l.full(l.open) {
		l.launch()
	}
	if l.config.Unordered && l.flying > 0 {
		l.collect()
	}
	return l.pump()
}

// follow checks whether a range begins where the one before it ends, as did those before. Then some of
// these may be in flight in any case: even from the page cache one large read is cheaper than several
// small ones.
func (l *lookahead) follow(f *ringfile.File, off int64, n int) {
	if off != l.behind || f != l.file {
		l.run, l.few = 0, 1
	} else if l.run++; l.run >= runLimit {
		l.few = min(max(gathered/max(n, 1), 1), gathered>>10)
	}
	l.behind = off + int64(n)
}

// addMissed continues with a range that the page cache was expected to have: it is in flight, at i in
// the queue, in the buffer of t.
func (l *lookahead) addMissed(t *transfer, r Range, i int) bool {
	l.returned = nil
	l.init(t, r, l.index)
	l.enter(t)
	l.fly(t, i)
	l.index++
	return l.pump()
}

// pump yields blocks to the loop until there is room for another one. It returns false if the loop has
// ended.
func (l *lookahead) pump() bool {
	for l.blocks >= max(l.distance, l.few) || l.bounded() ||
		l.config.Unordered && l.head < len(l.waiting) {
		if !l.next() {
			return false
		}
	}
	l.start()
	return true
}

// bounded reports whether no more may be in flight.
func (l *lookahead) bounded() bool {
	return l.whole >= l.config.MaxRequests || l.bytes >= l.config.MaxBytes
}

// finish yields what is still in flight, when there are no more ranges.
func (l *lookahead) finish() {
	l.launch()
	for l.blocks > 0 {
		if !l.next() {
			return
		}
	}
}

// begin makes r the open transfer.
func (l *lookahead) begin(r Range) {
	l.open = l.transfer(r, l.index)
	l.enter(l.open)
}

// enter adds t to the transfers in progress.
func (l *lookahead) enter(t *transfer) {
	l.blocks++
	l.whole++
	l.bytes += int(t.end - t.start)
	if !l.config.Unordered {
		l.waiting = append(l.waiting, t)
	}
}

// launch adds the open transfer, if there is one, to the reads.
func (l *lookahead) launch() {
	if t := l.open; t != nil {
		l.open = nil
		l.read(t)
	}
}

// read adds t to the reads.
func (l *lookahead) read(t *transfer) {
	size := int(t.end - t.start)
	switch b := &t.blocks[0]; {
	case b.Len < 0:
		l.settle(t, ringfile.Result{Err: &fs.PathError{Op: "read", Path: nameOf(b.File), Err: fs.ErrInvalid}})
		return
	case l.quick && l.distance == 1:
		l.readQuick(t, size)
		return
	}
	t.buf = fit(t.buf, size, t.align)
	i, r := l.queue.ReadAt(t.file, t.buf[:size], t.start)
	if i < 0 {
		t.hit = true
		l.settle(t, r)
		return
	}
	l.fly(t, i)
}

// fly records that t is in flight.
func (l *lookahead) fly(t *transfer, i int) {
	t.index, t.flying = i, true
	l.flying++
	l.fresh++
	for i >= len(l.byIndex) {
		l.byIndex = append(l.byIndex, nil)
	}
	l.byIndex[i] = t
}

// readQuick reads t in this goroutine, unless that would wait for a device.
func (l *lookahead) readQuick(t *transfer, size int) {
	t.buf = fit(t.buf, size, t.align)
	start := time.Now()
	n, err := t.file.ReadAt(t.buf[:size], t.start)
	if l.quick = isQuick(time.Since(start), size); !l.quick {
		l.distance = 2
	}
	t.hit = l.quick
	l.settle(t, ringfile.Result{N: n, Err: err})
}

// isQuick reports whether that many bytes, read in that time, came from memory, as far as that can be
// told.
func isQuick(took time.Duration, size int) bool {
	return took < 10*time.Microsecond+time.Duration(size/4)
}

func nameOf(f *ringfile.File) string {
	if _, err := f.SyscallConn(); err == fs.ErrInvalid {
		return ""
	}
	return f.Name()
}

// settle records the result of t.
func (l *lookahead) settle(t *transfer, r ringfile.Result) {
	t.n, t.err, t.done = r.N, r.Err, true
	if t.flying {
		t.flying = false
		l.flying--
		l.byIndex[t.index] = nil
	}
	if l.config.Unordered {
		l.waiting = append(l.waiting, t)
	}
}

// start starts the reads once there are enough of them relative to those in flight.
func (l *lookahead) start() {
	if l.fresh > 0 && 4*l.fresh >= l.flying {
		l.queue.Start()
		l.fresh = 0
	}
}

// collect records what has finished.
func (l *lookahead) collect() {
	for {
		i, r, ok := l.queue.Next()
		if !ok {
			return
		}
		l.settle(l.byIndex[i], r)
	}
}

// next yields the next block to the loop. It returns false if the loop has ended.
func (l *lookahead) next() bool {
	l.recycle()
	t, err := l.front()
	if err != nil {
		l.yield(&t.blocks[t.next], err)
		return false
	}
	if t.next == 0 {
		l.adapt(t)
	}
	b := &t.blocks[t.next]
	t.next++
	l.blocks--
	if t.next == len(t.blocks) {
		l.bytes -= int(t.end - t.start)
		l.whole--
		l.waiting[l.head] = nil
		if l.head++; l.head == len(l.waiting) {
			l.waiting, l.head = l.waiting[:0], 0
		} else if l.head >= 64 && 2*l.head >= len(l.waiting) {
			l.waiting, l.head = slices.Delete(l.waiting, 0, l.head), 0
		}
		l.returned = t
	}
	if b.Data, err = t.part(b); err != nil && t.again(b, err) {
		u := l.transfer(b.Range, b.Index)
		l.recycle()
		l.returned = u
		return l.retry(u)
	}
	l.start()
	return l.yield(b, err)
}

// front returns the transfer with the next block, when it is done. If the context ends first, it
// returns the cause.
func (l *lookahead) front() (*transfer, error) {
	l.stalled = false
	for {
		if l.head < len(l.waiting) {
			t := l.waiting[l.head]
			if t == l.open {
				l.launch()
			}
			if !t.done && l.flying > 0 {
				l.collect()
			}
			if t.done {
				if l.over() {
					return t, l.ended(t)
				}
				return t, nil
			}
			if err := l.await(t, t.index); err != nil {
				return t, err
			}
			continue
		}
		// What finishes first is next. It joins those that wait.
		if l.flying > 0 {
			l.collect()
		}
		if l.head < len(l.waiting) {
			continue
		}
		if l.flying == 0 || !l.merging {
			l.launch()
		}
		if l.head == len(l.waiting) {
			if err := l.await(nil, -1); err != nil {
				return l.anyFlying(), err
			}
		}
	}
}

// over reports whether the context has ended.
func (l *lookahead) over() bool { return l.ends && l.ctx.Err() != nil }

// ended is the error of a loop whose context has ended.
func (l *lookahead) ended(t *transfer) error {
	return &fs.PathError{Op: "read", Path: nameOf(t.file), Err: ctxerr.Of(l.ctx)}
}

// anyFlying returns a transfer that is in flight.
func (l *lookahead) anyFlying() *transfer {
	i := slices.IndexFunc(l.byIndex, func(t *transfer) bool { return t != nil })
	return l.byIndex[i]
}

// await waits for t, with its index in the queue, or for any transfer. An open transfer that is
// consecutive continues to grow meanwhile.
func (l *lookahead) await(t *transfer, index int) error {
	if !l.merging {
		l.launch()
	}
	l.fresh = 0
	var start time.Time
	if l.distance == 1 {
		start = time.Now()
	}
	if l.queue.Wait(index) != nil {
		if t == nil {
			t = l.anyFlying()
		}
		return l.ended(t)
	}
	// Without RWF_NOWAIT, or with a context that may end, only the time tells what the page cache has.
	if l.distance == 1 && isQuick(time.Since(start), l.bytes) {
		l.quick = !l.ends
	} else {
		l.stalled = true
	}
	l.collect()
	return nil
}

// adapt adjusts the read-ahead distance, when t is next.
func (l *lookahead) adapt(t *transfer) {
	switch {
	case l.stalled:
		l.ready = 0
		if l.blocks >= l.distance && !l.bounded() {
			l.distance = min(2*l.distance, maxDistance)
			if l.distance <= steep {
				l.distance *= 2
			}
		}
	case t.hit:
		l.distance = max(l.distance-1, 1)
	default:
		if l.ready++; l.ready == readyDecay {
			l.ready = 0
			l.distance = max(l.distance-1, 1)
		}
	}
}

// steep is the distance up to which it grows fourfold each time; beyond that it only doubles. This way
// even a short list of slow reads profits from it.
const steep = 32

// readyDecay is the number of reads that finished in time after which the distance shrinks by one.
const readyDecay = 16

// retry reads t, which has one block, and yields it to the loop.
func (l *lookahead) retry(t *transfer) bool {
	t.buf = fit(t.buf, int(t.end-t.start), t.align)
	b := &t.blocks[0]
	for tries := 0; tries == 0 || tries < maxTries && t.grown(); tries++ {
		t.n, t.err = t.file.ReadAtContext(l.ctx, t.buf[:t.end-t.start], t.start)
		if l.over() {
			l.yield(b, l.ended(t))
			return false
		}
	}
	var err error
	b.Data, err = t.part(b)
	return l.yield(b, err)
}

// recycle takes back what the last iteration of the loop has used.
func (l *lookahead) recycle() {
	t := l.returned
	if t == nil {
		return
	}
	l.returned = nil
	t.file = nil
	clear(t.blocks)
	if race.Enabled || l.idle+len(t.buf) > l.config.MaxBytes {
		putBuffer(t.buf)
		t.buf = nil
	}
	l.idle += len(t.buf)
	l.spare = append(l.spare, t)
}

// leave releases everything except what the kernel still uses.
func (l *lookahead) leave() {
	l.collect()
	l.queue.Leave()
	if l.returned != nil {
		putBuffer(l.returned.buf)
	}
	for _, t := range l.waiting[l.head:] {
		if !t.flying {
			putBuffer(t.buf)
		}
	}
	for _, t := range l.spare {
		putBuffer(t.buf)
	}
}
