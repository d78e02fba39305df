package ringfile

import (
	"context"

	"github.com/ringfile/ringfile/internal/ctxerr"
	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/route"
)

// ReadQueue keeps reads in flight for one goroutine that keeps adding more; a Batch carries out a set
// that is known beforehand. Package stream reads ahead with it. Its buffers are not copied and may be
// abandoned to the kernel and then to the garbage collector, so that a wait ends with the context, on
// time, whatever the device does.
//
//	q := ringfile.NewReadQueue(ctx)
//	defer q.Leave()
//	i, r := q.ReadAt(f, buf, off) // buf is the queue's, unless i < 0: then r is the result
//	err := q.Wait(i)
//	i, r, ok := q.Next()
//
// With a context that cannot end, data in the page cache is read immediately, as by File.ReadAt.
// Otherwise even those reads are left to other goroutines, because they may have to wait too.
//
// A ReadQueue is not safe for concurrent use and must not be copied.
type ReadQueue struct {
	batch Batch
	ctx   context.Context
	free  []int // indexes of items that have been returned
	next  int   // the first of batch.done that has not
}

// NewReadQueue returns a queue whose waits end with ctx.
func NewReadQueue(ctx context.Context) *ReadQueue {
	q := &ReadQueue{ctx: ctx}
	q.batch.running = true // which no run of its own must touch
	q.batch.leaves = ctx.Done() != nil
	q.batch.left = make(chan struct{})
	q.batch.wake = outside.Chan()
	return q
}

// ReadAt adds f.ReadAt(p, off). If the read has already finished, i is negative and r is its result.
// Otherwise p belongs to the queue until Next returns i; i may then be reused for another read.
func (q *ReadQueue) ReadAt(f *File, p []byte, off int64) (i int, r Result) {
	if q.batch.leaves || !f.valid() || !f.t.Seekable || off < 0 || len(p) == 0 || f.t.readBy.armed.Load() {
		return q.add(f, p, off)
	}
	t := &f.t
	if t.dev.facts.memory.Get() == route.Yes {
		n, err := f.ReadAt(p, off)
		return -1, Result{N: n, Err: err}
	}
	if t.readCached(p, off) < len(p) {
		return q.add(f, p, off)
	}
	return -1, Result{N: len(p)}
}

// add is ReadAt for reads that may have to wait.
func (q *ReadQueue) add(f *File, p []byte, off int64) (i int, r Result) {
	b := &q.batch
	op := operation{code: opRead, buf: p, off: off}
	if n := len(q.free); n > 0 {
		i = q.free[n-1]
		q.free = q.free[:n-1]
		b.items[i].set(f, op)
	} else {
		i = b.add(f, op)
	}
	if n, err, settled := b.items[i].begin(); settled {
		b.items[i].clean()
		q.free = append(q.free, i)
		return -1, Result{N: n, Err: err}
	}
	return i, Result{}
}

// Start starts the reads that have been added. Wait does so too.
func (q *ReadQueue) Start() {
	q.batch.launch()
	q.batch.hire(false)
}

// Next returns the index and the result of a finished read, each once, in the order in which they
// finish. ok is false if there is none at the moment.
func (q *ReadQueue) Next() (i int, r Result, ok bool) {
	b := &q.batch
	if q.next == len(b.done) {
		b.done, q.next = b.done[:0], 0
		if b.collect(); len(b.done) == 0 {
			return 0, Result{}, false
		}
	}
	i = int(b.done[q.next])
	q.next++
	it := b.items[i]
	r = Result{N: it.n, Err: it.err}
	it.clean()
	q.free = append(q.free, i)
	return i, r, true
}

// Wait waits until read i has finished, or any read if i is negative, so that Next can return it. If
// the context ends first, Wait returns its cause. If there is nothing to wait for, it returns nil at
// once.
func (q *ReadQueue) Wait(i int) error {
	q.Start()
	b := &q.batch
	for {
		pending := b.collect()
		if pending == 0 || i < 0 && q.next < len(b.done) || i >= 0 && b.items[i].known {
			return nil
		}
		if !q.park(i) {
			return ctxerr.Of(q.ctx)
		}
	}
}

// park waits until read i has finished, or any if i is negative. It returns false if the context ends
// first. It may return early.
func (q *ReadQueue) park(i int) bool {
	b := &q.batch
	b.mu.Lock()
	if len(b.ready) > 0 {
		b.mu.Unlock()
		return true
	}
	b.wakeAt, b.wakeOn = 0, int32(i)
	if i < 0 {
		b.wakeAt = b.pending - 1
	}
	b.parked = true
	b.mu.Unlock()
	select {
	case <-b.wake:
		return true
	case <-q.ctx.Done():
	}
	b.mu.Lock()
	told := !b.parked
	b.parked = false
	b.mu.Unlock()
	if told {
		<-b.wake
	}
	return false
}

// Leave abandons the unfinished reads without waiting for them: their buffers must not be used again
// until the kernel has finished with them, which the queue does not report. The queue must not be used
// afterwards.
func (q *ReadQueue) Leave() {
	b := &q.batch
	if b.wake == nil {
		return
	}
	b.collect()
	for _, it := range b.items[:b.n] {
		if it.on != nil && !it.known {
			it.reason = context.Canceled
			it.cancel(byCaller)
		}
	}
	close(b.left)
	b.launch() // what has been added has a use of its descriptor, which its end gives back
	b.hire(false)
	if b.collect() == 0 {
		outside.Free(b.wake)
	}
	b.wake = nil
}
