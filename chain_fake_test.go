package ringfile

import (
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// fakeChains gives an engine a ring for chains whose kernel is answer: called with the entries of one
// submission, it returns their results. The kernel takes at most take entries at a time, if that is
// not zero, and fails each enter with errno, if that is not zero.
func fakeChains(t *testing.T, take int, errno syscall.Errno, answer func([]uring.SQE) []int32) *Engine {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 16})
	if err != nil {
		t.Skip(err)
	}
	var fake *uring.Fake
	u, fake, err := uring.NewFake(2*chainDepth, 2*chainDepth, 0, 0, func(toSubmit, minComplete uint32, _ uring.EnterFlags) (int, syscall.Errno, bool) {
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
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRing(e, u, chainDepth)
	if err != nil {
		t.Fatal(err)
	}
	r.whole = &whole{turn: make(chan struct{}, 1)}
	e.chains.Store(r)
	t.Cleanup(testutil.Watchdog(t, time.Minute))
	return e
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
			err: io.ErrUnexpectedEOF, sync: ErrChainBroken},
		{name: "no space for the rest", answers: [][]int32{{4096, canceled}, {noSpace, canceled}},
			lengths: [][]uint32{{8192, 0}, {4096, 0}}, n: 4096, err: syscall.ENOSPC, sync: ErrChainBroken},
		{name: "I/O error", answers: [][]int32{{failed, canceled}}, lengths: [][]uint32{{8192, 0}},
			err: syscall.EIO, sync: ErrChainBroken},
		{name: "error of the last", answers: [][]int32{{8192, failed}}, lengths: [][]uint32{{8192, 0}},
			n: 8192, sync: syscall.EIO},
		{name: "again", answers: [][]int32{{again, canceled}}, lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "interrupted", answers: [][]int32{{8192, intr}}, lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "unknown to the file system", answers: [][]int32{{unknown, canceled}},
			lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "canceled by nobody", answers: [][]int32{{canceled, canceled}},
			lengths: [][]uint32{{8192, 0}}, n: 8192},
		{name: "more than asked for", answers: [][]int32{{9000, canceled}}, lengths: [][]uint32{{8192, 0}},
			err: syscall.EIO, sync: ErrChainBroken},
		{name: "taken in parts", take: 1, answers: [][]int32{{8192}, {0}}, lengths: [][]uint32{{8192}}, n: 8192},
		{name: "enter fails", enter: syscall.EBADF, n: 8192},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var lengths [][]uint32
			e := fakeChains(t, tc.take, tc.enter, func(sqes []uring.SQE) []int32 {
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
			f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDWR|testDirect, 0)
			if err != nil {
				t.Skip(err)
			}
			defer f.Close()
			f.ReadAt(AlignedBuffer(4096, 4096), 0) // the file system is known from now on
			var c Chain
			c.WriteAt(f, AlignedBuffer(8192, 4096), 4096)
			c.Datasync(f)
			err = c.Run()
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
			if err := e.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if s := e.Stats(); s.InFlight != 0 || s.Strays != 0 {
				t.Errorf("left behind: %+v", s)
			}
		})
	}
}

// TestReadFileIntoApart has a kernel take the three parts of a ReadFileInto one by one: the file is
// read by calls then.
func TestReadFileIntoApart(t *testing.T) {
	submissions := 0
	e := fakeChains(t, 1, 0, func(sqes []uring.SQE) []int32 {
		submissions++
		return make([]int32, len(sqes))
	})
	defer e.Close()
	e.chains.Load().whole.files = true
	p := make([]byte, 8192)
	n, err := e.ReadFileInto(testutil.PatternFile(t, 4096), p)
	if n != 4096 || err != nil || testutil.CheckPattern(p[:n], 0) >= 0 || submissions != 1 {
		t.Errorf("%d, %v, %d submissions", n, err, submissions)
	}
	if s := e.Stats(); s.InFlight != 0 || s.Strays != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// TestChainAllocates looks for allocations.
func TestChainAllocates(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	defer func(was bool) { underTest = was }(underTest)
	underTest = false
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{})
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	f, err := e.OpenFile(testutil.PatternFile(t, 4096), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 8192)
	// Without a table of files it opens and reads by calls.
	table := e.chainRing() != nil && e.chainRing().whole.files
	if n := testing.AllocsPerRun(100, func() { e.ReadFileInto(f.Name(), p) }); n >= 1 && table {
		t.Errorf("ReadFileInto: %v allocations", n)
	}
	var c Chain
	if n := testing.AllocsPerRun(20, func() {
		c.WriteAt(f, p[:4096], 0)
		c.Datasync(f)
		c.Run()
		c.Reset()
	}); n >= 1 {
		t.Errorf("Chain: %v allocations", n)
	}
}

// TestBatchTrouble has io_uring_enter refuse now and then, and fail for good, while batches run.
func TestBatchTrouble(t *testing.T) {
	for name, breaks := range map[string]int{"now and then": 1 << 30, "for good": 20} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			hook := func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
				if calls++; calls > breaks {
					return 0, syscall.EBADF, true
				}
				switch calls % 7 {
				case 0:
					return 0, syscall.EINTR, true
				case 2:
					return 0, syscall.EAGAIN, true
				case 5:
					return 0, 0, true // success, and nothing done
				}
				return 0, 0, false
			}
			e := hookedEngine(t, serialized(hook))
			f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY|testDirect, 0)
			if err != nil {
				t.Skip(err)
			}
			defer f.Close()
			var b Batch
			for range 20 {
				var bufs [][]byte
				for i := range 200 {
					buf := AlignedBuffer(4096, 4096)
					bufs = append(bufs, buf)
					b.ReadAt(f, buf, int64(i)*4096)
				}
				if err := b.Run(); err != nil {
					t.Fatal(err)
				}
				for i, buf := range bufs {
					if testutil.CheckPattern(buf, int64(i)*4096) >= 0 {
						t.Fatalf("wrong data at %d", i*4096)
					}
				}
				b.Reset()
			}
			if s := e.Stats(); s.InFlight != 0 || s.Strays != 0 {
				t.Errorf("stats: %+v", s)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// serialized makes calls of a hook one at a time.
func serialized(hook uring.EnterHook) uring.EnterHook {
	turn := make(chan struct{}, 1)
	return func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		turn <- struct{}{}
		defer func() { <-turn }()
		return hook(toSubmit, minComplete, flags)
	}
}
