package ringfile

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"sync"

	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/route"
)

// Batch collects operations on any files and submits them to the kernel together: one io_uring_enter(2)
// instead of a system call, or a goroutine, for each. The operations run concurrently and in any order.
//
//	var b ringfile.Batch
//	for i, off := range offsets {
//		b.ReadAt(f, bufs[i], off)
//	}
//	err := b.Run()
//
// The methods named after those of File add an operation and return its index, counting from zero. Run
// carries out what has been added since the last Run and waits for all of it; Results yields each
// result as it arrives. Reads that the page cache can serve are served immediately. A batch may be
// larger than Config.Depth: operations that do not fit wait for free requests one by one; there is no
// barrier between groups.
//
// Buffers belong to the batch from the call that adds them until the operation's result has been
// returned, or until Run or the loop over Results ends. Each operation has the result and the error
// that the corresponding method of File would have had, and obeys the deadlines of its file.
//
// With a context that can end, and for files with a deadline, the operations behave like the methods of
// File with a context: data is copied through the engine's own memory, and the batch returns on time.
//
// The zero value is ready for use. A Batch that is reused (Reset) does not allocate. A Batch is not
// safe for concurrent use and must not be copied.
type Batch struct {
	_ noCopy

	// The caller's goroutine only:
	items    []*item // the first n are in use; the others wait to be used again
	n        int
	admitted int     // items that have been looked at by a run
	done     []int32 // items that are finished, in that order
	lanes    []batchLane
	running  bool
	leaves   bool // the caller may leave, and must not wait for a device before it does
	until    until
	left     chan struct{}           // of a ReadQueue: closed when it has been left
	stop     context.CancelCauseFunc // of until's context; nil if that cannot end

	mu      sync.Mutex
	pending int     // admitted, and neither in done nor in ready
	ready   []int32 // finished by others than the caller, to be moved to done
	quick   []*item // calls that are a copy into the page cache as a rule
	slow    []*item // calls that wait for a device
	next    int     // the first of those that nobody has taken
	helpers int     // goroutines that make calls
	coming  int     // those of them that have not taken one yet
	wakeAt  int     // the caller is to be woken when that few are pending
	wakeOn  int32   // or when this one is finished; negative for none
	parked  bool
	wake    chan struct{} // one element; of no test's bubble, as a reaper sends
}

// Result is the outcome of one operation of a Batch: what the method of File with that name returns. N
// is zero for syncs.
type Result struct {
	N   int
	Err error
}

// ErrNotRun is the Err of the Result of an operation that has not been run.
var ErrNotRun = errors.New("ringfile: operation has not been run")

// item is one operation of a batch.
type item struct {
	task
	file  *File
	batch *Batch
	index int32
	known bool // the caller knows that it is finished

	inline bool // the page cache is asked first, by who carries it out
}

// batchLane is what goes to one queue.
type batchLane struct {
	queue    *queue
	items    []*item
	requests []*request
}

// ReadAt adds f.ReadAt(p, off).
func (b *Batch) ReadAt(f *File, p []byte, off int64) int {
	return b.add(f, operation{code: opRead, buf: p, off: off})
}

// WriteAt adds f.WriteAt(p, off).
func (b *Batch) WriteAt(f *File, p []byte, off int64) int {
	return b.add(f, operation{code: opWrite, buf: p, off: off})
}

// ReadvAt adds f.ReadvAt(vec, off). The slice vec itself belongs to the batch too.
func (b *Batch) ReadvAt(f *File, vec [][]byte, off int64) int {
	return b.add(f, operation{code: opReadv, vec: vec, off: off})
}

// WritevAt adds f.WritevAt(vec, off). The slice vec itself belongs to the batch too.
func (b *Batch) WritevAt(f *File, vec [][]byte, off int64) int {
	return b.add(f, operation{code: opWritev, vec: vec, off: off})
}

// Sync adds f.Sync(). It covers the writes of earlier runs, but not those of the same run.
func (b *Batch) Sync(f *File) int { return b.add(f, operation{code: opFsync}) }

// Datasync adds f.Datasync(). It covers the writes of earlier runs, but not those of the same run.
func (b *Batch) Datasync(f *File) int { return b.add(f, operation{code: opFdatasync}) }

func (b *Batch) add(f *File, op operation) int {
	if b.n == len(b.items) {
		more := make([]item, max(8, min(len(b.items), 128)))
		for i := range more {
			more[i].batch, more[i].index = b, int32(len(b.items))
			b.items = append(b.items, &more[i])
		}
	}
	b.items[b.n].set(f, op)
	b.n++
	return b.n - 1
}

