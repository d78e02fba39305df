package ringfile

import (
	"io"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/route"
	"github.com/ringfile/ringfile/internal/sysio"
)

// target is what operations are carried out on: an open descriptor, its device, and what earlier
// operations have encountered.
type target struct {
	descriptor
	engine *Engine
	dev    *device

	// What short calls look at, in as few cache lines as possible.
	id       uint32       // in express tickets
	shorts   atomic.Int32 // short calls before the first that had one
	cached   bool         // buffered reads may be tried with RWF_NOWAIT
	shared   atomic.Bool  // the position may be that of other descriptors, too
	copies   atomic.Int32 // copies by os that move the position at any time, see beginCopy
	hits     atomic.Int32 // reads in a row that the page cache had, see readNow
	misses   atomic.Int32 // reads in a row that were not in the page cache
	position limit.Lock   // held by transfers at the position: by some for themselves, see position.go
	left     leftWrites
	writeBy  deadline
	readBy   deadline

	size   atomic.Int64 // of the file when it was last asked for, see grows
	synced atomic.Int32 // direct writes to go until they are no longer those of one who syncs
	line   line
	syncs  syncs
}

// open makes t the target of an open file, and tells it the device that the file is expected to be on.
func (t *target) open(e *Engine, h sysio.Handle, s sysio.Status, expected *device) {
	t.engine, t.Handle, t.Status = e, h, s
	number := s.Device
	if s.Block {
		number |= blockDevice
	}
	if t.dev = expected; expected == nil || expected.number != number {
		t.dev = e.devices.at(number)
	}
	if s.Block {
		t.dev.facts.memory.Set(route.No) // whatever the file system that its node is on
	}
	t.id = limit.ID(t.dev.files.Add(1))
	t.polled = e.devices.config.IOPoll && e.devices.uring
	t.closing = t.dev.closing
	t.syncs.shared = &e.stats.sharedSyncs
	t.cached = s.Seekable && !s.Direct && e.devices.uring && !e.devices.rings.falseEOF
	t.uses.Store(1)
}

// begin admits an operation: the descriptor stays open until end. name is used in the error.
func (t *target) begin(name string) error {
	if !t.acquire() {
		return t.wrap(name, fs.ErrClosed)
	}
	if t.engine.devices.closed.Load() {
		t.releaseAsync()
		return t.wrap(name, ErrEngineClosed)
	}
	return nil
}

func (t *target) end() { t.release() }

// deadlineOf returns the deadline that an operation is subject to. Syncs count as writes.
func (t *target) deadlineOf(code opcode) *deadline {
	if code.reads() {
		return &t.readBy
	}
	return &t.writeBy
}

// until returns what ends an operation early, in addition to ctx.
func (t *target) until(u until, code opcode) until {
	if code.timed() {
		u.late = t.deadlineOf(code).late()
	}
	return u
}

// input gathers what the route of an operation depends on, after the first n bytes. leavable is true
// for a Future and for an operation with a context.
func (t *target) input(op *operation, n int, leavable bool) route.Input {
	f := &t.dev.facts
	in := route.Input{
		Kind: op.code.kind(), Size: op.want() - n,
		Ring: t.engine.devices.uring, Seekable: t.Seekable, Direct: t.Direct,
		Nowait: f.nowait.Get(), Polled: t.polled,
		FalseEOF: t.engine.devices.rings.falseEOF, Leavable: leavable, Position: op.off == offCurrent,
	}
	if !in.Ring || !in.Seekable || in.Kind == route.Write && !in.Direct {
		return in // whatever else there is: it is a system call
	}
	if in.Direct && in.Kind == route.Write && in.Nowait == route.Yes {
		in.Serial = t.serial(op)
	}
	return in
}

