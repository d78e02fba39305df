package ringfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// onTime checks the error of a call whose context, or deadline, has ended.
func onTime(t *testing.T, what string, want error, call func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	promptly(t, what, func() {
		if err := call(ctx); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	})
}

// TestCallersNeverEnter has every io_uring_enter block, as on a device whose queue is full. Whoever must not
// wait does not, as no caller enters the ring; later everything completes.
func TestCallersNeverEnter(t *testing.T) {
	e, k := fakeEngine(t)
	f, g, h := fakeFile(t, e), fakeFile(t, e), fakeFile(t, e)
	stuck := make(chan struct{})
	k.set(func() { k.stuck = stuck })
	buf := func() []byte { return make([]byte, 1024) }

	var reads, cancelled, closed, late []*Future[int]
	start := func(all *[]*Future[int], f *File) {
		promptly(t, "StartReadAt", func() { *all = append(*all, f.StartReadAt(buf(), 0)) })
	}
	start(&reads, f)
	start(&reads, f)
	k.until(func() bool { return k.waiters == 1 }) // the submitter: the reaper has nothing to wait for yet
	promptly(t, "SetDeadline", func() { h.SetDeadline(time.Now().Add(time.Hour)) })
	for range 2 * fakeDepth { // most of them have no slot
		start(&reads, f)
		start(&cancelled, f)
		start(&closed, g)
		start(&late, h)
	}
	onTime(t, "ReadAtContext", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.ReadAtContext(ctx, buf(), 0)
		return err
	})
	onTime(t, "WriteAtContext", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.WriteAtContext(ctx, buf(), 32<<10)
		return err
	})
	onTime(t, "Batch.RunContext", context.DeadlineExceeded, func(ctx context.Context) error {
		var b Batch
		for i := range 2 * fakeDepth {
			b.ReadAt(f, buf(), int64(i)*1024)
		}
		return b.RunContext(ctx)
	})
	onTime(t, "Batch.Results", context.DeadlineExceeded, func(ctx context.Context) (err error) {
		var b Batch
		b.ReadAt(f, buf(), 0)
		for _, r := range b.Results(ctx) {
			err = r.Err
		}
		return err
	})
	promptly(t, "Future.Cancel", func() {
		for _, future := range cancelled {
			future.Cancel()
		}
	})
	promptly(t, "SetReadDeadline", func() { h.SetReadDeadline(time.Unix(1, 0)) })
	onTime(t, "ReadAt after the deadline", os.ErrDeadlineExceeded, func(context.Context) error {
		_, err := h.ReadAt(buf(), 0)
		return err
	})
	promptly(t, "File.Close", func() {
		if err := g.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	onTime(t, "Future of a closed file", fs.ErrClosed, func(context.Context) error {
		_, err := g.StartReadAt(buf(), 0).Await()
		return err
	})
	promptly(t, "Stats", func() {
		if s := e.Stats(); s.InFlight != fakeDepth || s.OldestInFlight < 50*time.Millisecond || s.SlotWaits == 0 {
			t.Errorf("stats: %+v", s)
		}
	})
	k.set(func() {
		if k.waiters != 1 {
			t.Errorf("%d are in the kernel, want the submitter", k.waiters)
		}
		k.stuck = nil
	})
	close(stuck)
	for _, c := range []struct {
		all  []*Future[int]
		want error
	}{{reads, nil}, {cancelled, context.Canceled}, {closed, fs.ErrClosed}, {late, os.ErrDeadlineExceeded}} {
		for i, future := range c.all {
			n, err := future.Await()
			if done := n == 1024 && err == nil; !done && (c.want == nil || !errors.Is(err, c.want)) {
				t.Errorf("future %d: %d, %v, want all or %v", i, n, err, c.want)
			}
		}
	}
	readMany(t, f, 4, 6)
}

// TestReaperBesideSubmitter has a submission block, as for want of a place in a device's queue: completions are
// taken care of meanwhile.
func TestReaperBesideSubmitter(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	k.set(func() { k.hold = always })
	var held []*Future[int]
	for range 5 {
		held = append(held, f.StartReadAt(make([]byte, 512), 0))
	}
	k.wait(5)
	stuck := make(chan struct{})
	k.set(func() { k.stuck, k.submitsStick = stuck, true })
	late := f.StartReadAt(make([]byte, 512), 0)
	k.until(func() bool { return k.waiters == 2 }) // both are in the kernel
	for i, future := range held {
		k.set(func() {
			first := k.pending[0]
			k.pending = k.pending[1:]
			k.answer(&first)
		})
		promptly(t, "Await", func() {
			if n, err := future.Await(); n != 512 || err != nil {
				t.Errorf("future %d: %d, %v", i, n, err)
			}
		})
	}
	k.set(func() { k.stuck, k.hold = nil, nil })
	close(stuck)
	if n, err := late.Await(); n != 512 || err != nil {
		t.Errorf("the one whose submission blocked: %d, %v", n, err)
	}
}

// TestBound looks at the threads that submit requests: no other goroutine runs in them.
func TestBound(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	defer e.Close()
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY|testDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	throughRing(t, f)
	// A reaper that has nothing to do for a while ends, and then its thread is anybody's. On a slow machine
	// that may happen in between: then once more.
	var err1 error
	for range 20 {
		if err1 = boundRun(t, f); err1 == nil {
			return
		}
	}
	t.Error(err1)
}

// boundRun has goroutines read, and compares the threads in which they run with those that enter the ring.
func boundRun(t *testing.T, f *File) error {
	var entered, called sync.Map
	q := queueOf(t, f)
	eventually(func() bool { // nobody asks a hook that was set later
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.submitters == 0
	})
	q.u.SetEnterHook(func(submit, _ uint32, _ uring.EnterFlags) (int, syscall.Errno, bool) {
		if submit > 0 {
			entered.Store(unix.Gettid(), true)
		}
		return 0, 0, false
	})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			buf := AlignedBuffer(4096, 4096)
			for i := range 50 {
				if _, err := f.ReadAt(buf, int64((16*i+g)%256)*4096); err != nil {
					t.Error(err)
				}
				called.Store(unix.Gettid(), true)
			}
		})
	}
	wg.Wait()
	awaitIdle(queueOf(t, f)) // nobody uses the hook
	n := 0
	var err error
	entered.Range(func(thread, _ any) bool {
		n++
		if _, both := called.Load(thread); both {
			err = fmt.Errorf("thread %d submits requests and runs other goroutines", thread)
		}
		return true
	})
	if n == 0 || n > 2 {
		return fmt.Errorf("%d threads have submitted requests, want one or, when that has ended, another one", n)
	}
	return err
}