// set makes it an operation that has not been run.
func (it *item) set(f *File, op operation) {
	it.file, it.known, it.err = f, false, nil
	if op.off < 0 {
		op.off = badOffset
	}
	it.reset(&op, 0)
}

// clean makes a finished item drop its references to file and buffers.
func (it *item) clean() {
	it.forget()
	it.file, it.on, it.known, it.inline, it.err = nil, nil, false, false, nil
	it.onQueue.Store(nil)
}

// Len returns how many operations have been added since the last Reset.
func (b *Batch) Len() int { return b.n }

// Run carries out the operations added since the last Run and waits for all of them. It returns nil if
// all succeeded, otherwise the error of the first, in the order of adding, that failed; io.EOF is bare.
// Result has the outcome of each.
func (b *Batch) Run() error { return b.RunContext(context.Background()) }

// RunContext is Run with a context. When ctx ends it returns, and the Err of each unfinished operation
// is a *fs.PathError that wraps the error of ctx. The buffers belong to the caller again when it
// returns, in every case.
func (b *Batch) RunContext(ctx context.Context) error {
	first := b.admitted
	b.begin(ctx)
	defer b.end()
	b.advance(true)
	for _, it := range b.items[first:b.n] {
		if it.err != nil {
			return it.err
		}
	}
	return nil
}

// Results carries out the operations added since the last Run and yields the index and the result of
// each, in the order in which they finish. The loop body may add further operations, which are started
// before the loop next waits. When ctx ends, or the loop is left early, unfinished operations are
// abandoned; without a context, those that the kernel cannot cancel are waited for, because the buffers
// are the caller's.
func (b *Batch) Results(ctx context.Context) iter.Seq2[int, Result] {
	return func(yield func(int, Result) bool) {
		b.begin(ctx)
		defer b.end()
		for next := len(b.done); ; {
			b.advance(false)
			if next == len(b.done) {
				return
			}
			for ; next < len(b.done); next++ {
				i := int(b.done[next])
				if !yield(i, b.Result(i)) {
					return
				}
			}
		}
	}
}

// Result returns the outcome of operation i. Until the operation has finished, Err is ErrNotRun.
func (b *Batch) Result(i int) Result {
	if i < 0 || i >= b.n || !b.items[i].known {
		return Result{Err: ErrNotRun}
	}
	return Result{N: b.items[i].n, Err: b.items[i].err}
}

// Reset empties the batch for new operations and drops its references to files and buffers. It must not
// be called within the loop over Results.
func (b *Batch) Reset() {
	if b.running {
		panic("ringfile: Batch.Reset while the batch runs")
	}
	for _, it := range b.items[:b.n] {
		it.clean()
	}
	b.n, b.admitted, b.done = 0, 0, b.done[:0]
}

// begin starts a run that ctx may end.
func (b *Batch) begin(ctx context.Context) {
	if b.running {
		panic("ringfile: Batch is running already")
	}
	b.running = true
	b.wake = outside.Chan()
	if ctx.Done() != nil {
		ctx, b.stop = context.WithCancelCause(ctx) // so that the loop over Results can be left
	}
	b.until = until{ctx: ctx, stop: ctx.Done()}
}

// end abandons unfinished operations, for example because the loop over Results was left, and waits
// until none is left.
func (b *Batch) end() {
	for _, it := range b.items[b.admitted:b.n] {
		b.settle(it, 0, b.aborted(it))
		b.admitted++
	}
	if b.collect() > 0 {
		if b.stop != nil {
			b.stop(context.Canceled)
		}
		for _, it := range b.items[:b.n] {
			if !it.known {
				it.reason = context.Canceled
				it.cancel(byCaller)
			}
		}
		b.advance(true)
	}
	if b.stop != nil {
		b.stop(nil)
	}
	outside.Free(b.wake)
	b.wake, b.until, b.stop, b.running = nil, until{}, nil, false
}

// aborted returns the error of an item that is not started any more.
func (b *Batch) aborted(it *item) error {
	if !it.file.valid() {
		return fs.ErrInvalid
	}
	return it.file.t.wrap(it.code.name(), context.Canceled)
}

// settle records the outcome of an item, in the caller's goroutine.
func (b *Batch) settle(it *item, n int, err error) {
	it.n, it.err, it.known = n, err, true
	b.done = append(b.done, it.index)
}

// advance starts what has not been started and waits until an operation has finished, or, with all,
// until all have. If there is nothing to wait for it returns at once.
func (b *Batch) advance(all bool) {
	before := len(b.done)
	b.admit()
	b.launch()
	b.hire(all)
	for {
		pending := b.collect()
		switch {
		case pending == 0, !all && len(b.done) > before:
			return
		case all && b.makeQuick():
		default:
			b.park(all)
		}
	}
}

