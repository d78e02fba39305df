package ringfile

import (
	"os"
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
	k.flush()
	for k.ring.CQReady() < minComplete {
		if flags&uring.EnterExtArg != 0 && n == 0 {
			return 0, syscall.ETIME, true // with all that can be had
		}
		if flags&uring.EnterExtArg != 0 {
			return int(n), 0, true
		}
		k.arrived.Wait()
	}
	return int(n), 0, true
}

// take answers a submission, unless it is to stay pending. mu is held.
func (k *fakeKernel) take(e *uring.SQE) {
	switch {
	case e.Opcode == uring.OpAsyncCancel:
		res := -int32(syscall.ENOENT)
		for i := range k.pending {
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
	for len(k.overflow) > 0 && k.fake.PostCQE(k.overflow[0]) {
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
}

// newFakeKernel returns the kernel of a ring whose queues have the given number of entries.
func newFakeKernel(t *testing.T, entries uint32, features uring.Features) *fakeKernel {
	t.Helper()
	k := &fakeKernel{}
	k.arrived = sync.NewCond(&k.mu)
	var err error
	if k.ring, k.fake, err = uring.NewFake(entries, entries, 0, features, k.enter); err != nil {
		t.Fatal(err)
	}
	return k
}

const fakeDepth = 16

// fakeEngine returns an engine with one ring, whose kernel is a fake. At the end of the test nothing
// may be left in it; the test closes the files.
func fakeEngine(t *testing.T) (*Engine, *fakeKernel) {
	t.Helper()
	return fakeEngineWith(t, 0)
}

// fakeEngineWith is fakeEngine with a kernel that has features.
func fakeEngineWith(t *testing.T, features uring.Features) (*Engine, *fakeKernel) {
	t.Helper()
	t.Setenv("RINGFILE_BACKEND", "blocking")
	e, err := New(Config{CloseTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	k := newFakeKernel(t, 2*fakeDepth, features)
	r, err := newRing(e, k.ring, fakeDepth)
	if err != nil {
		t.Fatal(err)
	}
	e.homes, e.rings = []*ring{r}, []*ring{r}
	// A write that is alone, or nearly so, would be left to a system call.
	r.writes.crowd.Store(1 << 30)
	r.crowd.Store(1 << 30)
	stop := testutil.Watchdog(t, time.Minute)
	t.Cleanup(func() {
		defer stop()
		if err := e.Close(); err != nil {
			t.Errorf("Engine.Close: %v", err)
		}
		r.mu.Lock()
		free := len(r.free)
		r.mu.Unlock()
		if s := e.Stats(); free != fakeDepth || s.InFlight != 0 || s.BlockingCalls != 0 || r.cancels != 0 {
			t.Errorf("%d of %d slots are free, %d cancellations out, %+v", free, fakeDepth, r.cancels, s)
		}
	})
	return e, k
}

// fakeFile opens a file of Pattern whose transfers and syncs go through the ring.
func fakeFile(t *testing.T, e *Engine) *File {
	t.Helper()
	f, err := e.OpenFile(testutil.PatternFile(t, 64<<10), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.direct = true // for the choice of roads; the descriptor takes any buffer
	f.volume.nowait.Store(yes)
	f.volume.memory.Store(no)
	t.Cleanup(func() {
		f.Close()
		for i := 0; f.life.uses.Load() != closedBit; i++ {
			if i == 10_000 {
				t.Fatalf("the descriptor still has %d users", f.life.uses.Load()&^closedBit)
			}
			time.Sleep(time.Millisecond)
		}
	})
	return f
}
