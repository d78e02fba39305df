package uring

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fakeRing returns a ring in plain memory, whose positions start at start.
func fakeRing(t testing.TB, sqEntries, cqEntries, start uint32, enter EnterHook) (*Ring, *Fake) {
	t.Helper()
	r, k, err := NewFake(sqEntries, cqEntries, 0, FeatExtArg, enter)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.SetPositions(start, start); err != nil {
		t.Fatal(err)
	}
	return r, k
}

// starts are positions at which ring arithmetic might go wrong.
var starts = []uint32{0, 1, 3, math.MaxInt32 - 1, math.MaxInt32, 1 << 31, math.MaxUint32 - 5, math.MaxUint32}

// nop takes an entry with the given user data, which must be there.
func nop(t testing.TB, r *Ring, userData uint64) {
	t.Helper()
	e := r.GetSQE()
	if e == nil {
		t.Fatalf("no entry for %d: %d left", userData, r.SQSpaceLeft())
	}
	e.PrepNop()
	e.SetUserData(userData)
}

func TestSubmissionRing(t *testing.T) {
	for _, start := range starts {
		r, k := fakeRing(t, 8, 16, start, nil)
		want := uint64(0) // user data that the kernel takes next
		next := uint64(0)
		for round := range 50 {
			n := round % 9 // 0 to 8: from nothing to a full queue
			for range n {
				nop(t, r, next)
				next++
			}
			if got := r.SQSpaceLeft(); got != uint32(8-n) {
				t.Fatalf("start %d, %d entries: %d left, want %d", start, n, got, 8-n)
			}
			if n == 8 && r.GetSQE() != nil {
				t.Fatalf("start %d: a ninth entry of eight", start)
			}
			if got := r.SQReady(); got != 0 {
				t.Fatalf("start %d: %d visible before Flush", start, got)
			}
			if _, ok := k.TakeSQE(); ok {
				t.Fatalf("start %d: the kernel sees an entry before Flush", start)
			}
			if got := r.Flush(); got != uint32(n) || r.SQReady() != uint32(n) {
				t.Fatalf("start %d: Flush: %d, ready %d, want %d", start, got, r.SQReady(), n)
			}
			for range n {
				e, ok := k.TakeSQE()
				if !ok || e.UserData != want {
					t.Fatalf("start %d: took %d (%v), want %d", start, e.UserData, ok, want)
				}
				want++
			}
			if r.SQReady() != 0 || r.SQSpaceLeft() != 8 {
				t.Fatalf("start %d: after all: %d ready, %d left", start, r.SQReady(), r.SQSpaceLeft())
			}
		}
	}
}

// TestShortTake has the kernel take only some of the visible entries, so that the queue stays partly
// full.
func TestShortTake(t *testing.T) {
	for _, start := range starts {
		r, k := fakeRing(t, 4, 8, start, nil)
		next, want := uint64(0), uint64(0)
		for range 40 {
			for r.SQSpaceLeft() > 0 {
				nop(t, r, next)
				next++
			}
			if got := r.Flush(); got != 4 {
				t.Fatalf("start %d: Flush: got %d, want 4", start, got)
			}
			for range 1 + want%3 {
				e, ok := k.TakeSQE()
				if !ok || e.UserData != want {
					t.Fatalf("start %d: took %d (%v), want %d", start, e.UserData, ok, want)
				}
				want++
			}
		}
	}
}

func TestCompletionRing(t *testing.T) {
	for _, start := range starts {
		r, k := fakeRing(t, 4, 8, start, nil)
		next, want := uint64(0), uint64(0)
		buf := make([]CQE, 16)
		for round := range 60 {
			n := round % 9
			for range n {
				if !k.PostCQE(CQE{UserData: next, Res: int32(next), Flags: CQEMore}) {
					t.Fatalf("start %d: no room for completion %d of 8", start, n)
				}
				next++
			}
			if n == 8 && k.PostCQE(CQE{}) {
				t.Fatalf("start %d: room for a ninth completion of eight", start)
			}
			if got := r.CQReady(); got != uint32(n) {
				t.Fatalf("start %d: %d ready, want %d", start, got, n)
			}
			// In one piece, in pieces, and into nothing.
			dst := buf[:min(1+round%5*4, 16)]
			for left := n; left > 0; {
				got := r.CopyCQEs(dst)
				if got != min(left, len(dst)) {
					t.Fatalf("start %d: copied %d of %d into %d", start, got, left, len(dst))
				}
				for _, c := range dst[:got] {
					if c != (CQE{UserData: want, Res: int32(want), Flags: CQEMore}) {
						t.Fatalf("start %d: got %+v, want %d", start, c, want)
					}
					want++
				}
				left -= got
			}
			if r.CopyCQEs(buf) != 0 || r.CopyCQEs(nil) != 0 || r.CQReady() != 0 {
				t.Fatalf("start %d: completions after the last", start)
			}
		}
	}
}

