package ringfile

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile/internal/race"
)

// opcode says what an operation does.
type opcode uint8

const (
	opRead opcode = iota
	opWrite
	opReadv
	opWritev
	opFsync
	opFdatasync
	opAllocate
	opPrefetch
	opTruncate
	opPath        // a file-system call, see pathCall, or one on an open file, see callUntil
	opOpenDirect  // into the ring's table of files; of chains only
	opCloseDirect // out of it
)

// reads and writes tell the operations that move data, and may therefore move only a part of it.
func (c opcode) reads() bool  { return c == opRead || c == opReadv }
func (c opcode) writes() bool { return c == opWrite || c == opWritev }

// timed tells the operations that a deadline of the file ends: transfers and syncs.
func (c opcode) timed() bool { return c <= opFdatasync }

// offCurrent as an offset stands for the position of the file.
const offCurrent = -1

// operation is what a caller wants done: the operands, none of the state.
type operation struct {
	code   opcode
	once   bool      // one transfer is enough, however short (Read)
	linked bool      // one submission is all: a chain goes on, or has been broken by it
	file   *File     // open until the operation is finished
	buf    []byte    // opRead, opWrite
	vec    [][]byte  // opReadv, opWritev
	off    int64     // opRead to opWritev: position or offCurrent; opAllocate, opPrefetch: start
	length int64     // opAllocate, opPrefetch, opTruncate: the size
	arg    uint32    // opAllocate: mode; opPrefetch: advice
	path   *pathCall // opPath: what is called; with a name there is no file
}

// want returns how many bytes the operation is to move.
func (op *operation) want() int {
	if op.vec == nil {
		return len(op.buf)
	}
	n := 0
	for _, p := range op.vec {
		n += len(p)
	}
	return n
}

// phase is the state of a request.
//
//	idle ──start──▶ submitted ──completion──▶ completed ──release──▶ idle
//	                    │
//	                    └──the caller leaves──▶ abandoned ──completion──▶ idle
//
// From submitted on until the completion the kernel may use everything the request refers to.
// A completed request belongs to the caller that started it, an abandoned one to the reaper, and
// so does one that completes a Future.
type phase uint32

const (
	idle phase = iota
	submitted
	abandoned
	completed
)

// cause says who asked for a request to be cancelled.
type cause uint32

const (
	notCancelled  cause = iota
	byCaller            // Future.Cancel, or a context
	byDeadline          // SetDeadline and its like
	byFileClose         // File.Close
	byEngineClose       // Engine.Close
)

// request is one slot of a ring's slab: an operation on its way through the kernel. The slab lives
// as long as the ring, so that a slot's address can be the user_data of its submissions; the
// generation, which changes whenever the slot is released, tells a completion of an earlier life.
type request struct {
	operation // typed pointers to all that the kernel touches, where the collector sees them

	ring  *ring
	phase atomic.Uint32
	cause atomic.Uint32
	gen   atomic.Uint32 // its low 16 bits count the slot's lives
	tries uint8         // restarts without progress
	done  chan struct{} // one element: the completion, for the caller that started the request
	n     int           // bytes moved so far
	total int           // operation.want
	began int64         // clock when it was started; guarded by ring.mu
	errno syscall.Errno // of the transfer that failed
	iovs  []iovec       // what the kernel reads of vec; kept for reuse

	promise promise // completed by the reaper instead of done, if not nil
	bounce  *bounce // engine-owned memory behind buf, released with an abandoned request
}

// promise is what the reaper keeps: the non-generic side of a Future.
type promise interface {
	// published is called before the kernel can see the request; id is its user_data.
	published(req *request, id uint64)
	// fulfil takes the outcome. It neither blocks nor runs user code.
	fulfil(n int, errno syscall.Errno, why cause)
}

// maxTries bounds how often a request is submitted again for an answer that asks for that
// (EINTR, EAGAIN, or an ECANCELED or EFAULT that nobody caused) before the blocking road takes it.
const maxTries = 8

