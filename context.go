package ringfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Calls with a context, or on a file with a deadline, return when that ends, whatever the device
// does. The kernel may then still use the memory of the transfer, so it is the engine's: data is
// copied in or out, and a request whose caller has left keeps its memory until it is finished.

// ReadAtContext is ReadAt, given up when ctx ends: then the error is the cause of ctx, in a
// *fs.PathError, and p may have been filled in part. The data is copied through memory of the
// engine; p is the caller's again at the return in any case. What is in the page cache is returned
// even if ctx ends in the meantime.
func (f *File) ReadAtContext(ctx context.Context, p []byte, off int64) (n int, err error) {
	return f.atUntil(ctx, opRead, p, nil, off, "read")
}

// WriteAtContext is WriteAt, given up when ctx ends: then the error is the cause of ctx, in a
// *fs.PathError, and bytes beyond the n that are reported may or may not reach the file, even
// later. p is the caller's again at the return in any case.
func (f *File) WriteAtContext(ctx context.Context, p []byte, off int64) (n int, err error) {
	return f.atUntil(ctx, opWrite, p, nil, off, "write")
}

// ReadvAtContext is ReadvAt, given up when ctx ends. See ReadAtContext.
func (f *File) ReadvAtContext(ctx context.Context, vec [][]byte, off int64) (n int, err error) {
	return f.atUntil(ctx, opReadv, nil, vec, off, "read")
}

// WritevAtContext is WritevAt, given up when ctx ends. See WriteAtContext.
func (f *File) WritevAtContext(ctx context.Context, vec [][]byte, off int64) (n int, err error) {
	return f.atUntil(ctx, opWritev, nil, vec, off, "write")
}

func (f *File) atUntil(ctx context.Context, code opcode, p []byte, vec [][]byte, off int64, word string) (int, error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	op := operation{code: code, file: f, buf: p, vec: vec, off: off}
	if f.class != classDisk || off < 0 || code.writes() && f.append || op.want() == 0 {
		if err := context.Cause(ctx); err != nil {
			return 0, f.wrap(word, err)
		}
		return f.eachAt(&op, 0)
	}
	return f.transferUntil(ctx, op, word)
}

// ReadContext is Read, given up when ctx ends: then the error is the cause of ctx, in a
// *fs.PathError. Pipes and what else the runtime's poller serves are read through os, with ctx
// turned into a deadline: a Read without a context that waits at the same time is interrupted, too.
// What os cannot interrupt (a device, a pipe in blocking mode) this cannot either. While an append that
// was given up is still under way in the kernel, reads at the position wait for it.
func (f *File) ReadContext(ctx context.Context, p []byte) (n int, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	if f.class == classOther || len(p) == 0 {
		return f.polledUntil(ctx, opRead, "read", (*os.File).SetReadDeadline, func() (int, error) { return f.os.Read(p) })
	}
	return f.readUntil(ctx, p)
}

// WriteContext is Write, given up when ctx ends: then the error is the cause of ctx, in a
// *fs.PathError, and bytes beyond the n that are reported may or may not reach the file, even
// later. See ReadContext for pipes.
func (f *File) WriteContext(ctx context.Context, p []byte) (n int, err error) {
	if f == nil || f.os == nil {
		return 0, fs.ErrInvalid
	}
	if f.class == classOther || len(p) == 0 {
		return f.polledUntil(ctx, opWrite, "write", (*os.File).SetWriteDeadline, func() (int, error) { return f.os.Write(p) })
	}
	return f.writeUntil(ctx, p)
}

// SyncContext is Sync, given up when ctx ends; the kernel may go on with it.
func (f *File) SyncContext(ctx context.Context) error {
	return f.controlUntil(ctx, &operation{code: opFsync, file: f}, "sync")
}

// DatasyncContext is Datasync, given up when ctx ends; the kernel may go on with it.
func (f *File) DatasyncContext(ctx context.Context) error {
	return f.controlUntil(ctx, &operation{code: opFdatasync, file: f}, "sync")
}