func TestPeek(t *testing.T) {
	r, k := fakeRing(t, 4, 8, math.MaxUint32-2, nil)
	if c, err := r.PeekCQE(); c != nil || err != nil {
		t.Errorf("PeekCQE of nothing: got %v, %v, want nil, nil", c, err)
	}
	for i := range uint64(6) {
		k.PostCQE(CQE{UserData: i})
	}
	dst := make([]*CQE, 4)
	n, err := r.PeekBatch(dst)
	if n != 4 || err != nil {
		t.Fatalf("PeekBatch: got %d, %v, want 4, nil", n, err)
	}
	for i, c := range dst {
		if c.UserData != uint64(i) {
			t.Errorf("PeekBatch, completion %d: got %d", i, c.UserData)
		}
	}
	r.AdvanceCQ(3)
	r.CQESeen(nil)
	for i := uint64(3); i < 6; i++ {
		c, err := r.PeekCQE()
		if err != nil || c == nil || c.UserData != i {
			t.Fatalf("PeekCQE: got %v, %v, want %d", c, err, i)
		}
		r.CQESeen(c)
	}
	defer func() {
		if recover() == nil {
			t.Error("AdvanceCQ beyond the end: no panic")
		}
	}()
	r.AdvanceCQ(1)
}

func TestSQFlags(t *testing.T) {
	r, k := fakeRing(t, 4, 8, 0, nil)
	if r.NeedWakeup() || r.CQOverflow() {
		t.Error("flags set in a new ring")
	}
	k.SetSQFlags(SQNeedWakeup)
	if !r.NeedWakeup() || r.CQOverflow() {
		t.Error("SQNeedWakeup: got wrong flags")
	}
	k.SetSQFlags(SQCQOverflow | SQTaskrun)
	if r.NeedWakeup() || !r.CQOverflow() || r.SQFlags() != SQCQOverflow|SQTaskrun {
		t.Error("SQCQOverflow: got wrong flags")
	}
}