// serial reports whether op is, as far as that can be told, a direct write that a ring would pass to a
// kernel worker because the file system cannot start it without waiting: one that extends the file, and
// any with copy on write. It also reports a write between two syncs, where a ring gains nothing because
// the caller waits for the device's cache (docs/decisions.md).
func (t *target) serial(op *operation) bool {
	if t.polled {
		return false
	}
	if t.Append || t.dev.facts.cow.Get() == route.Yes || t.grows(op) {
		return true
	}
	if n := t.synced.Load(); n > 0 && !t.engine.devices.config.polls() {
		t.synced.Store(n - 1)
		return true
	}
	return false
}

// syncMemory is for how many direct writes a file remembers that it was synced.
const syncMemory = 8

// grows reports whether op, a write, extends the file.
func (t *target) grows(op *operation) bool {
	end := op.off + int64(op.want())
	if op.off == offCurrent || end <= t.size.Load() {
		return false
	}
	size, ok := t.Length()
	if ok {
		t.size.Store(size)
	}
	return ok && end > size
}

// cold decides from the latest reads whether the next one should skip the page cache: after missLimit
// reads that found nothing there, all but one in missProbe do.
func (t *target) cold() bool {
	misses := t.misses.Load()
	if misses < missLimit || misses%missProbe == 0 {
		return false
	}
	t.misses.Store((misses + 1) & math.MaxInt32)
	return true
}

const (
	missLimit = 8
	missProbe = 32
)

// perform carries op out and waits until it has finished. The caller has called begin.
func (t *target) perform(op *operation) (n int, err error) {
	if op.changes() {
		t.left.wait(op, until{}, nil)
	}
	if err := t.pollRefused(op); err != nil {
		return 0, err
	}
	in := t.input(op, 0, false)
	if in.Kind == route.Read && !in.Direct {
		in.Cold = t.cold()
	}
	few := t.few(&in)
	r := route.Choose(in)
	if r != route.Ring {
		permit := t.permit(op)
		n, r, err = t.attempt(op, 0, r, &permit, in)
		t.giveBack(op, &permit)
	}
	if few != nil && in.Few {
		few.Leave()
	}
	if r != route.Ring {
		return n, err
	}
	n, errno, why, taken := t.park(op, n)
	switch {
	case !taken:
		if err := t.refused(op.code.name()); err != nil {
			return n, err
		}
	case why != notCancelled || !op.retreats(errno):
		return n, op.outcome(n, errno, why, nil)
	default:
		t.engine.stats.refused.Add(1)
	}
	permit := t.permit(op)
	defer t.giveBack(op, &permit)
	return t.call(op, n, &permit)
}

// few sets in.Few: whether so few transfers are in flight that op is better made by a system call. It
// returns nil where that makes no difference; otherwise the caller must leave the returned Few when it
// has finished.
func (t *target) few(in *route.Input) *route.Few {
	if !in.Ring || !in.Seekable || in.Kind > route.Write || in.Leavable || t.engine.devices.config.polls() {
		return nil
	}
	few, most := &t.dev.reads, t.dev.few()
	switch {
	case in.Direct && in.Kind == route.Read:
		if in.Size >= route.FewMiss {
			most *= 2 // fewer keep a device busy
		}
	case in.Direct:
		few = &t.dev.writes
	case in.Kind == route.Read && in.Size < route.FewMiss:
	case in.Kind == route.Read && in.Size < route.LargeMiss:
		few, most = &t.dev.large, 4*most
	default:
		return nil
	}
	in.Few = few.Enter(t.dev.inFlight(), most)
	return few
}

// counted reports whether op takes a permit for blocking calls on files of the device. Transfers that
// are left to os take none: they may wait for this very program.
func (t *target) counted(op *operation) bool { return t.Seekable || !op.code.moves() }

func (t *target) permit(op *operation) limit.Permit {
	if !t.counted(op) {
		return limit.Permit{}
	}
	return t.dev.calls.Acquire()
}

func (t *target) giveBack(op *operation, p *limit.Permit) {
	if t.counted(op) {
		t.dev.calls.Release(p)
	}
}