// TestTooLate offers requests to a queue whose end somebody has asked for since their callers looked: it takes
// none, as nobody would give it up.
func TestTooLate(t *testing.T) {
	e, _ := fakeEngine(t)
	f := fakeFile(t, e)
	q := queueOf(t, f)
	for what, spoil := range map[string]func(req *request) (undo func()){
		"given up": func(req *request) func() { req.gaveUp.Store(uint32(byCaller)); return func() {} },
		"too late": func(req *request) func() { late := make(chan struct{}); close(late); req.late = late; return func() {} },
		"closed": func(req *request) func() {
			req.desc.uses.Add(closedBit)
			return func() { req.desc.uses.Add(-closedBit) }
		},
		"broken ring": func(req *request) func() {
			err := error(syscall.EBADF)
			q.broken.Store(&err)
			return func() { q.broken.Store(nil) }
		},
		"queue closed": func(req *request) func() { q.closed = true; return func() { q.closed = false } },
	} {
		req := new(request)
		req.reset(&operation{code: opRead, desc: &f.t.descriptor, buf: make([]byte, 512)}, 0)
		undo := spoil(req)
		if q.submit(req) || q.submitMany([]*request{req}) != 0 {
			t.Errorf("a request is taken: %s", what)
		}
		undo()
	}
	if s := e.Stats(); s.Ring != 0 || s.InFlight != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestAllSlotsTaken has a device take all slots and not answer: calls that can be given up return on time,
// and what waits is carried out in order when slots come free.
func TestAllSlotsTaken(t *testing.T) {
	e, k := fakeEngine(t)
	hangs, f := fakeFile(t, e), fakeFile(t, e)
	var order []uint64
	k.set(func() {
		k.hold = func(e *uring.SQE) bool {
			if int(e.FD) != hangs.t.FD && e.Opcode == uring.OpRead {
				order = append(order, e.Off)
			}
			return int(e.FD) == hangs.t.FD
		}
	})
	var held, line []*Future[int]
	for range fakeDepth {
		held = append(held, hangs.StartReadAt(make([]byte, 512), 0))
	}
	k.wait(fakeDepth)
	var want []uint64
	for i := range 3 * fakeDepth {
		off := uint64((i*7)%64) * 512
		line = append(line, f.StartReadAt(make([]byte, 512), int64(off)))
		want = append(want, off)
	}
	onTime(t, "ReadAtContext", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.ReadAtContext(ctx, make([]byte, 512), 0)
		return err
	})
	onTime(t, "WritevAtContext", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.WritevAtContext(ctx, [][]byte{make([]byte, 512), make([]byte, 512)}, 0)
		return err
	})
	onTime(t, "ReadContext", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.ReadContext(ctx, make([]byte, 512))
		return err
	})
	onTime(t, "ReadAtMultiContext", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.ReadAtMultiContext(ctx, [][]byte{make([]byte, 512), make([]byte, 512)}, []int64{0, 512})
		return err
	})
	if s := e.Stats(); s.InFlight != fakeDepth {
		t.Errorf("stats: %+v", s)
	}
	for i := range 2 { // a device answers one request: one slot for all
		k.set(func() {
			first := k.pending[0]
			k.pending = k.pending[1:]
			k.answer(&first)
		})
		if i == 0 {
			for j, future := range line {
				if n, err := future.Await(); n != 512 || err != nil {
					t.Errorf("future %d: %d, %v", j, n, err)
				}
			}
		}
	}
	k.set(func() {
		if !slices.Equal(order, want) {
			t.Errorf("carried out in the order %d, want %d", order, want)
		}
		k.hold = nil
	})
	k.finish(func(int) int { return 0 })
	for _, future := range held {
		if n, err := future.Await(); n != 512 || err != nil {
			t.Errorf("future of the device that hung: %d, %v", n, err)
		}
	}
}