// TestAttachRefuses gives descriptions of a ring that do not fit its memory.
func TestAttachRefuses(t *testing.T) {
	good := func() (Params, region, region) {
		p := Params{SQEntries: 4, CQEntries: 8, Features: neededFeatures}
		p.SQOff = SQRingOffsets{Head: 0, Tail: 4, RingMask: 8, RingEntries: 12, Flags: 16, Dropped: 20, Array: 256}
		p.CQOff = CQRingOffsets{Head: 64, Tail: 68, RingMask: 72, RingEntries: 76, Overflow: 80, Flags: 84, CQEs: 128}
		rings, sqes := newRegion(256+4*4), newRegion(4*64)
		rings[8], rings[72] = 3, 7
		if bigEndian {
			rings[8], rings[72], rings[11], rings[75] = 0, 0, 3, 7
		}
		return p, rings, sqes
	}
	p, rings, sqes := good()
	if err := new(Ring).attach(&p, rings, sqes); err != nil {
		t.Fatal("a good ring:", err)
	}
	for _, tt := range []struct {
		name string
		do   func(p *Params, rings, sqes *region)
	}{
		{"sq head outside", func(p *Params, _, _ *region) { p.SQOff.Head = 1 << 20 }},
		{"sq tail at the very end", func(p *Params, rings, _ *region) { p.SQOff.Tail = uint32(len(*rings)) - 2 }},
		{"sq flags misaligned", func(p *Params, _, _ *region) { p.SQOff.Flags = 17 }},
		{"cq tail wraps", func(p *Params, _, _ *region) { p.CQOff.Tail = math.MaxUint32 - 3 }},
		{"cqes outside", func(p *Params, _, _ *region) { p.CQOff.CQEs = 256 }},
		{"cqes misaligned", func(p *Params, _, _ *region) { p.CQOff.CQEs = 129 }},
		{"array outside", func(p *Params, _, _ *region) { p.SQOff.Array = 272 }},
		{"no entries", func(p *Params, _, _ *region) { p.SQEntries = 0 }},
		{"not a power of two", func(p *Params, _, _ *region) { p.CQEntries = 6 }},
		{"wrong mask", func(_ *Params, rings, _ *region) { (*rings)[8] ^= 4 }},
		{"fewer completions than entries", func(p *Params, rings, _ *region) { p.CQEntries = 2 }},
		{"sqes too short", func(_ *Params, _, sqes *region) { *sqes = (*sqes)[:255] }},
	} {
		p, rings, sqes := good()
		tt.do(&p, &rings, &sqes)
		if err := new(Ring).attach(&p, rings, sqes); err == nil {
			t.Errorf("%s: got no error", tt.name)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	for _, f := range []SetupFlags{
		SetupSQE128, SetupCQE32, SetupNoMmap, SetupRegisteredFDOnly, SetupCQEMixed, SetupSQEMixed, SetupSQRewind,
	} {
		if _, err := New(Config{Entries: 4, Flags: f}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("New with %v: got %v, want %v", f, err, errors.ErrUnsupported)
		}
		if _, err := New(Config{Entries: 4, Wanted: []SetupFlags{f}}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("New with %v wanted: got %v, want %v", f, err, errors.ErrUnsupported)
		}
	}
	for _, f := range []Features{0, FeatSingleMmap, FeatNoDrop | FeatExtArg} {
		if err := checkFeatures(f); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("features %v: got %v, want %v", f, err, errors.ErrUnsupported)
		}
	}
	if err := checkFeatures(FeatSingleMmap | FeatNoDrop | FeatSubmitStable); err != nil {
		t.Error(err)
	}
	c := Config{CQEntries: 64, Flags: SetupAttachWQ, AttachFD: 7, SQThreadIdleMS: 5, SQThreadCPU: 1}
	wanted := []SetupFlags{SetupSubmitAll, SetupSingleIssuer | SetupDeferTaskrun}
	got := c.params(wanted, 1)
	want := Params{
		CQEntries: 64, Flags: SetupAttachWQ | SetupCQSize | SetupSubmitAll,
		SQThreadIdle: 5, SQThreadCPU: 1, WQFD: 7,
	}
	if got != want {
		t.Errorf("params: got %+v, want %+v", got, want)
	}
}

// enterCall is an enter that a scripted kernel expects, and what it does then.
type enterCall struct {
	toSubmit, minComplete uint32
	flags                 EnterFlags

	take  int // entries taken
	post  int // completions posted
	sq    SQFlags
	n     int
	errno syscall.Errno
}

// scripted returns a fake ring whose enters are calls, in order, and a function that checks that
// all of them were made.
func scripted(t *testing.T, flags SetupFlags, calls []enterCall) (*Ring, *Fake, func()) {
	t.Helper()
	var k *Fake
	r, k, err := NewFake(4, 8, flags, FeatExtArg, func(toSubmit, minComplete uint32, f EnterFlags) (int, syscall.Errno, bool) {
		t.Helper()
		if len(calls) == 0 {
			t.Errorf("unexpected enter(%d, %d, %v)", toSubmit, minComplete, f)
			return 0, syscall.ENXIO, true
		}
		c := calls[0]
		calls = calls[1:]
		if toSubmit != c.toSubmit || minComplete != c.minComplete || f != c.flags {
			t.Errorf("enter: got (%d, %d, %v), want (%d, %d, %v)",
				toSubmit, minComplete, f, c.toSubmit, c.minComplete, c.flags)
		}
		for range c.take {
			k.TakeSQE()
		}
		for i := range c.post {
			k.PostCQE(CQE{UserData: uint64(i)})
		}
		k.SetSQFlags(c.sq)
		return c.n, c.errno, true
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, k, func() {
		t.Helper()
		if len(calls) != 0 {
			t.Errorf("%d expected enters did not happen, the first is %+v", len(calls), calls[0])
		}
	}
}

// TestSubmitAndWait plays what io_uring_enter may answer.
func TestSubmitAndWait(t *testing.T) {
	const get = EnterGetEvents
	for _, tt := range []struct {
		name    string
		flags   SetupFlags
		entries int
		want    uint32
		calls   []enterCall
		n       int
		err     error
	}{
		{name: "nothing to do"},
		{name: "all at once", entries: 3, calls: []enterCall{{toSubmit: 3, take: 3, n: 3}}, n: 3},
		{name: "short submit", entries: 4, calls: []enterCall{
			{toSubmit: 4, take: 1, n: 1}, {toSubmit: 3, take: 2, n: 2}, {toSubmit: 1, take: 1, n: 1},
		}, n: 4},
		{name: "one call submits and waits", entries: 2, want: 2, calls: []enterCall{
			{toSubmit: 2, minComplete: 2, flags: get, take: 2, post: 2, n: 2},
		}, n: 2},
		{name: "signal during the wait", entries: 1, want: 1, calls: []enterCall{
			{toSubmit: 1, minComplete: 1, flags: get, take: 1, n: 1},
			{minComplete: 1, flags: get, errno: syscall.EINTR},
			{minComplete: 1, flags: get, errno: syscall.EINTR},
			{minComplete: 1, flags: get, post: 1},
		}, n: 1},
		{name: "signal before the submission", entries: 1, calls: []enterCall{
			{toSubmit: 1, errno: syscall.EINTR}, {toSubmit: 1, take: 1, n: 1},
		}, n: 1},
		{name: "wait for more than the queue holds", want: 100, calls: []enterCall{
			{minComplete: 8, flags: get, post: 8},
		}},
		{name: "no memory", entries: 2, calls: []enterCall{
			{toSubmit: 2, take: 1, n: 1}, {toSubmit: 1, errno: syscall.EAGAIN},
		}, n: 1, err: syscall.EAGAIN},
		{name: "overflow that can be flushed", entries: 2, calls: []enterCall{
			{toSubmit: 2, errno: syscall.EBUSY, sq: SQCQOverflow},
			{flags: get, post: 2},
			{toSubmit: 2, take: 2, n: 2},
		}, n: 2},
		{name: "overflow that stays", entries: 2, calls: []enterCall{
			{toSubmit: 2, errno: syscall.EBUSY, sq: SQCQOverflow},
			{flags: get, sq: SQCQOverflow, errno: syscall.EBUSY},
			{toSubmit: 2, errno: syscall.EBUSY, sq: SQCQOverflow},
		}, err: syscall.EBUSY},
		{name: "a hard error", entries: 2, want: 2, calls: []enterCall{
			{toSubmit: 2, minComplete: 2, flags: get, take: 1, n: 1},
			{toSubmit: 1, minComplete: 2, flags: get, errno: syscall.EIO},
		}, n: 1, err: syscall.EIO},
		{name: "a kernel that takes nothing", entries: 1, calls: []enterCall{
			{toSubmit: 1},
		}, err: syscall.EAGAIN},
		{name: "polled ring", flags: SetupIOPoll, entries: 2, want: 2, calls: []enterCall{
			{toSubmit: 2, minComplete: 1, flags: get, take: 2, post: 1, n: 2},
		}, n: 2},
		{name: "polled ring without a wait", flags: SetupIOPoll, entries: 2, calls: []enterCall{
			{toSubmit: 2, flags: get, take: 2, n: 2},
		}, n: 2},
		{name: "awake SQPOLL thread", flags: SetupSQPoll, entries: 2, n: 2},
		{name: "SQPOLL wait", flags: SetupSQPoll, entries: 2, want: 1, calls: []enterCall{
			{minComplete: 1, flags: get, take: 2, post: 1},
		}, n: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _, done := scripted(t, tt.flags, tt.calls)
			for i := range tt.entries {
				nop(t, r, uint64(i))
			}
			n, err := r.SubmitAndWait(tt.want)
			if n != tt.n || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got %d, %v, want %d, %v", n, err, tt.n, tt.err)
			}
			done()
		})
	}
}

func TestSQPollWakeup(t *testing.T) {
	// The flag stays up after the wakeup, as the thread has not yet run.
	r, k, done := scripted(t, SetupSQPoll, []enterCall{
		{flags: EnterSQWakeup, sq: SQNeedWakeup},
		{minComplete: 1, flags: EnterGetEvents | EnterSQWakeup, take: 2, post: 1},
	})
	k.SetSQFlags(SQNeedWakeup)
	nop(t, r, 1)
	if n, err := r.Submit(); n != 1 || err != nil {
		t.Errorf("Submit: got %d, %v, want 1, nil", n, err)
	}
	nop(t, r, 2)
	if n, err := r.SubmitAndWait(1); n != 1 || err != nil {
		t.Errorf("SubmitAndWait: got %d, %v, want 1, nil", n, err)
	}
	done()

	r, k, done = scripted(t, SetupSQPoll, []enterCall{
		{flags: EnterSQWait, errno: syscall.EINTR, sq: SQNeedWakeup},
		{flags: EnterSQWait | EnterSQWakeup, take: 1},
	})
	k.SetSQFlags(0)
	for i := range uint64(4) {
		nop(t, r, i)
	}
	if err := r.WaitSQ(); err != nil || r.SQSpaceLeft() != 1 {
		t.Errorf("WaitSQ: got %v, %d left, want nil, 1", err, r.SQSpaceLeft())
	}
	done()
}

// TestSQPollCount submits to a thread that takes entries while Submit runs: what Submit returns must
// not depend on how fast it is. (A guest with Linux 5.10 lost that race once in a few thousand runs.)
func TestSQPollCount(t *testing.T) {
	r, k, err := NewFake(8, 8, SetupSQPoll, FeatExtArg, refuseEnter)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var thread sync.WaitGroup
	thread.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, ok := k.TakeSQE(); !ok {
					runtime.Gosched()
				}
			}
		}
	})
	defer thread.Wait()
	defer close(stop)
	for i, end := uint64(0), time.Now().Add(300*time.Millisecond); time.Now().Before(end); i++ {
		for r.SQSpaceLeft() < 2 {
			runtime.Gosched()
		}
		nop(t, r, i)
		nop(t, r, i)
		if n, err := r.Submit(); n != 2 || err != nil {
			t.Fatalf("Submit %d: got %d, %v, want 2, nil", i, n, err)
		}
	}
}