// refused returns the error of an operation that came too late, because the file or the engine has been
// closed since begin; nil if there is another way to do it.
func (t *target) refused(name string) error {
	switch {
	case t.closed():
		return t.wrap(name, fs.ErrClosed)
	case t.engine.devices.closed.Load():
		return t.wrap(name, ErrEngineClosed)
	}
	return nil
}

// attempt carries op out, after the first n bytes, by calls of this thread, as far as its route says.
// It returns Ring if the rest is for a ring.
func (t *target) attempt(op *operation, n int, r route.Route, permit *limit.Permit, in route.Input) (int, route.Route, error) {
	if r == route.Inline {
		var done bool
		if n, done = t.inline(op, n); done {
			return n, r, op.outcome(n, 0, notCancelled, nil)
		}
		in.Size, in.Nowait = op.want()-n, t.dev.facts.nowait.Get()
		if r = route.AfterMiss(in); r == route.Ring {
			return n, r, nil
		}
	}
	n, err := t.call(op, n, permit)
	return n, route.Syscall, err
}

// inline reads what the page cache has, after the first n bytes. It reports whether that was all that
// was requested, or all that there is.
func (t *target) inline(op *operation, n int) (_ int, done bool) {
	facts := &t.dev.facts
	for total, first := op.want(), n; ; {
		var m int
		var errno syscall.Errno
		if op.vec == nil {
			m, errno = t.PreadNowait(op.rest(n), op.at(n))
		} else {
			var room [16][]byte
			m, errno = t.PreadvNowait(op.buffers(n, room[:0]), op.at(n))
		}
		switch errno {
		case 0:
			facts.nowait.Set(route.Yes)
		case syscall.EINTR:
			continue
		case syscall.EOPNOTSUPP, syscall.ENOSYS:
			facts.nowait.Set(route.No)
			return n, false
		default: // EAGAIN, or os has the last word
			if n > first {
				t.engine.stats.cached.Add(n - first)
			} else if errno == syscall.EAGAIN {
				t.misses.Store(max((t.misses.Load()+1)&math.MaxInt32, 1))
			}
			return n, false
		}
		if m == 0 && !t.engine.devices.uring {
			return n, false // it may be wrong (docs/kernels.md), and without a ring we do not know: a call has the last word
		}
		if n += m; m == 0 || n == total || op.enough(n) {
			if t.misses.Load() != 0 {
				t.misses.Store(0)
			}
			t.engine.stats.cached.Add(n - first)
			return n, true
		}
	}
}

// call carries op out by blocking system calls, after the first n bytes. The error is what the caller
// of File gets.
func (t *target) call(op *operation, n int, permit *limit.Permit) (int, error) {
	region := startRegion("ringfile.blocking")
	defer endRegion(region)
	permit.Note(clock())
	m, err := t.calls(op, n)
	t.learn()
	t.engine.stats.blocking.Add(max(m-n, 0))
	return m, err
}

func (t *target) calls(op *operation, n int) (int, error) {
	switch {
	case op.code.moves() && t.byOS(op):
		return t.eachByOS(op, n)
	case op.code.syncs():
		if t.Direct {
			t.synced.Store(syncMemory)
		}
		if !t.Seekable {
			return 0, t.OS.Sync()
		}
		return 0, t.wrap("sync", t.Sync(op.code == opFdatasync))
	case op.code == opAllocate, op.code == opPunchHole:
		return 0, t.wrap(op.code.name(), t.Allocate(op.mode, op.off, op.length))
	case op.code == opAdvise:
		return 0, t.wrap(op.code.name(), t.Handle.Advise(op.off, op.length, int(op.mode)))
	case op.vec != nil:
		return t.vector(op, n)
	case op.atomic:
		n, errno := t.PwriteAtomic(op.buf, op.off)
		return n, op.outcome(n, errno, notCancelled, nil)
	case t.asks():
		if n, done := t.ask(op, n); done {
			return n, op.outcome(n, 0, notCancelled, nil)
		}
	}
	var m int
	var err error
	if op.code.reads() {
		m, err = t.Pread(op.buf[n:], op.at(n), op.once)
	} else {
		m, err = t.Pwrite(op.buf[n:], op.at(n))
	}
	if n > 0 && op.once && err == io.EOF {
		err = nil // the head has been read already
	}
	return n + m, t.wrap(op.code.name(), err)
}