// TestCancelLater asks for more cancellations than may be under way: those that find no room are asked for
// when others have been answered.
func TestCancelLater(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	q := queueOf(t, f)
	var kept []uring.CQE
	k.set(func() {
		k.hold = always
		k.posted = func(c uring.CQE) []uring.CQE {
			if c.UserData == idCancel {
				kept = append(kept, c)
				return nil
			}
			return []uring.CQE{c}
		}
	})
	start := func() (all []*Future[int]) {
		for range fakeDepth {
			all = append(all, f.StartReadAt(make([]byte, 512), 0))
		}
		k.wait(fakeDepth)
		for _, future := range all {
			future.Cancel()
		}
		return all
	}
	await := func(all []*Future[int]) {
		for _, future := range all {
			if _, err := future.Await(); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled future: %v", err)
			}
		}
	}
	await(start()) // but the cancellations are still under way
	second := start()
	q.mu.Lock()
	due, out, asked := q.dueCancel, q.cancels, q.stats.cancels
	q.mu.Unlock()
	if !due || out != fakeDepth || asked != fakeDepth {
		t.Errorf("cancellations are due: %v, under way %d, asked for %d; want %d of both, and more due", due, out, asked, fakeDepth)
	}
	k.set(func() {
		k.posted = nil
		for _, c := range kept {
			k.post(c)
		}
	})
	await(second)
	if n := e.Stats().Cancels; n != 2*fakeDepth {
		t.Errorf("%d cancellations were asked for, want %d", n, 2*fakeDepth)
	}
}