// PrefetchContext is Prefetch, given up when ctx ends; the kernel may go on with it.
func (f *File) PrefetchContext(ctx context.Context, off, length int64) error {
	if length < 0 && f != nil && f.os != nil {
		return f.wrap("prefetch", syscall.EINVAL)
	}
	return f.controlUntil(ctx, &operation{code: opPrefetch, file: f, off: off, length: length}, "prefetch")
}

// AllocateContext is Allocate, given up when ctx ends; the kernel may go on with it.
func (f *File) AllocateContext(ctx context.Context, off, length int64) error {
	return f.controlUntil(ctx, &operation{code: opAllocate, file: f, off: off, length: length}, "allocate")
}

// TruncateContext is Truncate, given up when ctx ends; the kernel may go on with it.
func (f *File) TruncateContext(ctx context.Context, size int64) error {
	return f.controlUntil(ctx, &operation{code: opTruncate, file: f, length: size}, "truncate")
}

// polledUntil makes a call of os that a deadline can interrupt, and interrupts it when ctx ends. One
// at a time in each direction, as they use the same deadline.
func (f *File) polledUntil(ctx context.Context, code opcode, word string, set func(*os.File, time.Time) error, call func() (int, error)) (int, error) {
	u := f.until(ctx, code)
	mu, by := &f.position, &f.readBy
	if code.writes() {
		mu, by = &f.writing, &f.writeBy
	}
	if err := context.Cause(ctx); err != nil {
		return 0, f.wrap(word, err)
	}
	if err := u.lock(mu); err != nil {
		return 0, f.wrap(word, err)
	}
	defer mu.Unlock()
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		by.mu.Lock()
		set(f.os, time.Unix(1, 0))
		by.mu.Unlock()
		close(interrupted)
	})
	n, err := call()
	if !stop() {
		<-interrupted
		by.mu.Lock()
		set(f.os, by.at) // as the user has it
		by.mu.Unlock()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = &fs.PathError{Op: word, Path: f.os.Name(), Err: context.Cause(ctx)}
		}
	}
	return n, err
}

// until is what ends a wait early: a context and a deadline.
type until struct {
	ctx  context.Context
	stop <-chan struct{} // of ctx
	late <-chan struct{} // of the deadline
}

func (f *File) until(ctx context.Context, code opcode) until {
	u := until{ctx: ctx, stop: ctx.Done()}
	if code.timed() {
		u.late = f.deadlineOf(code).late()
	}
	return u
}

// err returns the reason if the wait has ended, and who ended it.
func (u *until) err() (cause, error) {
	select {
	case <-u.stop:
		return byCaller, context.Cause(u.ctx)
	default:
	}
	select {
	case <-u.late:
		return byDeadline, os.ErrDeadlineExceeded
	default:
	}
	return notCancelled, nil
}