// collect records what others have finished, and returns how many operations are pending.
func (b *Batch) collect() (pending int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.ready {
		b.items[i].known = true
	}
	b.done = append(b.done, b.ready...)
	b.ready = b.ready[:0]
	return b.pending
}

// admit looks at the operations that have been added: it carries out what the page cache can serve, and
// finds the route of the rest.
func (b *Batch) admit() {
	for ; b.admitted < b.n; b.admitted++ {
		it := b.items[b.admitted]
		if n, err, settled := it.begin(); settled {
			b.settle(it, n, err)
		}
	}
}

// begin carries the operation out as far as possible without waiting. If it is not settled then, it is
// in progress, with a reference to the descriptor.
func (it *item) begin() (n int, err error, settled bool) {
	if !it.file.valid() {
		return 0, fs.ErrInvalid, true
	}
	t, b := &it.file.t, it.batch
	it.desc, it.on, it.tell = &t.descriptor, t, it
	if it.code.moves() && t.trivial(&it.operation) {
		n, err = t.eachByOS(&it.operation, 0)
		return n, err, true
	}
	if err := t.begin(it.code.name()); err != nil {
		return 0, err, true
	}
	it.until, it.left = t.until(b.until, it.code), b.left
	if why, _ := it.until.err(); why != notCancelled {
		err = it.wrap(why)
	} else {
		err = t.pollRefused(&it.operation)
	}
	if err != nil {
		t.releaseAsync()
		return 0, err, true
	}
	if it.code.syncs() && it.until.never() {
		b.mu.Lock()
		b.pending++
		b.mu.Unlock()
		it.start()
		return 0, nil, false
	}
	in := t.input(&it.operation, 0, true)
	if b.leaves && in.Kind == route.Read && !in.Direct {
		in.Cold = t.cold()
	}
	r := route.Choose(in)
	if !b.leaves && r == route.Syscall && in.Kind == route.Read && t.Seekable && !in.Direct && in.Nowait != route.No && !in.FalseEOF {
		r = route.Inline // without a ring, too: helpers are for what waits
	}
	switch {
	case !it.until.never():
		r = route.Syscall // by a helper, which knows
	case r == route.Inline && b.leaves:
		it.inline = true // by a helper
	case r == route.Inline:
		permit := t.dev.calls.Acquire()
		n, settled = t.inline(&it.operation, 0)
		t.dev.calls.Release(&permit)
		if settled {
			t.releaseAsync()
			return n, it.outcome(n, 0, notCancelled, nil), true
		}
		it.task.n = n
		in.Size = it.want() - n
		r = route.AfterMiss(in)
	case r == route.Ring && it.code.writes() && t.left.any():
		r = route.Syscall // it may have to wait
	}
	b.mu.Lock()
	b.pending++
	b.mu.Unlock()
	if q := t.dev.queue(); r == route.Ring && q != nil {
		b.lane(q).add(it)
	} else {
		b.later(it, in)
	}
	return 0, nil, false
}

// later leaves a call to helpers or, if it is likely to be quick, to the caller.
func (b *Batch) later(it *item, in route.Input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if in.Kind == route.Write && !in.Direct && it.until.never() {
		b.quick = append(b.quick, it)
	} else {
		b.slow = append(b.slow, it)
	}
}

// lane returns the lane of a queue.
func (b *Batch) lane(q *queue) *batchLane {
	for i := range b.lanes {
		if b.lanes[i].queue == q {
			return &b.lanes[i]
		}
	}
	if len(b.lanes) < cap(b.lanes) {
		b.lanes = b.lanes[:len(b.lanes)+1] // with the memory of its last life
	} else {
		b.lanes = append(b.lanes, batchLane{})
	}
	l := &b.lanes[len(b.lanes)-1]
	l.queue = q
	return l
}

func (l *batchLane) add(it *item) {
	it.to = &it.task
	it.onQueue.Store(l.queue)
	l.items = append(l.items, it)
	l.requests = append(l.requests, &it.request)
}

// launch submits the lanes to their queues.
func (b *Batch) launch() {
	for i := range b.lanes {
		l := &b.lanes[i]
		for next := 0; next < len(l.items); {
			next += l.queue.submitMany(l.requests[next:])
			if next < len(l.items) {
				b.later(l.items[next], route.Input{}) // which finds out why
				next++
			}
		}
		clear(l.items)
		clear(l.requests)
		l.items, l.requests, l.queue = l.items[:0], l.requests[:0], nil
	}
	b.lanes = b.lanes[:0]
}

// maxHelpers is the most goroutines that one batch uses for blocking calls.
const maxHelpers = 128

