package ringfile

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/count"
	"github.com/ringfile/ringfile/internal/route"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// TestBrokenSQPoll has io_uring_enter fail for good on a ring whose thread takes the requests: what
// it takes completes, and what it will never take, as nobody can wake it, is done by blocking calls.
func TestBrokenSQPoll(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 64, CloseTimeout: 30 * time.Second, SQPoll: &SQPollConfig{Idle: time.Millisecond}})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	var calls atomic.Int64
	e.devices.rings.spare.SetEnterHook(func(_, _ uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		if calls.Add(1) > 10 {
			return 0, syscall.EBADF, true
		}
		return 0, 0, false
	})
	for e.Stats().Broken == 0 { // its thread may need no call for a while
		readEverywhere(t, e)
	}
	readEverywhere(t, e)
	if s := e.Stats(); s.Broken != 1 || s.Ring == 0 || s.Blocking == 0 || s.InFlight != 0 {
		t.Errorf("stats after the break: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestSQPollStranded breaks a ring while its thread sleeps: the request that is queued is withdrawn.
func TestSQPollStranded(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 1, Depth: 64, SQPoll: &SQPollConfig{Idle: time.Millisecond}})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY|testDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	buf := AlignedBuffer(4096, 4096)
	throughRing(t, f)
	f.ReadAt(buf, 0)
	q := queueOf(t, f)
	awaitIdle(q) // nobody enters
	q.u.SetEnterHook(func(uint32, uint32, uring.EnterFlags) (int, syscall.Errno, bool) {
		return 0, syscall.EOWNERDEAD, true
	})
	for !q.u.NeedWakeup() {
		time.Sleep(time.Millisecond)
	}
	future := f.StartReadAt(buf, 4096)
	if n, err := future.Await(); n != 4096 || err != nil || testutil.CheckPattern(buf, 4096) >= 0 {
		t.Errorf("StartReadAt = %d, %v, or wrong data", n, err)
	}
	if s := e.Stats(); s.Broken != 1 || s.InFlight != 0 {
		t.Errorf("stats: %+v", s)
	}
	f.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestFullSubmissionQueue has fewer entries in the submission queue than slots, as while a submission that is
// going on holds them: the kernel tells at the end of it that it has taken them. What finds no entry waits in
// line, and is queued when there is room.
func TestFullSubmissionQueue(t *testing.T) {
	u, kernel, err := uring.NewFake(4, 16, uring.SetupSQPoll, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := newQueue(u, 8, new(count.Counter))
	if err != nil {
		t.Fatal(err)
	}
	q.state = running // nobody is woken
	var all []*request
	for range 6 {
		all = append(all, &request{operation: operation{code: opFsync, desc: new(descriptor)}})
	}
	if n := q.submitMany(all); n != 6 {
		t.Fatalf("%d of 6 requests were taken", n)
	}
	state := func(flying, waiting int) {
		t.Helper()
		if got := int(q.inFlight.Load()); got != flying || q.waiting.n != waiting {
			t.Errorf("%d in flight and %d in line, want %d and %d", got, q.waiting.n, flying, waiting)
		}
		for i, req := range all {
			if (req.slot == nil) != (i >= flying) {
				t.Errorf("request %d is out of order", i)
			}
		}
	}
	state(4, 2)
	q.refill()
	state(4, 2)
	for n := range 2 {
		if _, ok := kernel.TakeSQE(); !ok {
			t.Fatal("nothing queued")
		}
		q.refill()
		state(5+n, 1-n)
	}
	// Who comes later does not overtake those in line, though there is room now.
	all = append(all, &request{operation: operation{code: opFsync, desc: new(descriptor)}},
		&request{operation: operation{code: opFsync, desc: new(descriptor)}})
	q.submit(all[6])
	state(6, 1)
	kernel.TakeSQE()
	kernel.TakeSQE()
	q.submit(all[7])
	state(6, 2)
	q.refill()
	state(8, 0)
	// Cancellations find no room either, and are due.
	for _, req := range all {
		req.why = byCaller
	}
	q.askCancels()
	if !q.dueCancel || q.cancels != 0 {
		t.Errorf("cancellations are due: %v, %d are out, want all due", q.dueCancel, q.cancels)
	}
	for range 4 {
		kernel.TakeSQE()
	}
	q.refill()
	if !q.dueCancel || q.cancels != 4 {
		t.Errorf("cancellations are due: %v, %d are out, want 4 out", q.dueCancel, q.cancels)
	}
	for range 4 {
		kernel.TakeSQE()
	}
	q.refill()
	if q.dueCancel || q.cancels != 8 {
		t.Errorf("cancellations are due: %v, %d are out, want 8 out", q.dueCancel, q.cancels)
	}
}

// TestIOPollKernelRefuses lets the kernel itself refuse to poll, as it does where /sys says nothing
// about the device.
func TestIOPollKernelRefuses(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{IOPoll: true})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDWR|testDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	f.t.dev.facts.polled.Set(route.Yes)
	buf := AlignedBuffer(4096, 4096)
	for what, read := range map[string]func() (int, error){
		"ReadAt":        func() (int, error) { return f.ReadAt(buf, 4096) },
		"StartReadAt":   func() (int, error) { return f.StartReadAt(buf, 4096).Await() },
		"ReadAtContext": func() (int, error) { return f.ReadAtContext(t.Context(), buf, 4096) },
	} {
		n, err := read()
		var why *UnavailableError
		switch {
		case n == 4096 && err == nil:
			t.Logf("%s is served", what) // a kernel that waits for an interrupt instead, or a device that polls
		case n == 0 && errors.As(err, &why) && why.Op == "IOPOLL":
		default:
			t.Errorf("%s = %d, %v", what, n, err)
		}
	}
	f.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