// settle folds the result of a completion into the request and reports whether the request must be
// submitted again to go on.
func (req *request) settle(res int32) (again bool) {
	why := cause(req.cause.Load())
	moves := req.code.reads() || req.code.writes()
	switch {
	case res >= 0 && !moves:
		if req.code == opPath {
			req.n = int(res) // some of these have a result
		}
		return false
	case res > 0:
		if int(res) > req.total-req.n {
			req.errno = syscall.EIO // more than was asked for: trust nothing of it
			return false
		}
		req.annotate(int(res))
		req.n += int(res)
		req.ring.stats.bytes.Add(uint64(res))
		req.tries = 0
		if req.n == req.total || req.once || req.linked {
			return false
		}
		if why != notCancelled || phase(req.phase.Load()) == abandoned {
			req.errno = syscall.ECANCELED
			return false
		}
		return true
	case res == 0:
		return false
	}
	errno := syscall.Errno(-res)
	switch errno {
	case syscall.EINTR, syscall.EAGAIN, syscall.ECANCELED, syscall.EFAULT:
		// ECANCELED comes unasked when the thread that submitted the request has ended: its
		// goroutine was locked to it. Once somebody did ask, it is the answer. EFAULT comes then
		// for a buffered read that waited for its pages (TestStormThreadExitCold).
		if why == notCancelled && !req.linked && phase(req.phase.Load()) != abandoned && req.tries < maxTries {
			req.tries++
			return true
		}
		if why != notCancelled {
			errno = syscall.ECANCELED
		}
	}
	req.errno = errno
	return false
}

// annotate tells the race detector that the kernel has used the next n bytes of the buffers.
func (req *request) annotate(n int) {
	if !race.Enabled {
		return
	}
	touch := race.Read
	if req.code.reads() {
		touch = race.Wrote
	}
	if req.vec == nil {
		touch(req.buf[req.n : req.n+n])
		return
	}
	skip := req.n
	for _, p := range req.vec {
		k := min(skip, len(p))
		skip -= k
		p = p[k:min(len(p), k+n)]
		n -= len(p)
		touch(p)
	}
}

// Future is the result, to come, of an operation that has been started. T is what the operation
// returns beside the error: int for transfers, struct{} for syncs.
//
// The buffers of the operation belong to it until Await or AwaitContext returns, or Done is
// closed: until then they must neither be read (of a read) nor written. That holds after Cancel
// too, as the kernel may be in the middle of the transfer. A future that nobody awaits completes
// all the same and leaks nothing.
//
// All methods are safe for concurrent use.
type Future[T any] struct {
	op    operation
	word  string        // Op of the *fs.PathError
	value func(n int) T // turns the bytes moved into a T

	wait sync.WaitGroup // one until the outcome is there

	mu       sync.Mutex
	finished bool
	n        int
	errno    syscall.Errno
	why      cause
	err      error         // what Await returns, made by the first that asks
	composed bool          // err is valid
	reason   error         // of the cancellation, context.Canceled unless a context ended
	done     chan struct{} // made by Done
	req      *request      // while it is in a ring
	id       uint64        // its user_data then
}

func intValue(n int) int         { return n }
func noValue(n int) (_ struct{}) { return }

// Await parks the goroutine until the operation is finished and returns its result, the same one
// each time. Then the buffers are the caller's again.
func (f *Future[T]) Await() (T, error) {
	f.wait.Wait()
	return f.result()
}

// AwaitContext is Await for a caller that may lose interest: when ctx ends first, it cancels the
// operation, waits until the kernel has let go of the buffers, and returns the operation's result
// if it was finished after all, the cause of ctx otherwise. Transfers between memory and a device
// cannot be called back; waiting for one takes as long as the device does. To leave at once, with
// the buffers still in use, select on Done instead, or use the context forms of File's methods.
func (f *Future[T]) AwaitContext(ctx context.Context) (T, error) {
	if ctx.Done() != nil {
		select {
		case <-f.Done():
		case <-ctx.Done():
			f.cancel(context.Cause(ctx))
		}
	}
	return f.Await()
}

// Done returns a channel that is closed when the operation is finished, for select.
func (f *Future[T]) Done() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done == nil {
		f.done = make(chan struct{})
		if f.finished {
			close(f.done)
		}
	}
	return f.done
}

// Cancel asks the kernel to give the operation up and returns without waiting. Await then returns
// an error for which errors.Is(err, context.Canceled) holds, or the result, if the operation was
// quicker or could not be called back. Cancelling a finished operation does nothing.
func (f *Future[T]) Cancel() { f.cancel(context.Canceled) }

func (f *Future[T]) cancel(reason error) {
	f.mu.Lock()
	if f.finished || f.reason != nil {
		f.mu.Unlock()
		return
	}
	f.reason = reason
	req, id := f.req, f.id
	f.mu.Unlock()
	if req != nil {
		req.ring.cancel(req, id, byCaller)
	}
}

// cancelled reports whether Cancel has been called.
func (f *Future[T]) cancelled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reason != nil
}

