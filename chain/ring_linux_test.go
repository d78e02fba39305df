package chain

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

const testDirect = syscall.O_DIRECT

// fakeRing puts a ring with a kernel of the test in the place of that of a device, until the test ends.
func fakeRing(t *testing.T, dev uint64, kernel func(fake *uring.Fake) uring.EnterHook) *ring {
	t.Helper()
	var enter uring.EnterHook
	u, fake, err := uring.NewFake(depth, 2*depth, 0, 0, func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		return enter(toSubmit, minComplete, flags)
	})
	if err != nil {
		t.Fatal(err)
	}
	enter = kernel(fake)
	r := newRing(u)
	devices.mu.Lock()
	defer devices.mu.Unlock()
	if devices.of == nil {
		devices.of = make(map[uint64]*device)
	}
	was := devices.of[dev]
	devices.of[dev] = &device{ring: r}
	t.Cleanup(func() {
		devices.mu.Lock()
		defer devices.mu.Unlock()
		delete(devices.of, dev)
		if was != nil {
			devices.of[dev] = was
		}
	})
	t.Cleanup(testutil.Watchdog(t, time.Minute))
	return r
}

// TestRingRestricted asks a ring for what no chain has.
func TestRingRestricted(t *testing.T) {
	r := openRing()
	if r == nil {
		t.Skip("no ring can be made")
	}
	defer r.u.Close()
	r.u.GetSQE().PrepNop()
	if _, err := r.u.SubmitAndWait(1); err != nil {
		t.Fatal(err)
	}
	if cqe, err := r.u.PeekCQE(); err != nil || cqe == nil || cqe.Res != -int32(syscall.EACCES) {
		t.Errorf("a nop: %+v, %v, want EACCES", cqe, err)
	}
}

// atRest waits until nothing is left of what a ring has carried out, its goroutines included.
func atRest(t *testing.T, r *ring) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		left := len(r.flights) + len(r.queue) + r.owed
		alive := r.submitting || r.reaping
		r.mu.Unlock()
		if left == 0 && !alive {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("left behind: %+v", r)
		}
	}
	if r.room.free != depth {
		t.Errorf("%d of %d entries are free", r.room.free, depth)
	}
}

// fileOf opens a file of Pattern, and returns the number of its device.
func fileOf(t *testing.T, flag int) (*ringfile.File, uint64) {
	t.Helper()
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { e.Close() })
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDWR|flag, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { f.Close() })
	_, k, err := look(f)
	if err != nil || !k.disk {
		t.Skip("not on a block device")
	}
	return f, k.dev
}

// fakeChains gives a device a ring whose kernel is answer: called with the entries of one submission,
// it returns their results. The kernel takes at most take entries at a time, if that is not zero, and
// fails each enter with errno, if that is not zero.
func fakeChains(t *testing.T, dev uint64, take int, errno syscall.Errno, answer func([]uring.SQE) []int32) *ring {
	return fakeRing(t, dev, func(fake *uring.Fake) uring.EnterHook {
		return func(toSubmit, minComplete uint32, _ uring.EnterFlags) (int, syscall.Errno, bool) {
			if toSubmit == 0 {
				return 0, 0, true
			}
			if errno != 0 {
				return 0, errno, true
			}
			var sqes []uring.SQE
			for range toSubmit {
				if sqe, ok := fake.TakeSQE(); ok && (take == 0 || len(sqes) < take) {
					if sqes = append(sqes, sqe); len(sqes) == take {
						break
					}
				}
			}
			for i, res := range answer(sqes) {
				fake.PostCQE(uring.CQE{UserData: sqes[i].UserData, Res: res})
			}
			return len(sqes), 0, true
		}
	})
}