// hire has other goroutines make the calls that the caller does not make itself.
func (b *Batch) hire(all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !all {
		b.slow = append(b.slow, b.quick...)
		clear(b.quick)
		b.quick = b.quick[:0]
	}
	for b.coming < len(b.slow)-b.next && b.helpers < maxHelpers {
		b.helpers++
		b.coming++
		go b.help()
	}
}

// help makes calls until none are left.
func (b *Batch) help() {
	b.mu.Lock()
	b.coming--
	for b.next < len(b.slow) {
		it := b.slow[b.next]
		b.slow[b.next] = nil
		if b.next++; b.next == len(b.slow) {
			b.slow, b.next = b.slow[:0], 0
		}
		b.mu.Unlock()
		it.carryOut()
		b.mu.Lock()
	}
	b.helpers--
	b.mu.Unlock()
}

// makeQuick makes the quick calls in the caller's goroutine, and reports whether there were any.
func (b *Batch) makeQuick() bool {
	b.mu.Lock()
	calls := b.quick
	b.quick = nil
	b.mu.Unlock()
	for _, it := range calls {
		it.carryOut()
	}
	clear(calls)
	if calls != nil {
		b.mu.Lock()
		b.quick = calls[:0]
		b.mu.Unlock()
	}
	return len(calls) > 0
}

// carryOut makes the call.
func (it *item) carryOut() {
	switch {
	case it.inline:
		it.run(route.Inline, it.on.input(&it.operation, it.task.n, true))
		return
	case it.until.never():
		it.run(route.Syscall, route.Input{})
		return
	}
	n, err := 0, error(nil)
	switch {
	case cause(it.gaveUp.Load()) != notCancelled:
		err = it.wrap(cause(it.gaveUp.Load()))
	case it.code.moves():
		n, err = it.on.performUntil(it.until, it.operation)
	default:
		err = it.on.controlUntil(it.until, &it.operation)
	}
	it.finish(n, err)
}

func (it *item) stays() bool { return true }

// finished is told by the task.
func (it *item) finished() {
	b := it.batch
	b.mu.Lock()
	b.ready = append(b.ready, it.index)
	b.pending--
	wake := b.parked && (b.pending <= b.wakeAt || it.index == b.wakeOn)
	if wake {
		b.parked = false
	}
	b.mu.Unlock()
	if wake {
		b.wake <- struct{}{}
	}
}

// park waits until an operation has finished or, with all, until all have.
func (b *Batch) park(all bool) {
	b.mu.Lock()
	if b.pending == 0 || len(b.ready) > 0 {
		b.mu.Unlock()
		return
	}
	b.wakeAt, b.wakeOn = b.pending-1, -1
	if all {
		b.wakeAt = 0
	}
	b.parked = true
	b.mu.Unlock()
	<-b.wake
}

var batches = sync.Pool{New: func() any { return new(Batch) }}

// ReadAtMulti fills each of bufs from the offset in offs with the same index, concurrently and in any
// order, as a Batch does. It returns n, the number of buffers filled before the first failure, and the
// error that ReadAt would have returned for bufs[n]; the error is nil if and only if n is len(bufs).
// The contents of bufs[n:] are unspecified. The buffers belong to the caller again when it returns. It
// panics if bufs and offs differ in length.
//
// The signature uses no type of this package, so that code with an io.ReaderAt can ask for the method
// without importing it:
//
//	if m, ok := r.(interface {
//		ReadAtMulti(bufs [][]byte, offs []int64) (n int, err error)
//	}); ok {
//
// A Batch has the outcome of each read, and takes other operations.
func (f *File) ReadAtMulti(bufs [][]byte, offs []int64) (n int, err error) {
	return f.ReadAtMultiContext(context.Background(), bufs, offs)
}

// ReadAtMultiContext is ReadAtMulti with a context: it returns when ctx ends. See Batch.RunContext.
func (f *File) ReadAtMultiContext(ctx context.Context, bufs [][]byte, offs []int64) (n int, err error) {
	if len(bufs) != len(offs) {
		panic("ringfile: ReadAtMulti of buffers and offsets that differ in number")
	}
	if !f.valid() {
		return 0, fs.ErrInvalid
	}
	b := batches.Get().(*Batch)
	for i := range bufs {
		b.ReadAt(f, bufs[i], offs[i])
	}
	err = b.RunContext(ctx)
	for n < len(bufs) && b.items[n].err == nil {
		n++
	}
	b.Reset()
	b.mu.Lock()
	helped := b.helpers > 0 // one is about to end; it must not meet the items of the next user
	b.mu.Unlock()
	if !helped {
		batches.Put(b)
	}
	return n, err
}