func TestWaitCQEs(t *testing.T) {
	const timed = EnterGetEvents | EnterExtArg
	r, _, done := scripted(t, 0, []enterCall{
		{toSubmit: 1, minComplete: 2, flags: timed, take: 1, post: 1, n: 1},
		{minComplete: 2, flags: timed, errno: syscall.ETIMEDOUT},
		{minComplete: 2, flags: timed, errno: syscall.ETIMEDOUT}, // what is prepared stays where it is
	})
	nop(t, r, 1)
	if n, err := r.SubmitAndWaitTimeout(2, time.Minute); n != 1 || !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("SubmitAndWaitTimeout: got %d, %v, want 1, %v", n, err, syscall.ETIMEDOUT)
	}
	nop(t, r, 2)
	if c, err := r.WaitCQEs(2, time.Minute); c != nil || !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("WaitCQEs: got %v, %v, want nil, %v", c, err, syscall.ETIMEDOUT)
	}
	if c, err := r.PeekCQE(); c == nil || err != nil {
		t.Errorf("PeekCQE: got %v, %v, want a completion", c, err)
	}
	done()

	r, _, err := NewFake(4, 8, 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.WaitCQEs(1, time.Minute); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("WaitCQEs without FeatExtArg: got %v, want %v", err, errors.ErrUnsupported)
	}
	if _, err := r.SubmitAndWaitTimeout(1, time.Minute); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SubmitAndWaitTimeout without FeatExtArg: got %v, want %v", err, errors.ErrUnsupported)
	}
}

