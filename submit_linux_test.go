package ringfile

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/count"
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

// TestInjectedEnter has io_uring_enter fail, for each kind of caller that a request has.
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
			enterCase{name: errno.Error() + " 20 times", enters: twenty(entry{errno: errno}), busy: 20})
	}
	for _, errno := range []syscall.Errno{syscall.EBADF, syscall.EFAULT, syscall.ENXIO, syscall.EINVAL, syscall.EPERM, syscall.ENOSYS} {
		cases = append(cases, enterCase{name: errno.Error(), enters: []entry{{errno: errno}}, broken: 1})
	}
	cases = append(cases,
		enterCase{name: "EINTR", enters: []entry{{errno: syscall.EINTR}}},
		enterCase{name: "EINTR 20 times", enters: twenty(entry{errno: syscall.EINTR})},
		enterCase{name: "takes nothing", enters: []entry{{}}},
		enterCase{name: "takes nothing 20 times", enters: twenty(entry{})})
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

func twenty(x entry) []entry {
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
			if s := e.Stats(); s.Broken != 0 || s.Unknown != 0 || s.Blocking != 0 || s.Ring != 32*30 {
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
	k.wait(1) // from here on the reaper waits in the kernel, and the submitter submits
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

// TestLeftToReaper submits while the reaper is about to come: the first few entries are left to it, and more wake the
// submitter, as any do otherwise.
func TestLeftToReaper(t *testing.T) {
	for _, c := range []struct {
		name  string
		state state
		want  int // submissions until the submitter is woken
	}{{"reaping", reaping, leftToReaper}, {"running", running, 1}, {"waiting", waiting, 1}} {
		t.Run(c.name, func(t *testing.T) {
			stuck := make(chan struct{})
			u, _, err := uring.NewFake(16, 16, 0, 0, func(uint32, uint32, uring.EnterFlags) (int, syscall.Errno, bool) {
				<-stuck
				return 0, 0, true
			})
			if err != nil {
				t.Fatal(err)
			}
			q, err := newQueue(u, 8, new(count.Counter))
			if err != nil {
				t.Fatal(err)
			}
			q.state = c.state
			for i := range c.want {
				if q.own != nil {
					t.Fatalf("the submitter was called after %d requests, want %d", i, c.want)
				}
				if !q.submit(&request{operation: operation{code: opFsync, desc: new(descriptor)}}) {
					t.Fatal("a request was refused")
				}
			}
			if q.own == nil {
				t.Fatalf("the submitter was not called after %d requests", c.want)
			}
			q.mu.Lock()
			s := q.dismissSubmitter()
			q.mu.Unlock()
			close(stuck)
			rouse(s)
			eventually(func() bool {
				q.mu.Lock()
				defer q.mu.Unlock()
				return q.submitters == 0
			})
		})
	}
}

// TestTakesOver has entries left to the reaper only where that waits for them in the kernel, and others submit.
func TestTakesOver(t *testing.T) {
	for _, c := range []struct {
		name     string
		flags    uring.SetupFlags
		features uring.Features
		want     bool
	}{
		{"Linux 5.11", 0, uring.FeatExtArg, true},
		{"Linux 5.10", 0, 0, false},
		{"SQPOLL", uring.SetupSQPoll, uring.FeatExtArg, false},
		{"IOPOLL", uring.SetupIOPoll, uring.FeatExtArg, false},
	} {
		u, _, err := uring.NewFake(4, 4, c.flags, c.features, nil)
		if err != nil {
			t.Fatal(err)
		}
		q, err := newQueue(u, 2, new(count.Counter))
		if err != nil {
			t.Fatal(err)
		}
		if got := q.takesOver(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