// TestChainAnswers has the kernel give each answer that it can: what is cut short is continued where
// it stopped, with what is behind it; what is no final error is done by a system call; and a chain
// that the kernel takes in parts stays in order.
func TestChainAnswers(t *testing.T) {
	const (
		again    = -int32(syscall.EAGAIN)
		intr     = -int32(syscall.EINTR)
		canceled = -int32(syscall.ECANCELED)
		noSpace  = -int32(syscall.ENOSPC)
		failed   = -int32(syscall.EIO)
		unknown  = -int32(syscall.EOPNOTSUPP)
	)
	cases := []struct {
		name    string
		take    int
		enter   syscall.Errno
		answers [][]int32 // to each submission
		lengths [][]uint32
		n       int   // of the write
		err     error // of the write
		sync    error // of the sync behind it
	}{
		{name: "all at once", answers: [][]int32{{8192, 0}}, lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "cut short", answers: [][]int32{{4096, canceled}, {4096, 0}},
			lengths: [][]uint32{{8192, 0}, {4096, 0}}, n: 8192},
		{name: "cut short twice", answers: [][]int32{{4096, canceled}, {1024, canceled}, {3072, 0}},
			lengths: [][]uint32{{8192, 0}, {4096, 0}, {3072, 0}}, n: 8192},
		{name: "nothing written", answers: [][]int32{{0, canceled}}, lengths: [][]uint32{{8192, 0}},
			err: io.ErrUnexpectedEOF, sync: ErrBroken},
		{name: "no space for the rest", answers: [][]int32{{4096, canceled}, {noSpace, canceled}},
			lengths: [][]uint32{{8192, 0}, {4096, 0}}, n: 4096, err: syscall.ENOSPC, sync: ErrBroken},
		{name: "I/O error", answers: [][]int32{{failed, canceled}}, lengths: [][]uint32{{8192, 0}},
			err: syscall.EIO, sync: ErrBroken},
		{name: "error of the last", answers: [][]int32{{8192, failed}}, lengths: [][]uint32{{8192, 0}},
			n: 8192, sync: syscall.EIO},
		{name: "again", answers: [][]int32{{again, canceled}}, lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "interrupted", answers: [][]int32{{8192, intr}}, lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "unknown to the file system", answers: [][]int32{{unknown, canceled}},
			lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "canceled by nobody", answers: [][]int32{{canceled, canceled}},
			lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "more than asked for", answers: [][]int32{{9000, canceled}}, lengths: [][]uint32{{8192, 0}},
			err: syscall.EIO, sync: ErrBroken},
		{name: "taken in parts", take: 1, answers: [][]int32{{8192}, {0}}, lengths: [][]uint32{{8192}}, n: 8192},
		{name: "enter fails", enter: syscall.EBADF, n: 8192},
		{name: "the kernel has no memory", enter: syscall.EAGAIN, n: 8192},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var lengths [][]uint32
			f, dev := fileOf(t, testDirect)
			r := fakeChains(t, dev, tc.take, tc.enter, func(sqes []uring.SQE) []int32 {
				var l []uint32
				for i, sqe := range sqes {
					l = append(l, sqe.Len)
					if sqe.Opcode == uring.OpWrite && sqe.Off+uint64(sqe.Len) != 4096+8192 {
						t.Errorf("write of %d at %d", sqe.Len, sqe.Off)
					}
					linked := sqe.Flags&uring.SQEIOLink != 0
					if last := i == len(sqes)-1; tc.take == 0 && linked == last {
						t.Errorf("entry %d of %d has flags %v", i, len(sqes), sqe.Flags)
					}
				}
				lengths = append(lengths, l)
				if len(lengths) > len(tc.answers) {
					t.Fatalf("submission %d: %v", len(lengths), l)
				}
				return tc.answers[len(lengths)-1]
			})
			var c Chain
			c.WriteAt(f, ringfile.AlignedBuffer(8192, 4096), 4096)
			c.Datasync(f)
			err := c.Run()
			if r := c.Result(0); r.N != tc.n || !errors.Is(r.Err, tc.err) {
				t.Errorf("write: %+v, want %d, %v", r, tc.n, tc.err)
			}
			if r := c.Result(1); !errors.Is(r.Err, tc.sync) {
				t.Errorf("sync: %+v, want %v", r, tc.sync)
			}
			if ok := tc.err == nil && tc.sync == nil; ok != (err == nil) {
				t.Errorf("Run: %v", err)
			}
			if !slices.EqualFunc(lengths, tc.lengths, slices.Equal) {
				t.Errorf("submitted %v, want %v", lengths, tc.lengths)
			}
			atRest(t, r)
		})
	}
}

