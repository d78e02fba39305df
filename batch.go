package ringfile

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Batch collects operations on any files and hands them to the kernel together: one call of
// io_uring_enter(2) instead of a system call, or a goroutine, for each. The operations run in any
// order and at the same time; a Chain is for those that must not.
//
//	var b ringfile.Batch
//	for i, off := range offsets {
//		b.ReadAt(f, bufs[i], off)
//	}
//	err := b.Run()
//
// The methods that are named after those of File add an operation and return its index, which
// counts from zero. Run carries out what has been added since the last Run and waits for all of it;
// Results gives each result as it arrives. Reads that the page cache can serve are served on the
// spot. A batch may be larger than Config.Depth: it is handed over in parts, without a barrier
// between them.
//
// The buffers belong to the batch from the call that adds them until the operation's result has
// been returned, or until Run or the loop over Results ends. Each operation has the result and the
// error that the method of File would have had, and obeys the deadlines of its file; the buffers
// being the caller's, an operation that is cancelled is waited for until the kernel lets go of them.
//
// The zero value is ready for use. A Batch that is used again (Reset) allocates nothing. It is not
// safe for concurrent use, and must not be copied.
type Batch struct {
	_ noCopy

	// The caller's goroutine only:
	tasks    []*task // the first n are in use; the others wait to be used again
	n        int
	admitted int     // tasks that have been looked at by a run
	done     []int32 // tasks that are finished, in that order
	lanes    []lane  // tasks that want a slot
	launched int     // tasks that have been published, since Reset
	running  bool
	ctx      context.Context
	stop     <-chan struct{} // of ctx
	unwatch  func()          // ends watching ctx

	cancelled atomic.Bool // nothing more is to be started

	mu      sync.Mutex   // taken after ring.mu
	reason  error        // of the cancellation
	rings   []*ring      // where tasks may be in flight
	pending int          // admitted, and neither in done nor in ready
	landed  int          // published and completed, since Reset
	ready   []int32      // finished by others than the caller, to be moved to done
	quick   queue[*task] // blocking calls that may be short
	slow    queue[*task] // blocking calls that wait for a device
	helpers int          // goroutines that make these
	hired   int          // those of them that have not begun
	wakeAt  int          // the caller is to be woken when that few are pending
	parked  bool
	wake    chan struct{} // one element

	tick *time.Timer // looks whether the quick ones are
	made int         // operations finished since it last looked
}

// noCopy makes go vet report copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Result is what became of one operation of a Batch or a Chain: what the method of File of that
// name returns. N is zero for syncs.
type Result struct {
	N   int
	Err error
}

// ErrNotRun is the Err of the Result of an operation that has not been run.
var ErrNotRun = errors.New("ringfile: operation has not been run")

// task is one operation of a batch. Its address is the promise of its request.
type task struct {
	op    operation
	batch *Batch
	index int32
	held  bool // it has a use of the file
	plain bool // os carries it out: there is nothing special about the call

	n        int
	errno    syscall.Errno
	why      cause
	err      error // what the Result has, if composed; or what a blocking call has returned
	composed bool
	known    bool // the caller knows that it is finished
}

// lane is what is to go to one ring.
type lane struct {
	engine *Engine
	ring   *ring
	tasks  []*task
	head   int
}

// ReadAt adds f.ReadAt(p, off).
func (b *Batch) ReadAt(f *File, p []byte, off int64) int {
	return b.add(operation{code: opRead, file: f, buf: p, off: off})
}

// WriteAt adds f.WriteAt(p, off).
func (b *Batch) WriteAt(f *File, p []byte, off int64) int {
	return b.add(operation{code: opWrite, file: f, buf: p, off: off})
}

// ReadvAt adds f.ReadvAt(vec, off). vec itself, too, belongs to the batch.
func (b *Batch) ReadvAt(f *File, vec [][]byte, off int64) int {
	return b.add(operation{code: opReadv, file: f, vec: vec, off: off})
}

// WritevAt adds f.WritevAt(vec, off). vec itself, too, belongs to the batch.
func (b *Batch) WritevAt(f *File, vec [][]byte, off int64) int {
	return b.add(operation{code: opWritev, file: f, vec: vec, off: off})
}

// Sync adds f.Sync(). It covers the writes of earlier runs, but none of the same batch.
func (b *Batch) Sync(f *File) int { return b.add(operation{code: opFsync, file: f}) }

// Datasync adds f.Datasync(). It covers the writes of earlier runs, but none of the same batch.
func (b *Batch) Datasync(f *File) int { return b.add(operation{code: opFdatasync, file: f}) }

func (b *Batch) add(op operation) int {
	if b.n == len(b.tasks) {
		more := make([]task, max(8, min(len(b.tasks), 128)))
		for i := range more {
			more[i].batch, more[i].index = b, int32(len(b.tasks))
			b.tasks = append(b.tasks, &more[i])
		}
	}
	b.tasks[b.n].op = op
	b.n++
	return b.n - 1
}