// fulfil takes the outcome from the reaper, or from the goroutine on the blocking road.
func (f *Future[T]) fulfil(n int, errno syscall.Errno, why cause) {
	if why == notCancelled && f.op.file.retreats(errno) {
		f.mu.Lock()
		f.req = nil
		f.mu.Unlock()
		go f.runBlocking(n)
		return
	}
	f.finish(n, errno, why, nil)
}

// finish stores the outcome and wakes those who wait. err overrides what n and errno say.
func (f *Future[T]) finish(n int, errno syscall.Errno, why cause, err error) {
	if file := f.op.file; file != nil {
		file.life.decrefAsync(file)
	}
	f.mu.Lock()
	f.finished = true
	f.n, f.errno, f.why = n, errno, why
	f.err, f.composed = err, err != nil
	f.req = nil
	if f.done != nil {
		close(f.done)
	}
	f.op.buf, f.op.vec = nil, nil
	f.mu.Unlock()
	f.wait.Done()
}

// result turns the outcome into Go terms.
func (f *Future[T]) result() (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.composed {
		f.composed = true
		f.err = f.op.file.outcome(f.op.code, f.word, f.n, f.op.length, f.errno, f.why, f.reason)
	}
	return f.value(f.n), f.err
}

// startFuture starts op on f and returns its Future. want goes to op.length, for the end-of-file
// rule, as the buffers are dropped when the operation is finished.
func startFuture[T any](op operation, word string, value func(int) T) *Future[T] {
	f := &Future[T]{op: op, word: word, value: value}
	f.wait.Add(1)
	file := op.file
	if err := file.begin(word); err != nil {
		f.op.file = nil
		f.finish(0, 0, notCancelled, err)
		return f
	}
	if op.code.reads() || op.code.writes() {
		f.op.length = int64(op.want())
	}
	if file.deadlineOf(op.code).hasPassed() {
		f.finish(0, syscall.ECANCELED, byDeadline, nil)
		return f
	}
	if file.asks(&f.op) {
		go f.runAsking()
		return f
	}
	n, errno, road := file.tryInline(&f.op)
	if road == roadDone {
		f.finish(n, errno, notCancelled, nil)
		return f
	}
	if road == roadRing {
		// The request goes on behind the n bytes that have been moved already.
		if f.submit(n) {
			return f
		}
		if err := file.refused(word); err != nil {
			f.finish(n, 0, notCancelled, err)
			return f
		}
		if file.deadlineOf(op.code).hasPassed() {
			f.finish(n, syscall.ECANCELED, byDeadline, nil)
			return f
		}
	}
	go f.runBlocking(n)
	return f
}

// runAsking is runBlocking for the first direct transfer on a volume.
func (f *Future[T]) runAsking() {
	n, errno, road := f.op.file.tryInline(&f.op)
	if road == roadDone {
		f.finish(n, errno, notCancelled, nil)
		return
	}
	f.runBlocking(n)
}

// submit puts the operation on a ring, to go on after the first n bytes. It reports false if no
// ring takes it, or the deadline has passed before there was a slot.
func (f *Future[T]) submit(n int) bool {
	file := f.op.file
	r := file.engine.pick()
	if r == nil {
		return false
	}
	if req, _ := r.start(&f.op, n, f, false, nil, file.deadlineOf(f.op.code).late()); req == nil {
		return false
	}
	r.engine.stats.ring.add(1)
	if file.deadlineOf(f.op.code).hasPassed() {
		f.expire() // it came too late for those that were cancelled
	}
	return true
}

// expire cancels the request if it is still in a ring.
func (f *Future[T]) expire() {
	f.mu.Lock()
	req, id := f.req, f.id
	f.mu.Unlock()
	if req != nil {
		req.ring.cancel(req, id, byDeadline)
	}
}

// published remembers the request, for Cancel.
func (f *Future[T]) published(req *request, id uint64) {
	f.mu.Lock()
	f.req, f.id = req, id
	f.mu.Unlock()
}

// runBlocking carries the operation out on the blocking road, after the first n bytes, in a
// goroutine of its own.
func (f *Future[T]) runBlocking(n int) {
	file := f.op.file
	n, why, err := file.blockUnless(&f.op, n, f.word, nil, nil, f.cancelled)
	if why != notCancelled {
		f.finish(n, syscall.ECANCELED, why, nil)
		return
	}
	switch err {
	case nil, io.EOF:
		f.finish(n, 0, notCancelled, nil)
	default:
		f.finish(n, 0, notCancelled, err)
	}
}
