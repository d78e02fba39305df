package ringfile

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// TestInjectedBreakInFlight breaks the ring while the kernel has requests: those are waited for,
// however late they complete, and a call with a context leaves on time.
func TestInjectedBreakInFlight(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	k.set(func() { k.hold = func(*uring.SQE) bool { return true } })
	bufs := make([][]byte, 4)
	var taken []*Future[int]
	for i := range bufs {
		bufs[i] = make([]byte, 1024)
		taken = append(taken, f.StartReadAt(bufs[i], int64(i)*1024))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := make(chan error, 1)
	go func() {
		_, err := f.ReadAtContext(ctx, make([]byte, 1024), 0)
		left <- err
	}()
	k.wait(5)
	k.set(func() { k.enters = []entry{{errno: syscall.EBADF}} })
	late := f.StartReadAt(make([]byte, 1024), 0) // its submission breaks the ring
	for e.Stats().Broken == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("ReadAtContext on the broken ring: %v", err)
	}
	if n, err := f.ReadAt(make([]byte, 1024), 0); n != 1024 || err != nil {
		t.Errorf("ReadAt beside the broken ring = %d, %v", n, err)
	}
	for _, future := range taken {
		future.Cancel() // in vain
	}
	if n := e.Stats().InFlight; n < 5 {
		t.Errorf("%d requests in flight, want those that the kernel has", n)
	}
	k.finish(func(int) int { return 0 })
	for i, future := range append(taken, late) {
		if n, err := future.Await(); n != 1024 || err != nil {
			t.Errorf("future %d: %d, %v", i, n, err)
		}
	}
	for i, buf := range bufs {
		if at := testutil.CheckPattern(buf, int64(i)*1024); at >= 0 {
			t.Errorf("wrong byte at %d", at)
		}
	}
}

// TestInjectedBreakInLine breaks the ring while requests wait for a slot: system calls carry them out, though
// the device answers none of those that the kernel has.
func TestInjectedBreakInLine(t *testing.T) {
	e, k := fakeEngine(t)
	f, g := fakeFile(t, e), fakeFile(t, e)
	k.set(func() {
		k.deaf = true
		k.hold = func(e *uring.SQE) bool { return int(e.FD) == f.t.FD }
	})
	var held, line []*Future[int]
	for range fakeDepth {
		held = append(held, f.StartReadAt(make([]byte, 1024), 0))
	}
	k.wait(fakeDepth)
	for i := range 8 {
		line = append(line, g.StartReadAt(make([]byte, 1024), int64(i)*1024))
	}
	plain := make(chan error, 1)
	go func() {
		_, err := g.WriteAt(make([]byte, 1024), 0)
		plain <- err
	}()
	eventually(func() bool { return e.Stats().SlotWaits == 9 })
	k.set(func() { k.enters = []entry{{errno: syscall.EBADF}} })
	held[0].Cancel() // whose submission breaks the ring
	for i, future := range line {
		if n, err := future.Await(); n != 1024 || err != nil {
			t.Errorf("future %d in line: %d, %v", i, n, err)
		}
	}
	if err := <-plain; err != nil {
		t.Errorf("WriteAt in line: %v", err)
	}
	if n := e.Stats().InFlight; n != fakeDepth {
		t.Errorf("%d requests in flight, want those that the kernel has", n)
	}
	k.set(func() { k.hold = nil })
	k.finish(func(int) int { return 0 })
	for i, future := range held {
		if n, err := future.Await(); n != 1024 || err != nil {
			t.Errorf("future %d of those in flight: %d, %v", i, n, err)
		}
	}
}