// TestGetSQEEmpty gets an entry that was used before: one that is not prepared must not do that again.
func TestGetSQEEmpty(t *testing.T) {
	r, _, err := NewFake(1, 2, 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := r.GetSQE()
	e.PrepWrite(1, []byte("once"), 0)
	e.SetUserData(7)
	r.sq.head.Store(r.Flush()) // as the kernel, when it takes it
	if e := r.GetSQE(); e == nil || *e != (SQE{}) {
		t.Errorf("got %+v, want an empty entry", e)
	}
}

// TestPeekFetches checks when a peek enters the kernel.
func TestPeekFetches(t *testing.T) {
	get := []enterCall{{flags: EnterGetEvents, post: 1}}
	for _, tt := range []struct {
		name  string
		flags SetupFlags
		sq    SQFlags
		calls []enterCall
	}{
		{"plain", 0, 0, nil},
		{"overflow", 0, SQCQOverflow, get},
		{"taskrun", 0, SQTaskrun, get},
		{"polled", SetupIOPoll, 0, get},
		{"deferred", SetupDeferTaskrun, 0, get},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, k, done := scripted(t, tt.flags, tt.calls)
			k.SetSQFlags(tt.sq)
			c, err := r.PeekCQE()
			if err != nil || (c != nil) != (tt.calls != nil) {
				t.Errorf("got %v, %v", c, err)
			}
			done()
		})
	}
}

