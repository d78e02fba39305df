package ringfile

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// fakeKernel plays the kernel for an engine: it takes submissions in enter, carries them out by
// system calls, and answers as a test tells it.
type fakeKernel struct {
	fake *uring.Fake
	ring *uring.Ring

	mu       sync.Mutex
	arrived  *sync.Cond // a completion was posted
	overflow []uring.CQE
	pending  []uring.SQE // taken, and not answered: the device hangs
	script   []answer    // of the transfers and syncs to come; then all goes well
	enters   []entry     // of the enters to come; then all goes well

	// hold, if set, says of a submission that it is to stay pending.
	hold func(e *uring.SQE) bool
	// posted, if set, is called with each completion and returns what becomes visible.
	posted func(c uring.CQE) []uring.CQE
	// keeps has completions that have overflown stay where nobody sees them.
	keeps bool
	// deaf has requests stay pending that are to be cancelled.
	deaf bool
	// stuck, if set, is where every enter waits, until it is closed; with submitsStick those that submit.
	stuck        chan struct{}
	submitsStick bool

	callers int // enters by somebody else than the queue's two goroutines
	waiters int // enters that wait for a completion now
}

// answer is what becomes of a submission: it moves n bytes at most, -1 for all, or does nothing and
// is said to have had the result res.
type answer struct {
	n      int
	claims bool
	res    int32
}

// moves transfers n bytes at most, -1 for all of them. Of a vector it transfers the first buffer
// alone unless n is -1.
func moves(n int) answer { return answer{n: n} }

func claims(res int32) answer { return answer{claims: true, res: res} }

func fails(errno syscall.Errno) answer { return claims(-int32(errno)) }

func times(n int, a answer) []answer {
	var all []answer
	for range n {
		all = append(all, a)
	}
	return all
}

// entry is what an enter does: it fails with errno, or takes take submissions at most.
type entry struct {
	errno syscall.Errno
	take  uint32
}

// transfer carries e out for real.
func transfer(e *uring.SQE, n int) int32 {
	size := uintptr(e.Len)
	if n >= 0 {
		size = min(size, uintptr(n))
	}
	one := size
	if n >= 0 {
		one = min(uintptr(e.Len), 1)
	}
	lo, hi := uintptr(e.Off), uintptr(e.Off>>32)
	fd, addr := uintptr(e.FD), uintptr(e.Addr)
	var m uintptr
	var errno syscall.Errno
	switch e.Opcode {
	case uring.OpRead:
		m, _, errno = unix.Syscall6(unix.SYS_PREAD64, fd, addr, size, lo, hi, 0)
	case uring.OpWrite:
		m, _, errno = unix.Syscall6(unix.SYS_PWRITE64, fd, addr, size, lo, hi, 0)
	case uring.OpReadv:
		m, _, errno = unix.Syscall6(unix.SYS_PREADV, fd, addr, one, lo, hi, 0)
	case uring.OpWritev:
		m, _, errno = unix.Syscall6(unix.SYS_PWRITEV, fd, addr, one, lo, hi, 0)
	case uring.OpFallocate:
		errno, _ = unix.Fallocate(int(e.FD), e.Len, int64(e.Off), int64(e.Addr)).(syscall.Errno)
	}
	if errno != 0 {
		return -int32(errno)
	}
	return int32(m)
}

// enter is the io_uring_enter of the engine's ring.
func (k *fakeKernel) enter(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !byQueue() {
		k.callers++
	}
	if stuck := k.stuck; stuck != nil && (toSubmit > 0 || !k.submitsStick) {
		k.waiters++
		k.mu.Unlock()
		<-stuck
		k.mu.Lock()
		k.waiters--
	}
	limit := toSubmit
	if len(k.enters) > 0 && (toSubmit > 0 || minComplete > 0) {
		next := k.enters[0]
		k.enters = k.enters[1:]
		if next.errno != 0 {
			return 0, next.errno, true
		}
		limit = min(limit, next.take)
	}
	var n uint32
	for ; n < limit; n++ {
		e, ok := k.fake.TakeSQE()
		if !ok {
			break
		}
		k.take(&e)
	}
	if n < toSubmit || flags&uring.EnterGetEvents == 0 {
		return int(n), 0, true // as the real one, which does not wait then
	}
	k.waiters++
	for k.flush(); k.ring.CQReady() < minComplete; k.flush() {
		k.arrived.Wait()
	}
	k.waiters--
	return int(n), 0, true
}

// byQueue reports whether it is called by one of the two goroutines of a queue.
func byQueue() bool {
	var pcs [32]uintptr
	for frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])]); ; {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, ".(*queue).reap") || strings.HasSuffix(frame.Function, ".(*queue).submitQueued") ||
			strings.HasSuffix(frame.Function, ".(*queue).submitAlone") {
			return true
		}
		if !more {
			return false
		}
	}
}

// take answers a submission, unless it is to stay pending. mu is held.
func (k *fakeKernel) take(e *uring.SQE) {
	switch {
	case e.Opcode == uring.OpAsyncCancel:
		res := -int32(syscall.ENOENT)
		for i := range k.pending {
			if k.pending[i].UserData == e.Addr && k.deaf {
				res = -int32(syscall.EALREADY)
				break
			}
			if k.pending[i].UserData == e.Addr {
				k.pending = append(k.pending[:i], k.pending[i+1:]...)
				k.post(uring.CQE{UserData: e.Addr, Res: -int32(syscall.ECANCELED)})
				res = 0
				break
			}
		}
		k.post(uring.CQE{UserData: e.UserData, Res: res})
	case k.hold != nil && k.hold(e):
		k.pending = append(k.pending, *e)
		k.arrived.Broadcast()
	default:
		k.answer(e)
	}
}