// lock takes mu unless u ends first. Two calls that use the position of one file, one of them with
// a context: rare enough for asking now and then.
func (u *until) lock(mu *sync.Mutex) error {
	for pause := 50 * time.Microsecond; !mu.TryLock(); pause = min(2*pause, 5*time.Millisecond) {
		if _, err := u.err(); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// transferUntil moves data until it is done or ctx or the deadline ends.
func (f *File) transferUntil(ctx context.Context, whole operation, word string) (n int, err error) {
	code, off := whole.code, whole.off
	u := f.until(ctx, code)
	if _, err := u.err(); err != nil {
		return 0, f.wrap(word, err)
	}
	if err := f.begin(word); err != nil {
		return 0, err
	}
	defer f.end()
	if errno := f.pollRefused(); errno != 0 {
		return 0, f.outcome(code, word, 0, 0, errno, notCancelled, nil)
	}
	total := whole.want()
	road := f.waitingRoad()
	if code.writes() && off == offCurrent && !(f.direct && f.polledOnly()) {
		// An append. A system call moves the position to the end, for which a file server may have to be
		// asked otherwise.
		road = roadBlocking
	}
	if code.reads() && !f.direct {
		var done int
		if done, _, road = f.tryInline(&whole); road == roadDone {
			return done, f.outcome(code, word, done, f.due(&whole), 0, notCancelled, nil)
		}
		n = done
	}
	one := opWrite
	if code.reads() {
		one = opRead
	}
	for n < total {
		size := min(total-n, bounceMax)
		b := newBounce(size)
		if one == opWrite {
			whole.copyOut(b.buf, n)
		}
		at := off
		if off != offCurrent {
			at += int64(n)
		}
		m, left, err := f.owned(&u, &operation{code: one, once: whole.once, file: f, buf: b.buf, off: at}, b, road, word)
		if left {
			return n, err
		}
		if one == opRead {
			whole.copyIn(b.buf[:m], n)
		}
		b.release()
		n += m
		if err != nil || whole.once && m < size {
			return n, err
		}
	}
	return n, nil
}

// copyIn stores data in the operation's buffers, behind the first n bytes; copyOut is the reverse.
func (op *operation) copyIn(data []byte, n int) {
	op.pieces(n, len(data), func(p []byte) { data = data[copy(p, data):] })
}

func (op *operation) copyOut(data []byte, n int) {
	op.pieces(n, len(data), func(p []byte) { data = data[copy(data, p):] })
}

// pieces calls do for each part of the buffers that lies within the size bytes behind the first n.
func (op *operation) pieces(n, size int, do func(p []byte)) {
	vec := op.vec
	if vec == nil {
		do(op.buf[n : n+size])
		return
	}
	for _, p := range vec {
		k := min(n, len(p))
		n -= k
		p = p[k:min(len(p), k+size)]
		size -= len(p)
		if len(p) > 0 {
			do(p)
		}
	}
}

// owned carries out op, whose buffer is b or nothing, and waits until it is done or u ends. In the
// latter case left is true, and b, and a use of the descriptor, have passed to the engine.
func (f *File) owned(u *until, op *operation, b *bounce, road road, word string) (n int, left bool, err error) {
	if road == roadRing && f.punts(op) {
		road = roadBlocking
	}
	if road == roadRing {
		if r := f.engine.pick(); r != nil {
			f.engine.stats.ring.add(1)
			if req, _ := r.start(op, 0, nil, false, u.stop, u.late); req != nil {
				return f.ownedRing(u, r, req, op, b, word)
			}
			_, err := u.err()
			if err == nil {
				err = f.refused(word)
			}
			if err != nil {
				b.release()
				return 0, true, f.wrap(word, err)
			}
		}
	}
	return f.ownedBlocking(u, op, 0, b, word)
}

func (f *File) ownedRing(u *until, r *ring, req *request, op *operation, b *bounce, word string) (n int, left bool, err error) {
	select {
	case <-req.done:
	case <-u.stop:
		left = true
	case <-u.late:
		left = true
	}
	if left {
		why, err := u.err()
		id := r.slab.id(req)
		req.bounce = b
		f.life.share()
		if req.phase.CompareAndSwap(uint32(submitted), uint32(abandoned)) {
			r.cancel(req, id, why)
			return 0, true, f.wrap(word, err)
		}
		f.end() // it was completed at that very moment
		<-req.done
	}
	n = req.n
	errno, why := req.errno, cause(req.cause.Load())
	r.release(req)
	if why == notCancelled && f.retreats(errno) {
		return f.ownedBlocking(u, op, n, b, word)
	}
	return n, false, f.outcome(op.code, word, n, f.due(op), errno, why, nil)
}

// ownedBlocking is owned on the blocking road, behind the first n bytes: in a goroutine of its own,
// whose thread stays in the system call when the caller leaves.
func (f *File) ownedBlocking(u *until, op *operation, n int, b *bounce, word string) (_ int, left bool, err error) {
	var state atomic.Uint32 // a phase, as of a request
	state.Store(uint32(submitted))
	type result struct {
		n   int
		why cause
		err error
	}
	done := make(chan result, 1)
	own := *op // the goroutine's, as the caller may leave
	stop, late := u.stop, u.late
	f.life.share()
	go func() {
		var res result
		res.n, res.why, res.err = f.blockUnless(&own, n, word, stop, late, func() bool { return phase(state.Load()) == abandoned })
		completes := state.CompareAndSwap(uint32(submitted), uint32(completed))
		f.end() // before the caller goes on: a Close that comes next closes the descriptor
		if completes {
			done <- res
		} else {
			b.release()
		}
	}()
	var res result
	select {
	case res = <-done:
	case <-u.stop:
		left = true
	case <-u.late:
		left = true
	}
	if left {
		if state.CompareAndSwap(uint32(submitted), uint32(abandoned)) {
			_, err := u.err()
			return 0, true, f.wrap(word, err)
		}
		res = <-done // it was completed at that very moment
	}
	switch res.why {
	case notCancelled:
		return res.n, false, res.err
	case byCaller: // the goroutine saw it first
		_, err := u.err()
		return res.n, false, f.wrap(word, err)
	}
	return res.n, false, f.outcome(op.code, word, res.n, 0, syscall.ECANCELED, res.why, nil)
}

// controlUntil carries out an operation that moves no data, until ctx or the deadline ends.
func (f *File) controlUntil(ctx context.Context, op *operation, word string) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	u := f.until(ctx, op.code)
	if _, err := u.err(); err != nil {
		return f.wrap(word, err)
	}
	if err := f.begin(word); err != nil {
		return err
	}
	defer f.end()
	_, _, road := f.tryInline(op)
	_, _, err := f.owned(&u, op, nil, road, word)
	return err
}

// readUntil reads at the position.
func (f *File) readUntil(ctx context.Context, p []byte) (n int, err error) {
	return f.positionUntil(ctx, opRead, p, "read")
}

// writeUntil writes at the position.
func (f *File) writeUntil(ctx context.Context, p []byte) (n int, err error) {
	return f.positionUntil(ctx, opWrite, p, "write")
}

// positionUntil moves data at the position that the file has now. It moves the position when that
// is done, so that a transfer that is given up leaves it alone. An append moves it by itself, as far
// as it gets.
func (f *File) positionUntil(ctx context.Context, code opcode, p []byte, word string) (n int, err error) {
	u := f.until(ctx, code)
	if _, err := u.err(); err != nil {
		return 0, f.wrap(word, err)
	}
	if err := u.lock(&f.position); err != nil {
		return 0, f.wrap(word, err)
	}
	defer f.position.Unlock()
	if err := f.begin(word); err != nil {
		return 0, err
	}
	defer f.end()
	op := operation{code: code, once: code.reads(), file: f, buf: p, off: offCurrent}
	appends := code.writes() && f.append // the kernel finds the end
	var pos int64
	if !appends { // one that was left behind holds the kernel's lock of the position
		if at, err := f.os.Seek(0, io.SeekCurrent); err == nil {
			pos, op.off = at, at
		}
	}
	n, err = f.transferUntil(ctx, op, word)
	if n == 0 && op.off != offCurrent && errors.Is(err, syscall.ESPIPE) {
		// It takes no offsets, as some files in /proc do; its position is known to the kernel alone.
		op.off = offCurrent
		n, err = f.transferUntil(ctx, op, word)
	}
	// Other appends have moved it, see transferUntil.
	if n > 0 && (op.off != offCurrent || appends && f.direct && f.polledOnly()) {
		if err1 := f.movePosition(&op, pos+int64(n)); err == nil || err == io.EOF {
			err = err1 // a read that found something has not ended
		}
	}
	return n, err
}