// byOS reports whether a transfer is left to os.
func (t *target) byOS(op *operation) bool { return !t.Seekable || t.trivial(op) }

// trivial reports whether a transfer is an error that os knows, or moves nothing: it does not wait.
func (t *target) trivial(op *operation) bool {
	return op.off < offCurrent || op.want() == 0 || op.off != offCurrent && t.Append && op.code.writes() && t.Seekable
}

// eachByOS makes a call of os for each buffer, after the first n bytes.
func (t *target) eachByOS(op *operation, n int) (int, error) {
	call := t.OS.WriteAt
	if op.code.reads() {
		call = t.OS.ReadAt
	}
	if op.off == offCurrent {
		call = func(p []byte, _ int64) (int, error) { return t.OS.Write(p) }
		if op.code.reads() {
			call = func(p []byte, _ int64) (int, error) { return t.OS.Read(p) }
		}
	}
	if op.want() == 0 || op.off < offCurrent {
		return call(nil, op.off)
	}
	var err error
	op.pieces(n, op.want()-n, func(p []byte) {
		if err == nil {
			var m int
			m, err = call(p, op.at(n))
			n += m
		}
	})
	return n, err
}

// vector is call for a vector.
func (t *target) vector(op *operation, n int) (int, error) {
	call := t.Pwritev
	if op.code.reads() {
		call = t.Preadv
	}
	for n < op.want() {
		var room [16][]byte
		m, err := call(op.buffers(n, room[:0]), op.at(n))
		n += m
		switch {
		case err == io.EOF:
			return n, err
		case err != nil:
			return n, t.wrap(op.code.name(), err)
		case m == 0:
			return n, op.outcome(n, 0, notCancelled, nil)
		}
	}
	return n, nil
}

// asks reports whether a direct transfer is to find out what its device supports.
func (t *target) asks() bool {
	return t.Direct && t.engine.devices.uring && !t.polled && t.dev.facts.nowait.Get() == route.Unknown
}

// ask uses a direct transfer to find out whether the device supports RWF_NOWAIT: without it a ring
// would block kernel threads. It waits for the device, and counts.
func (t *target) ask(op *operation, n int) (_ int, done bool) {
	call := t.PwriteNowait
	if op.code.reads() {
		call = t.PreadNowait
	}
	m, errno := call(op.rest(n), op.at(n))
	switch errno {
	case 0, syscall.EAGAIN:
		t.dev.facts.nowait.Set(route.Yes)
	case syscall.EOPNOTSUPP, syscall.ENOSYS:
		// Not if somebody has switched O_DIRECT off for a moment: some file systems know the flag for direct
		// transfers only.
		if t.DirectNow() {
			t.dev.facts.nowait.Set(route.No)
		}
	}
	n += m
	return n, errno == 0 && (m == 0 || n == op.want() || op.once)
}

// learn finds out what kind of file system the file is on, now that the file system has responded.
func (t *target) learn() {
	f := &t.dev.facts
	if f.memory.Get() != route.Unknown || !t.Seekable {
		return
	}
	switch t.Medium() {
	case sysio.MediumMemory:
		f.memory.Set(route.Yes)
		return
	case sysio.MediumCopyOnWrite:
		f.cow.Set(route.Yes)
	}
	f.memory.Set(route.No)
}

