package ringfile

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// readMany reads the file of Pattern from several goroutines in several ways, count times each.
func readMany(t *testing.T, f *File, workers, count int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			buf := make([]byte, 1024)
			for i := range count {
				off := int64((w*count+i)%60) * 1024
				clear(buf)
				var n int
				var err error
				switch i % 3 {
				case 0:
					n, err = f.ReadAt(buf, off)
				case 1:
					n, err = f.StartReadAt(buf, off).Await()
				default:
					n, err = f.ReadAtContext(t.Context(), buf, off)
				}
				if n != len(buf) || err != nil || testutil.CheckPattern(buf, off) >= 0 {
					t.Errorf("read %d at %d = %d, %v", i%3, off, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestInjectedEnter has io_uring_enter fail, for each way in which a request is submitted: by a
// caller that leads, for the reaper, and by the reaper on behalf of callers.
func TestInjectedEnter(t *testing.T) {
	type call struct {
		name string
		read func(f *File, p []byte) (int, error)
	}
	calls := []call{
		{"ReadAt", func(f *File, p []byte) (int, error) { return f.ReadAt(p, 0) }},
		{"StartReadAt", func(f *File, p []byte) (int, error) { return f.StartReadAt(p, 0).Await() }},
		{"ReadAtContext", func(f *File, p []byte) (int, error) { return f.ReadAtContext(t.Context(), p, 0) }},
	}
	type enterCase struct {
		name   string
		enters []entry
		busy   uint64
		broken uint64
	}
	var cases []enterCase
	for _, errno := range []syscall.Errno{syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM} {
		cases = append(cases,
			enterCase{name: errno.Error(), enters: []entry{{errno: errno}}, busy: 1},
			enterCase{name: errno.Error() + " 20 times", enters: slices20(entry{errno: errno}), busy: 20})
	}
	for _, errno := range []syscall.Errno{syscall.EBADF, syscall.EFAULT, syscall.ENXIO, syscall.EINVAL, syscall.EPERM, syscall.ENOSYS} {
		cases = append(cases, enterCase{name: errno.Error(), enters: []entry{{errno: errno}}, broken: 1})
	}
	cases = append(cases,
		enterCase{name: "EINTR", enters: []entry{{errno: syscall.EINTR}}},
		enterCase{name: "EINTR 20 times", enters: slices20(entry{errno: syscall.EINTR})},
		enterCase{name: "takes nothing", enters: []entry{{}}},
		enterCase{name: "takes nothing 20 times", enters: slices20(entry{})})
	for _, c := range calls {
		for _, want := range cases {
			t.Run(c.name+"/"+want.name, func(t *testing.T) {
				e, k := fakeEngine(t)
				f := fakeFile(t, e)
				k.set(func() { k.enters = want.enters })
				buf := make([]byte, 1024)
				n, err := c.read(f, buf)
				if n != len(buf) || err != nil || testutil.CheckPattern(buf, 0) >= 0 {
					t.Errorf("read = %d, %v", n, err)
				}
				s := e.Stats()
				if s.Busy != want.busy || s.Broken != want.broken || s.Blocking != want.broken || s.Rings != 1-int(want.broken) {
					t.Errorf("stats: %+v", s)
				}
				readMany(t, f, 4, 6) // broken or not, the engine serves
			})
		}
	}
}

func slices20(x entry) []entry {
	var all []entry
	for range 20 {
		all = append(all, x)
	}
	return all
}

// TestInjectedEnterCrowd has enters fail, and take less than they were given, among many requests.
func TestInjectedEnterCrowd(t *testing.T) {
	for _, c := range []struct {
		name string
		x    []entry
	}{
		{"short", []entry{{take: 1}, {take: 0}, {take: 2}, {take: 100}}},
		{"refused", []entry{{errno: syscall.EAGAIN}, {take: 100}, {errno: syscall.EBUSY}, {errno: syscall.EINTR}, {take: 1}, {errno: syscall.ENOMEM}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, k := fakeEngine(t)
			f := fakeFile(t, e)
			k.set(func() {
				for range 50 {
					k.enters = append(k.enters, c.x...)
				}
			})
			readMany(t, f, 32, 30)
			if s := e.Stats(); s.Broken != 0 || s.Strays != 0 || s.Blocking != 0 || s.Ring != 32*30 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// TestInjectedStartReturns has the kernel refuse all submissions for a while, as it does for want of
// memory: Start returns and a context call leaves on time nevertheless.
func TestInjectedStartReturns(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	k.set(func() { k.hold = func(*uring.SQE) bool { return true } })
	first := f.StartReadAt(make([]byte, 1024), 0)
	k.wait(1) // from here on the reaper sleeps in the kernel, and callers submit for themselves
	k.set(func() {
		for range 1 << 20 {
			k.enters = append(k.enters, entry{errno: syscall.EAGAIN})
		}
	})
	second := f.StartReadAt(make([]byte, 1024), 0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if n, err := f.ReadAtContext(ctx, make([]byte, 1024), 0); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadAtContext = %d, %v", n, err)
	}
	k.set(func() { k.hold, k.enters = nil, nil })
	if n, err := second.Await(); n != 1024 || err != nil {
		t.Errorf("second future: %d, %v", n, err)
	}
	k.finish(func(int) int { return 0 })
	if n, err := first.Await(); n != 1024 || err != nil {
		t.Errorf("first future: %d, %v", n, err)
	}
}

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

// TestInjectedStrays has completions come that belong to nothing: unknown numbers, the slots of
// earlier requests, cancellations that nobody asked for, and each completion twice.
func TestInjectedStrays(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	var strays uint64
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
			strays += uint64(len(all) - 1)
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
	if got := e.Stats().Strays; got != strays {
		t.Errorf("%d strays counted, want %d", got, strays)
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
	if s := e.Stats(); s.Strays != 0 || s.Blocking != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestInjectedOverflow has the kernel keep completions back, as if the queue were full, until the
// watcher comes for them.
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
	if s := e.Stats(); s.Strays != 0 || s.Blocking != 0 || s.Broken != 0 {
		t.Errorf("stats: %+v", s)
	}
}