func (k *fakeKernel) answer(e *uring.SQE) {
	do := moves(-1)
	if len(k.script) > 0 {
		do = k.script[0]
		k.script = k.script[1:]
	}
	res := do.res
	if !do.claims {
		res = transfer(e, do.n)
	}
	k.post(uring.CQE{UserData: e.UserData, Res: res})
}

// post makes a completion visible, or keeps it until there is room.
func (k *fakeKernel) post(c uring.CQE) {
	all := []uring.CQE{c}
	if k.posted != nil {
		all = k.posted(c)
	}
	for _, c := range all {
		if len(k.overflow) > 0 || !k.fake.PostCQE(c) {
			k.overflow = append(k.overflow, c)
			k.fake.SetSQFlags(uring.SQCQOverflow)
		}
	}
	k.arrived.Broadcast()
}

// flush posts what has overflown.
func (k *fakeKernel) flush() {
	for !k.keeps && len(k.overflow) > 0 && k.fake.PostCQE(k.overflow[0]) {
		k.overflow = k.overflow[1:]
	}
	if len(k.overflow) == 0 {
		k.fake.SetSQFlags(0)
	}
}

// wait waits until n submissions are pending.
func (k *fakeKernel) wait(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.pending) < n {
		k.arrived.Wait()
	}
}

// finish answers what is pending, in the order that pick chooses among n.
func (k *fakeKernel) finish(pick func(n int) int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.pending) > 0 {
		i := pick(len(k.pending))
		e := k.pending[i]
		k.pending = append(k.pending[:i], k.pending[i+1:]...)
		k.answer(&e)
	}
}

// set changes the kernel's instructions.
func (k *fakeKernel) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	k.arrived.Broadcast()
}

// until waits until cond, which is called with mu held, is true.
func (k *fakeKernel) until(cond func() bool) {
	for {
		k.mu.Lock()
		ok := cond()
		k.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// newFakeKernel returns the kernel of a ring whose queues have the given number of entries.
func newFakeKernel(t *testing.T, entries uint32, flags uring.SetupFlags) *fakeKernel {
	t.Helper()
	k := &fakeKernel{}
	k.arrived = sync.NewCond(&k.mu)
	var err error
	if k.ring, k.fake, err = uring.NewFake(entries, entries, flags, 0, k.enter); err != nil {
		t.Fatal(err)
	}
	return k
}

const fakeDepth = 16

// fakeEngine returns an engine whose first device has one ring, and the kernel of that, which is a fake. At
// the end of the test nothing may be left in it; the test closes the files.
func fakeEngine(t *testing.T) (*Engine, *fakeKernel) {
	t.Helper()
	t.Setenv("RINGFILE_BACKEND", "blocking")
	e, err := New(Config{Rings: 1, CloseTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	k := newFakeKernel(t, 2*fakeDepth, 0)
	e.devices.uring, e.devices.rings.spare, e.devices.rings.spareSlots = true, k.ring, fakeDepth
	stop := testutil.Watchdog(t, time.Minute)
	t.Cleanup(func() {
		defer stop()
		if err := e.Close(); err != nil {
			t.Errorf("Engine.Close: %v", err)
		}
		if s := e.Stats(); s.InFlight != 0 || s.BlockingCalls != 0 || s.OldestInFlight != 0 {
			t.Errorf("left in the engine: %+v", s)
		}
		if k.callers != 0 {
			t.Errorf("the ring was entered %d times by callers", k.callers)
		}
		for _, l := range e.devices.everyLane() {
			checkLane(t, l)
		}
	})
	return e, k
}

// checkLane checks that nothing is left on a lane.
func checkLane(t *testing.T, l *lane) {
	t.Helper()
	for _, p := range []interface{ Present() int }{l.calls, l.names, l.loans} {
		for i := 0; p.Present() != 0; i++ { // who has been told that a call has ended may still be giving back
			if i == 10_000 {
				t.Errorf("%d permits are left with somebody", p.Present())
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	for q := range l.everyQueue {
		q.mu.Lock()
		free, all := len(q.slots.free), len(q.slots.all)
		if free != all || q.cancels != 0 || q.waiting.n != 0 || q.inFlight.Load() != 0 {
			t.Errorf("%d of %d slots are free, %d cancellations are out, %d requests in line", free, all, q.cancels, q.waiting.n)
		}
		q.mu.Unlock()
	}
}

// fakeFile opens a file of Pattern whose transfers and syncs go through the ring.
func fakeFile(t *testing.T, e *Engine) *File {
	t.Helper()
	f, err := e.OpenFile(testutil.PatternFile(t, 64<<10), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.t.Direct = true // for the choice of routes; the descriptor takes any buffer
	f.t.cached = false
	throughRing(t, f)
	t.Cleanup(func() {
		f.Close()
		for i := 0; f.t.uses.Load() != closedBit; i++ {
			if i == 10_000 {
				t.Fatalf("the descriptor still has %d users", f.t.uses.Load()&^closedBit)
			}
			time.Sleep(time.Millisecond)
		}
	})
	return f
}