// TestWholeChains has many goroutines submit at once: each submission has whole chains.
func TestWholeChains(t *testing.T) {
	f, dev := fileOf(t, testDirect)
	r := fakeChains(t, dev, 0, 0, func(sqes []uring.SQE) []int32 {
		res := make([]int32, len(sqes))
		for i, sqe := range sqes {
			res[i] = int32(sqe.Len)
			if last := sqe.Opcode == uring.OpFsync; last == (sqe.Flags&uring.SQEIOLink != 0) {
				t.Errorf("entry %d, %v, has flags %v", i, sqe.Opcode, sqe.Flags)
			}
		}
		if sqes[0].Opcode != uring.OpRead || sqes[len(sqes)-1].Opcode != uring.OpFsync {
			t.Errorf("a submission from %v to %v", sqes[0].Opcode, sqes[len(sqes)-1].Opcode)
		}
		return res
	})
	done := make(chan error)
	const workers = 40 // that is more than have room
	for range workers {
		go func() {
			var c Chain
			buf := ringfile.AlignedBuffer(4096, 4096)
			var err error
			for range 50 {
				c.ReadAt(f, buf, 0)
				c.WriteAt(f, buf, 0)
				c.Datasync(f)
				err = errors.Join(err, c.Run())
				c.Reset()
			}
			done <- err
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	atRest(t, r)
}

// TestHangingDevice has the kernel hold the submitter of one device, as one whose queue is full does:
// chains on others go on, as do Stats, and chains with a context on the same.
func TestHangingDevice(t *testing.T) {
	f, dev := fileOf(t, testDirect)
	const hung = 1<<40 - 1
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	r := fakeRing(t, hung, func(fake *uring.Fake) uring.EnterHook {
		return func(toSubmit, minComplete uint32, _ uring.EnterFlags) (int, syscall.Errno, bool) {
			if toSubmit == 0 {
				return 0, 0, true
			}
			entered <- struct{}{}
			<-release
			for range toSubmit {
				sqe, _ := fake.TakeSQE()
				fake.PostCQE(uring.CQE{UserData: sqe.UserData, Res: int32(sqe.Len)})
			}
			return int(toSubmit), 0, true
		}
	})
	other := fakeChains(t, dev, 0, 0, func(sqes []uring.SQE) []int32 {
		res := make([]int32, len(sqes))
		for i := range sqes {
			res[i] = int32(sqes[i].Len)
		}
		return res
	})
	add := func(c *Chain) {
		c.WriteAt(f, ringfile.AlignedBuffer(4096, 4096), 0)
		c.Datasync(f)
	}
	done := make(chan error)
	go func() {
		var c Chain
		add(&c)
		c.part.facts(f)
		c.part.known[0].dev = hung
		done <- c.Run()
	}()
	<-entered
	start := time.Now()
	for range 10 {
		var c Chain
		add(&c)
		if err := c.Run(); err != nil {
			t.Error(err)
		}
		add(&c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := c.RunContext(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	f.Engine().Stats()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the others took %v", took)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	atRest(t, r)
	atRest(t, other)
}

// TestBrokenRing has the kernel refuse a ring for good while a chain is in flight: what the kernel has
// is waited for, and all else are calls.
func TestBrokenRing(t *testing.T) {
	f, dev := fileOf(t, testDirect)
	var taken atomic.Pointer[[]uring.SQE]
	var kernel *uring.Fake
	r := fakeRing(t, dev, func(fake *uring.Fake) uring.EnterHook {
		kernel = fake
		return func(toSubmit, minComplete uint32, _ uring.EnterFlags) (int, syscall.Errno, bool) {
			if toSubmit == 0 || taken.Load() != nil {
				return 0, syscall.EBADF, true
			}
			var sqes []uring.SQE
			for range toSubmit {
				sqe, _ := fake.TakeSQE()
				sqes = append(sqes, sqe)
			}
			taken.Store(&sqes)
			return len(sqes), 0, true
		}
	})
	run := func() error {
		var c Chain
		c.WriteAt(f, ringfile.AlignedBuffer(4096, 4096), 0)
		c.Datasync(f)
		return c.Run()
	}
	first := make(chan error)
	go func() { first <- run() }()
	for taken.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	for range 3 {
		if err := run(); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-first:
		t.Fatal("a chain has left while the kernel had it:", err)
	default:
	}
	r.mu.Lock() // nobody looks at the completions
	for _, sqe := range *taken.Load() {
		kernel.PostCQE(uring.CQE{UserData: sqe.UserData, Res: int32(sqe.Len)})
	}
	r.mu.Unlock()
	if err := <-first; err != nil {
		t.Error(err)
	}
	atRest(t, r)
}

// TestManyDevices uses more devices than may have a ring.
func TestManyDevices(t *testing.T) {
	f, _ := fileOf(t, testDirect)
	const first, last = 1 << 40, 1<<40 + 2*maxRings
	t.Cleanup(func() {
		devices.mu.Lock()
		defer devices.mu.Unlock()
		for dev := uint64(first); dev <= last; dev++ {
			if d := devices.of[dev]; d != nil && d.ring != nil {
				d.ring.u.Close()
			}
			delete(devices.of, dev)
		}
	})
	var held []*device
	for dev := uint64(first); dev < last; dev++ {
		if d := use(dev); d != nil {
			held = append(held, d)
		}
	}
	if len(held) != maxRings || len(devices.of) != maxRings {
		t.Errorf("%d rings in use, of %d", len(held), len(devices.of))
	}
	var c Chain
	c.WriteAt(f, ringfile.AlignedBuffer(4096, 4096), 0)
	c.Datasync(f)
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	if d := use(last); d != nil {
		t.Error("more rings than there may be")
	}
	for _, d := range held {
		d.leave()
	}
	if d := use(last); d == nil {
		t.Error("no ring for another device when one is free")
	} else {
		d.leave()
	}
}

// TestBubbles uses the package in bubbles and outside, the first time in one.
func TestBubbles(t *testing.T) {
	f, dev := fileOf(t, testDirect)
	devices.mu.Lock()
	was := devices.of[dev]
	delete(devices.of, dev)
	devices.mu.Unlock()
	if was != nil {
		defer was.ring.u.Close()
	}
	work := func(t *testing.T) {
		done := make(chan error)
		const workers = 20
		for range workers {
			go func() {
				var c Chain
				buf := ringfile.AlignedBuffer(4096, 4096)
				c.ReadAt(f, buf, 0)
				c.WriteAt(f, buf, 0)
				c.Drain()
				done <- c.Run()
			}()
		}
		for range workers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	synctest.Test(t, work)
	work(t)
	synctest.Test(t, work)
	devices.mu.Lock()
	d := devices.of[dev]
	devices.mu.Unlock()
	if d == nil || d.ring == nil {
		t.Fatal("no ring")
	}
	atRest(t, d.ring)
}

// TestUsesRing makes sure that what is said to be for a ring gets there.
func TestUsesRing(t *testing.T) {
	f, dev := fileOf(t, testDirect)
	d := use(dev)
	if d == nil {
		t.Skip("no ring")
	}
	defer d.leave()
	flights := func() uint64 {
		d.ring.mu.Lock()
		defer d.ring.mu.Unlock()
		return d.ring.number
	}
	before := flights()
	var c Chain
	buf := ringfile.AlignedBuffer(4096, 4096)
	c.ReadAt(f, buf, 0)
	c.WriteAt(f, buf, 4096)
	c.Datasync(f)
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	if n := flights() - before; n != 1 {
		t.Errorf("a chain made %d submissions", n)
	}
}

// TestAllocates looks for allocations.
func TestAllocates(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	f, _ := fileOf(t, 0)
	p := make([]byte, 4096)
	var c Chain
	least := 100.0
	for range 5 { // a collection that comes in between empties the pools
		least = min(least, testing.AllocsPerRun(20, func() {
			c.WriteAt(f, p, 0)
			c.Datasync(f)
			c.Run()
			c.Reset()
		}))
	}
	if least >= 1 {
		t.Errorf("%v allocations", least)
	}
}

// TestBound looks at the thread that has submitted a chain: until that has completed no other goroutine runs in it, as the
// kernel may stop it there.
func TestBound(t *testing.T) {
	f, dev := fileOf(t, testDirect)
	submitted := make(chan int, 1)
	var kernel *uring.Fake
	r := fakeRing(t, dev, func(fake *uring.Fake) uring.EnterHook {
		kernel = fake
		return func(toSubmit, _ uint32, _ uring.EnterFlags) (int, syscall.Errno, bool) {
			if toSubmit > 0 {
				submitted <- unix.Gettid()
			} else {
				time.Sleep(time.Millisecond)
			}
			return int(toSubmit), 0, true
		}
	})
	done := make(chan error)
	go func() {
		var c Chain
		c.WriteAt(f, ringfile.AlignedBuffer(4096, 4096), 0)
		c.Datasync(f)
		done <- c.Run()
	}()
	thread := <-submitted
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			for range 20 {
				if unix.Gettid() == thread {
					t.Error("another goroutine runs in the thread that has submitted")
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	wg.Wait()
	for range 2 {
		sqe, _ := kernel.TakeSQE()
		kernel.PostCQE(uring.CQE{UserData: sqe.UserData, Res: int32(sqe.Len)})
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	atRest(t, r)
}