// Len returns how many operations have been added since the last Reset.
func (b *Batch) Len() int { return b.n }

// Run carries out the operations that have been added since the last Run and waits until all are
// finished. It returns nil if all went well, otherwise the error of the first that failed, in the
// order in which they were added; io.EOF is bare. Result has the outcome of each.
func (b *Batch) Run() error { return b.RunContext(context.Background()) }

// RunContext is Run, given up when ctx ends: what can be cancelled is, and what cannot is waited
// for, so that the buffers are the caller's again at the return. The Err of an operation that was
// given up is the cause of ctx, in a *fs.PathError.
func (b *Batch) RunContext(ctx context.Context) error {
	first := b.admitted
	b.begin(ctx)
	defer b.end()
	b.advance(true)
	for i := first; i < b.n; i++ {
		if t := b.tasks[i]; t.errno != 0 || t.err != nil || t.n != t.op.want() {
			if err := t.result().Err; err != nil {
				return err
			}
		}
	}
	return nil
}

// Results carries out the operations that have been added since the last Run and gives the index
// and the result of each, in the order in which they finish. The body of the loop may add further
// operations, which are started before the loop waits again. When ctx ends, or the loop is left
// early, the operations that are not finished are given up as RunContext says.
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
				if !yield(i, b.tasks[i].result()) {
					return
				}
			}
		}
	}
}

// Result returns what became of operation i. Before it is finished Err is ErrNotRun.
func (b *Batch) Result(i int) Result {
	if i < 0 || i >= b.n || !b.tasks[i].known {
		return Result{Err: ErrNotRun}
	}
	return b.tasks[i].result()
}

// Reset empties the batch, for new operations, and forgets files and buffers. It must not be called
// within the loop over Results.
func (b *Batch) Reset() {
	if b.running {
		panic("ringfile: Batch.Reset while the batch runs")
	}
	for i, t := range b.tasks[:b.n] {
		*t = task{batch: b, index: int32(i)}
	}
	for i := range b.lanes {
		b.lanes[i] = lane{tasks: b.lanes[i].tasks[:0]}
	}
	b.n, b.admitted, b.launched = 0, 0, 0
	b.done, b.lanes = b.done[:0], b.lanes[:0]
	b.mu.Lock()
	clear(b.rings)
	b.rings, b.landed = b.rings[:0], 0
	b.mu.Unlock()
}

// word returns the Op of the operation's *fs.PathError.
func (c opcode) word() string {
	switch {
	case c.reads():
		return "read"
	case c.writes():
		return "write"
	}
	return "sync"
}

// result turns the outcome into Go terms.
func (t *task) result() Result {
	if !t.composed {
		t.composed = true
		if t.err == nil {
			var want int64
			if t.op.code.reads() || t.op.code.writes() {
				want = int64(t.op.want())
			}
			var reason error
			if t.why == byCaller {
				t.batch.mu.Lock()
				reason = t.batch.reason
				t.batch.mu.Unlock()
			}
			t.err = t.op.file.outcome(t.op.code, t.op.code.word(), t.n, want, t.errno, t.why, reason)
		}
	}
	return Result{N: t.n, Err: t.err}
}

// finish records the outcome, in the caller's goroutine.
func (t *task) finish(n int, errno syscall.Errno, why cause, err error) {
	t.n, t.errno, t.why, t.err = n, errno, why, err
	if t.held {
		t.held = false
		t.op.file.life.decrefAsync(t.op.file)
	}
}

// finishAsync records the outcome of a task that counts as pending, in any goroutine.
func (t *task) finishAsync(n int, errno syscall.Errno, why cause, err error, landed int) {
	t.finish(n, errno, why, err)
	b := t.batch
	b.mu.Lock()
	b.ready = append(b.ready, t.index)
	b.pending--
	b.landed += landed
	b.made++
	b.wakeAndUnlock()
}

// published has nothing to note: a cancellation looks for the requests of the batch.
func (t *task) published(*request, uint64) {}

// fulfil takes the outcome from the reaper, or from the caller that leads.
func (t *task) fulfil(n int, errno syscall.Errno, why cause) {
	if why != notCancelled || !t.op.file.retreats(errno) {
		t.finishAsync(n, errno, why, nil, 1)
		return
	}
	t.n = n
	b := t.batch
	b.mu.Lock()
	b.landed++
	b.slow.push(t)
	b.hireOne()
	b.wakeAndUnlock()
}

// wakeAndUnlock wakes the caller if it waits for this. mu is held.
func (b *Batch) wakeAndUnlock() {
	wake := b.parked && b.pending <= b.wakeAt
	if wake {
		b.parked = false
	}
	b.mu.Unlock()
	if wake {
		b.wake <- struct{}{}
	}
}