// pollRefused returns the error of a direct transfer on an engine that polls, if the device is known
// not to support polling. Otherwise the kernel decides: the completion says EOPNOTSUPP, on kernels that
// do not simply wait for the interrupt instead.
func (t *target) pollRefused(op *operation) error {
	if !t.polled || !t.Direct || !op.code.moves() {
		return nil
	}
	f := &t.dev.facts.polled
	if f.Get() == route.Unknown {
		if polled, known := t.PollQueues(); known && !polled {
			f.Set(route.No)
		} else {
			f.Set(route.Yes)
		}
	}
	if f.Get() == route.No {
		return op.outcome(0, syscall.EOPNOTSUPP, notCancelled, nil)
	}
	return nil
}

// parked is the request of a goroutine that waits for it.
type parked struct {
	request
	done chan struct{} // one element
	err  error         // of a sync
}

func (p *parked) complete(*request) { p.done <- struct{}{} }

var parkedPool sync.Pool // of *parked; without New, as its channels are of no test's bubble

func newParked(op *operation, n int) *parked {
	p, _ := parkedPool.Get().(*parked)
	if p == nil {
		p = &parked{done: outside.Chan()}
		p.to = p
	}
	p.reset(op, n)
	return p
}

func (p *parked) free() {
	p.forget()
	p.err = nil
	parkedPool.Put(p)
}

// park carries op out on a ring, after the first n bytes, and parks the goroutine until that is done.
// It returns the total of bytes moved and the error number of the transfer that failed, if one did.
// taken is false, and nothing has been done, if no ring accepted the request.
func (t *target) park(op *operation, n int) (_ int, errno syscall.Errno, why cause, taken bool) {
	q := t.dev.queue()
	if q == nil {
		return n, 0, notCancelled, false
	}
	region := startRegion("ringfile.ring")
	defer endRegion(region)
	p := newParked(op, n)
	if taken = q.submit(&p.request); taken {
		<-p.done
		n, errno, why = p.n, p.errno, p.why
	}
	p.free()
	return n, errno, why, taken
}

// sharesSyncs reports whether a sync of the file waits for something: otherwise sharing it costs more
// than it saves.
func (t *target) sharesSyncs() bool { return t.Stored && t.dev.facts.memory.Get() == route.No }

// sync carries out op, a sync, or has part in one. The caller has called begin.
func (t *target) sync(op *operation) error {
	t.engine.stats.syncs.Add(1)
	if !t.sharesSyncs() {
		_, err := t.perform(op)
		return err
	}
	if ok, err := t.syncs.now(t, op.code); ok {
		return err
	}
	p := newParked(op, 0)
	t.syncs.later(t, &p.request, p)
	<-p.done
	err := p.err
	p.free()
	return err
}

// onSync, if a test has set it, is called before each shared sync: it may make the sync fail, and the
// function it returns is called when the sync has ended.
var onSync func() (ended func(), err error)

// makeSync makes the system call.
func (t *target) makeSync(code opcode) error {
	if onSync != nil {
		ended, err := onSync()
		if err != nil {
			return err
		}
		defer ended()
	}
	_, err := t.perform(&operation{code: code, desc: &t.descriptor})
	return err
}

// A goroutine that is parked until a sync is made, see syncing.

func (p *parked) over() cause {
	if p.desc.closed() {
		return byFileClose
	}
	return notCancelled
}

func (p *parked) synced(err error) {
	p.err = err
	p.done <- struct{}{}
}

func (p *parked) giveUp(why cause) { p.synced(p.desc.wrap(p.code.name(), why.err(nil))) }

// reset makes req a new request for op, behind the first n bytes.
func (req *request) reset(op *operation, n int) {
	req.operation = *op
	req.n, req.total = n, op.want()
	req.errno, req.why, req.tries = 0, notCancelled, 0
	req.gaveUp.Store(uint32(notCancelled))
	req.late = nil
}

// forget drops the operation's references.
func (req *request) forget() {
	req.operation = operation{}
	clear(req.iovs[:cap(req.iovs)])
}