// TestQueueRests uses a queue now and then: its goroutines end when there is nothing to do, and come back.
func TestQueueRests(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	q := queueOf(t, f)
	there := func() (reaper, submitter bool) {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.reaper.there, q.submitters > 0
	}
	for range 5 {
		k.set(func() { k.hold = always })
		first := f.StartReadAt(make([]byte, 512), 0)
		k.wait(1)
		second := f.StartReadAt(make([]byte, 512), 0)
		k.wait(2) // by the submitter
		if reaper, submitter := there(); !reaper || !submitter {
			t.Errorf("reaper %v, submitter %v, want both", reaper, submitter)
		}
		time.Sleep(3 * idleTime)
		if reaper, _ := there(); !reaper {
			t.Error("the reaper has ended, with requests in flight")
		}
		k.set(func() { k.hold = nil })
		k.finish(func(int) int { return 0 })
		for _, future := range []*Future[int]{first, second} {
			if n, err := future.Await(); n != 512 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		eventually(func() bool { reaper, submitter := there(); return !reaper && !submitter })
	}
	eventually(func() bool { return stacksWith(".(*queue).") == 0 })
}

// TestQueueRestsMeanwhile has requests come just when the goroutines are about to end.
func TestQueueRestsMeanwhile(t *testing.T) {
	e, _ := fakeEngine(t)
	f := fakeFile(t, e)
	var wg sync.WaitGroup
	end := time.Now().Add(testutil.StressTime(t))
	for g := range 3 {
		wg.Go(func() {
			buf := make([]byte, 512)
			for i := 0; time.Now().Before(end); i++ {
				if n, err := f.StartReadAt(buf, 0).Await(); n != 512 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				time.Sleep(idleTime + time.Duration((g*i)%40-20)*50*time.Microsecond)
			}
		})
	}
	wg.Wait()
	if s := e.Stats(); s.Blocking != 0 || s.Busy != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestCloseBeforeUse closes engines with rings that nobody has used, or that rest.
func TestCloseBeforeUse(t *testing.T) {
	for _, used := range []bool{false, true} {
		e, _ := fakeEngine(t)
		f := fakeFile(t, e)
		if used {
			f.StartReadAt(make([]byte, 512), 0).Await()
			eventually(func() bool { return stacksWith(".(*queue).") == 0 })
		}
		promptly(t, "Engine.Close", func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		if _, err := f.StartReadAt(make([]byte, 512), 0).Await(); !errors.Is(err, ErrEngineClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestRefusedForAMoment has the kernel be out of memory for the submitter, while the reaper waits: it tries
// again, and does not try all the time.
func TestRefusedForAMoment(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	k.set(func() { k.hold = always })
	first := f.StartReadAt(make([]byte, 512), 0)
	k.wait(1)
	k.until(func() bool { return k.waiters == 1 }) // the reaper
	k.set(func() {
		k.hold = nil
		for range 1 << 20 {
			k.enters = append(k.enters, entry{errno: syscall.EAGAIN})
		}
	})
	second := f.StartReadAt(make([]byte, 512), 0)
	time.Sleep(50 * time.Millisecond)
	if n := e.Stats().Busy; n == 0 || n > 200 {
		t.Errorf("tried %d times in 50 ms", n)
	}
	k.set(func() { k.enters = nil })
	if n, err := second.Await(); n != 512 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	k.finish(func(int) int { return 0 })
	if n, err := first.Await(); n != 512 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