// TestHalvesFake drives the halves of a ring and its kernel from four goroutines, under the race
// detector if it is on.
func TestHalvesFake(t *testing.T) {
	const total = 20000
	r, k := fakeRing(t, 8, 16, math.MaxUint32-total/2, nil)
	var stop atomic.Bool // ends all of them, also those that wait for one that failed
	watchdog := time.AfterFunc(30*time.Second, func() { stop.Store(true) })
	defer watchdog.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	wg.Go(func() { // submission half
		for i := uint64(0); i < total && !stop.Load(); {
			if e := r.GetSQE(); e != nil {
				e.PrepNop()
				e.SetUserData(i)
				i++
				if i%3 != 0 && i != total {
					continue
				}
			}
			r.Flush()
			yield()
		}
	})
	wg.Go(func() { // kernel
		for !stop.Load() {
			e, ok := k.TakeSQE()
			if !ok {
				yield()
				continue
			}
			for !k.PostCQE(CQE{UserData: e.UserData}) && !stop.Load() {
				yield()
			}
		}
	})
	wg.Go(func() { // onlookers may be anywhere
		for !stop.Load() {
			if sq, cq := r.SQReady(), r.CQReady(); sq > 8 || cq > 16 {
				t.Errorf("%d and %d ready of 8 and 16", sq, cq)
			}
			yield()
		}
	})
	buf := make([]CQE, 5)
	for want := uint64(0); want < total; {
		n := r.CopyCQEs(buf)
		for _, c := range buf[:n] {
			if c.UserData != want {
				t.Fatalf("got completion %d, want %d", c.UserData, want)
			}
			want++
		}
		if n == 0 {
			if stop.Load() {
				t.Fatalf("stuck after %d completions", want)
			}
			yield()
		}
	}
}

func TestFakeClose(t *testing.T) {
	r, k := fakeRing(t, 4, 8, 0, nil)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error("second Close:", err)
	}
	if e := r.GetSQE(); e != nil {
		t.Error("GetSQE after Close: got an entry")
	}
	if n := r.CopyCQEs(make([]CQE, 4)); n != 0 {
		t.Errorf("CopyCQEs after Close: got %d", n)
	}
	if k.PostCQE(CQE{}) {
		t.Error("PostCQE after Close: got true")
	}
	if r.FD() != -1 || r.Flush() != 0 || r.SQReady() != 0 || r.CQReady() != 0 || r.CQOverflow() || r.NeedWakeup() {
		t.Error("a closed ring is not empty")
	}
}

func TestCQEErr(t *testing.T) {
	for _, tt := range []struct {
		res  int32
		want error
	}{{0, nil}, {7, nil}, {-5, syscall.Errno(5)}, {-125, syscall.Errno(125)}} {
		if got := (&CQE{Res: tt.res}).Err(); got != tt.want {
			t.Errorf("Err of %d: got %v, want %v", tt.res, got, tt.want)
		}
	}
}

func TestDefaultWanted(t *testing.T) {
	a := DefaultWanted()
	a[0] = 0
	if !slices.Equal(DefaultWanted(), []SetupFlags{SetupSubmitAll, SetupNoSQArray}) {
		t.Errorf("got %v", DefaultWanted())
	}
}

func TestWithdraw(t *testing.T) {
	for _, start := range starts {
		r, k := fakeRing(t, 4, 8, start, nil)
		for i := range uint64(4) {
			nop(t, r, i)
		}
		r.Flush()
		if _, ok := k.TakeSQE(); !ok {
			t.Fatal("no entry for the kernel")
		}
		var got []uint64
		if n := r.Withdraw(func(e *SQE) { got = append(got, e.UserData) }); n != 3 {
			t.Errorf("start %d: withdrew %d, want 3", start, n)
		}
		if !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Errorf("start %d: withdrew %v, want 1, 2, 3", start, got)
		}
		if _, ok := k.TakeSQE(); ok || r.SQReady() != 0 || r.SQSpaceLeft() != 4 {
			t.Errorf("start %d: entries left after Withdraw", start)
		}
	}
}