// TestInjectedUnknown has completions come that belong to nothing: unknown numbers, the slots of
// earlier requests, cancellations that nobody asked for, and each completion twice.
func TestInjectedUnknown(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	var unknown uint64
	var old []uint64
	k.set(func() {
		k.posted = func(c uring.CQE) []uring.CQE {
			all := []uring.CQE{c, c}
			for _, id := range []uint64{0, 2, c.UserData + 8, c.UserData - 1<<addressBits, rand.Uint64() | 1<<47, ^uint64(0)} {
				all = append(all, uring.CQE{UserData: id, Res: 1024})
			}
			all = append(all, uring.CQE{UserData: idCancel})
			for _, id := range old {
				all = append(all, uring.CQE{UserData: id, Res: 1024})
			}
			old = append(old[max(0, len(old)-3):], c.UserData)
			unknown += uint64(len(all) - 1)
			return all
		}
	})
	for i := range 100 {
		buf := make([]byte, 1024)
		if n, err := f.ReadAt(buf, int64(i%60)*1024); n != 1024 || err != nil || testutil.CheckPattern(buf, int64(i%60)*1024) >= 0 {
			t.Fatalf("ReadAt = %d, %v", n, err)
		}
		if n, err := f.StartReadAt(buf, 0).Await(); n != 1024 || err != nil || testutil.CheckPattern(buf, 0) >= 0 {
			t.Fatalf("StartReadAt = %d, %v", n, err)
		}
	}
	k.set(func() { k.posted = nil })
	readMany(t, f, 8, 10)
	// Cancellation must still work.
	k.set(func() { k.hold = func(*uring.SQE) bool { return true } })
	future := f.StartReadAt(make([]byte, 1024), 0)
	k.wait(1)
	future.Cancel()
	if _, err := future.Await(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled future: %v", err)
	}
	if got := e.Stats().Unknown; got != unknown {
		t.Errorf("%d unknown counted, want %d", got, unknown)
	}
}

// TestInjectedOrder has completions come late and in any order, more of them than fit at once, with
// the positions of both queues about to wrap.
func TestInjectedOrder(t *testing.T) {
	e, k := fakeEngine(t)
	if err := k.fake.SetPositions(^uint32(0)-20, ^uint32(0)-7); err != nil {
		t.Fatal(err)
	}
	f := fakeFile(t, e)
	for round := range 20 {
		k.set(func() { k.hold = func(*uring.SQE) bool { return true } })
		var bufs [fakeDepth][]byte
		var all []*Future[int]
		for i := range bufs {
			bufs[i] = make([]byte, 1024)
			all = append(all, f.StartReadAt(bufs[i], int64(i)*1024))
		}
		k.wait(fakeDepth)
		waiter := make(chan error, 1)
		go func() { // for a slot
			_, err := f.ReadAt(make([]byte, 1024), 0)
			waiter <- err
		}()
		k.set(func() { k.hold = nil })
		k.finish(rand.IntN)
		for i, future := range all {
			if n, err := future.Await(); n != 1024 || err != nil {
				t.Errorf("round %d, future %d: %d, %v", round, i, n, err)
			}
			if at := testutil.CheckPattern(bufs[i], int64(i)*1024); at >= 0 {
				t.Errorf("round %d, future %d: wrong byte at %d", round, i, at)
			}
		}
		if err := <-waiter; err != nil {
			t.Errorf("round %d: ReadAt: %v", round, err)
		}
	}
	readMany(t, f, 16, 30)
	if s := e.Stats(); s.Unknown != 0 || s.Blocking != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestInjectedOverflow has the kernel keep completions back, as if the queue were full, until the
// reaper comes for them.
func TestInjectedOverflow(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	k.set(func() {
		k.posted = func(c uring.CQE) []uring.CQE {
			k.overflow = append(k.overflow, c)
			k.fake.SetSQFlags(uring.SQCQOverflow)
			return nil
		}
	})
	readMany(t, f, 16, 30)
	k.set(func() { k.posted = nil })
	if s := e.Stats(); s.Unknown != 0 || s.Blocking != 0 || s.Broken != 0 {
		t.Errorf("stats: %+v", s)
	}
}
