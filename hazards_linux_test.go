package ringfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// fakeChainRing gives an engine of fakeEngine a ring for chains, with a kernel of its own.
func fakeChainRing(t *testing.T, e *Engine) (*ring, *fakeKernel) {
	t.Helper()
	k := newFakeKernel(t, 2*chainDepth, uring.FeatExtArg)
	r, err := newRing(e, k.ring, chainDepth)
	if err != nil {
		t.Fatal(err)
	}
	r.whole = &whole{turn: make(chan struct{}, 1)}
	e.chains.Store(r)
	return r, k
}

// TestPoolCloseSeesRequests closes a pool whose memory a request still uses, against the rules: the
// memory stays, whatever kind of request it is.
func TestPoolCloseSeesRequests(t *testing.T) {
	cases := []struct {
		name  string
		start func(t *testing.T, f *File, p []byte) (wait func())
	}{
		{"vector", func(t *testing.T, f *File, p []byte) func() {
			future := f.StartReadvAt([][]byte{make([]byte, 512), p}, 0)
			return func() { future.Await() }
		}},
		{"chain", func(t *testing.T, f *File, p []byte) func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				var c Chain
				c.ReadAt(f, p, 0)
				c.Run()
			}()
			return func() { <-done }
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, k := fakeEngine(t)
			if c.name == "chain" {
				_, k = fakeChainRing(t, e)
			}
			f := fakeFile(t, e)
			m, err := newFixedMemory(1, 4096)
			if err != nil {
				t.Fatal(err)
			}
			m.engine = e
			start := address(m.mem)
			e.fixed.ended = true // a fake has no table that could be emptied
			e.fixed.used[0] = true
			e.fixed.table.Store(newFixedTable([]fixedRange{{start, start + uintptr(len(m.mem)), 0}}))
			k.hold = func(*uring.SQE) bool { return true }
			p := m.get()
			wait := c.start(t, f, p)
			k.wait(1)
			m.put(p)
			var left *CloseError
			if err := m.close(); !errors.As(err, &left) || left.InFlight != 1 {
				t.Errorf("close = %v, want a *CloseError with 1 in flight", err)
			}
			k.finish(func(int) int { return 0 })
			wait()
		})
	}
}

// TestLeaderMeetsDeadline has a batch that leads find the lock of a deadline taken, as while it fires:
// the requests that it then cancels, and those of others, may need somebody who reaps.
func TestLeaderMeetsDeadline(t *testing.T) {
	e, k := fakeEngine(t)
	f, g := fakeFile(t, e), fakeFile(t, e)
	f.SetReadDeadline(time.Now().Add(time.Hour))
	locked := make(chan struct{})
	k.hold = func(*uring.SQE) bool {
		k.hold = nil
		f.readBy.mu.Lock() // by whoever submits, after it has looked at the deadline
		close(locked)
		return false
	}
	ran := make(chan error)
	go func() {
		var b Batch
		for i := range fakeDepth + fakeDepth/2 {
			b.ReadAt(f, make([]byte, 512), int64(i)*512)
		}
		ran <- b.Run()
	}()
	<-locked
	select {
	case <-g.StartReadAt(make([]byte, 512), 0).Done():
	case <-time.After(20 * time.Second):
		t.Error("nobody reaps")
	}
	f.readBy.mu.Unlock()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// shortOfMemory has a kernel refuse submissions while the returned value is true.
func shortOfMemory(r *ring, k *fakeKernel, meanwhile func()) *atomic.Bool {
	refuses := new(atomic.Bool)
	r.u.SetEnterHook(func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		if toSubmit > 0 && refuses.Load() {
			meanwhile()
			return 0, syscall.EAGAIN, true
		}
		return k.enter(toSubmit, minComplete, flags)
	})
	return refuses
}

// durableWrite is a chain of two.
func durableWrite(f *File) *Chain {
	c := new(Chain)
	c.WriteAt(f, make([]byte, 512), 0)
	c.Datasync(f)
	return c
}

// TestChainKernelShort has a kernel that has no memory for chains: system calls carry them out, and
// nobody waits for the ring's lock, nor the reaper for what is not in the kernel.
func TestChainKernelShort(t *testing.T) {
	e, _ := fakeEngine(t)
	r, k := fakeChainRing(t, e)
	f := fakeFile(t, e)
	var reapers atomic.Int32
	shortOfMemory(r, k, func() {
		if reapers.Add(1) == 1 {
			r.wake <- struct{}{} // it waits for the lock, that it gets when the chain is over
		}
		time.Sleep(time.Millisecond)
	}).Store(true)
	r.mu.Lock()
	r.stance = awake
	r.mu.Unlock()
	ran := make(chan error, 1)
	go func() { ran <- durableWrite(f).Run() }()
	select {
	case err := <-ran:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the chain waits for the kernel to have memory")
	}
	closed := make(chan int)
	go func() { closed <- r.close(time.Second) }()
	select {
	case n := <-closed:
		if n != 0 {
			t.Errorf("%d requests left", n)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the reaper waits in the kernel for nothing")
	}
	if s := e.Stats(); s.Refused != 1 || s.InFlight != 0 { // the write; the sync behind it is a system call then
		t.Errorf("stats: %+v", s)
	}
}

// TestChainCancelKernelShort has a context end while the kernel has no memory for the cancellation: it
// is asked again.
func TestChainCancelKernelShort(t *testing.T) {
	e, _ := fakeEngine(t)
	r, k := fakeChainRing(t, e)
	f := fakeFile(t, e)
	k.hold = func(*uring.SQE) bool { return true }
	var refused atomic.Int32
	refuses := shortOfMemory(r, k, func() { refused.Add(1) })
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- durableWrite(f).RunContext(ctx) }()
	k.wait(2)
	refuses.Store(true)
	cancel()
	for refused.Load() < 3*wholeTries {
		time.Sleep(time.Millisecond)
	}
	refuses.Store(false)
	if err := <-ran; !errors.Is(err, context.Canceled) {
		t.Errorf("RunContext: %v", err)
	}
}

// TestPatientLeader has a batch, or a chain, lead that waits for several completions of a device that
// hangs: a read from another device is not kept waiting.
func TestPatientLeader(t *testing.T) {
	await := func(t *testing.T, what <-chan struct{}) {
		t.Helper()
		select {
		case <-what:
		case <-time.After(20 * time.Second):
			t.Error("waits for a device that hangs, and is another's")
		}
	}
	t.Run("batch", func(t *testing.T) {
		e, k := fakeEngineWith(t, uring.FeatExtArg)
		f, g := fakeFile(t, e), fakeFile(t, e)
		k.hold = func(e *uring.SQE) bool { return int(e.FD) == f.fd }
		ran := make(chan error)
		go func() {
			var b Batch
			for i := range 8 {
				b.ReadAt(f, make([]byte, 512), int64(i)*512)
			}
			ran <- b.Run()
		}()
		k.wait(8)
		await(t, g.StartReadAt(make([]byte, 512), 0).Done())
		k.finish(func(int) int { return 0 })
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	t.Run("chain", func(t *testing.T) {
		e, _ := fakeEngine(t)
		_, k := fakeChainRing(t, e)
		f, g := fakeFile(t, e), fakeFile(t, e)
		k.hold = func(e *uring.SQE) bool { return int(e.FD) == f.fd }
		ran, other := make(chan error), make(chan struct{})
		go func() { ran <- durableWrite(f).Run() }()
		k.wait(2)
		go func() {
			defer close(other)
			var c Chain
			c.Datasync(g)
			c.Run()
		}()
		await(t, other)
		k.finish(func(int) int { return 0 })
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// TestWaitForSlotEnds closes a file, and lets its deadline pass, while calls wait for a slot of a ring
// whose device hangs.
func TestWaitForSlotEnds(t *testing.T) {
	calls := map[string]func(f *File, p []byte) error{
		"ReadAt": func(f *File, p []byte) error { _, err := f.ReadAt(p, 0); return err },
		"StartReadAt": func(f *File, p []byte) error {
			_, err := f.StartReadAt(p, 0).Await()
			return err
		},
		"Batch": func(f *File, p []byte) error {
			var b Batch
			b.ReadAt(f, p, 0)
			return b.Run()
		},
	}
	ends := map[string]struct {
		end  func(f *File)
		want error
	}{
		"closed": {func(f *File) { f.Close() }, fs.ErrClosed},
		"late":   {func(f *File) { f.SetDeadline(time.Now().Add(-time.Second)) }, os.ErrDeadlineExceeded},
	}
	for name, call := range calls {
		for why, end := range ends {
			if name == "ReadAt" && why == "late" {
				continue // it goes by another way, with a buffer of the engine
			}
			t.Run(name+" "+why, func(t *testing.T) {
				e, k := fakeEngine(t)
				f, other, hangs := fakeFile(t, e), fakeFile(t, e), fakeFile(t, e)
				k.hold = func(e *uring.SQE) bool { return int(e.FD) == hangs.fd }
				for range fakeDepth {
					hangs.StartReadAt(make([]byte, 512), 0)
				}
				k.wait(fakeDepth)
				if why == "late" {
					f.SetDeadline(time.Now().Add(time.Hour))
				}
				got, stays := make(chan error), make(chan error)
				go func() { stays <- calls["ReadAt"](other, make([]byte, 512)) }()
				for e.Stats().SlotWaits < 1 {
					time.Sleep(time.Millisecond)
				}
				go func() { got <- call(f, make([]byte, 512)) }()
				for e.Stats().SlotWaits < 2 {
					time.Sleep(time.Millisecond)
				}
				end.end(f)
				select {
				case err := <-got:
					if !errors.Is(err, end.want) {
						t.Errorf("%v, want %v", err, end.want)
					}
				case <-time.After(20 * time.Second):
					t.Error("still waits for a slot")
					go func() { <-got }()
				}
				k.finish(func(int) int { return 0 })
				if err := <-stays; err != nil {
					t.Errorf("the one that waits for another file: %v", err)
				}
			})
		}
	}
}

// TestOldestPathCall has file-system calls hang.
func TestOldestPathCall(t *testing.T) {
	e, err := New(Config{Backend: BackendBlocking})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for name, ctx := range map[string]context.Context{"plain": nil, "context": t.Context()} {
		t.Run(name, func(t *testing.T) {
			began, hang, ended := make(chan struct{}), make(chan struct{}), make(chan error)
			go func() {
				ended <- FileSystem{engine: e, ctx: ctx}.do(call{}, func() error {
					close(began)
					<-hang
					return nil
				})
			}()
			<-began
			time.Sleep(2 * time.Millisecond)
			if age := e.Stats().OldestInFlight; age < 2*time.Millisecond {
				t.Errorf("a call is %v old, want 2ms at least", age)
			}
			close(hang)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if age := e.Stats().OldestInFlight; age != 0 {
				t.Errorf("OldestInFlight = %v after the end", age)
			}
		})
	}
}

// TestResultsWhileOthersHelp adds, within the loop over Results, a read of a device that hangs, while a
// helper makes a blocking call: the result of that comes as soon as it is there.
func TestResultsWhileOthersHelp(t *testing.T) {
	e, k := fakeEngine(t)
	f, g := fakeFile(t, e), fakeFile(t, e)
	k.hold = func(e *uring.SQE) bool { return int(e.FD) == f.fd }
	blocking, err := New(Config{Backend: BackendBlocking, BlockingLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer blocking.Close()
	h := fakeFile(t, blocking)
	blocking.blocking.patience = time.Hour
	blocking.blocking.acquire() // the helper waits
	var b Batch
	helped := b.ReadAt(h, make([]byte, 512), 0)
	first := b.ReadAt(g, make([]byte, 512), 0)
	want := []int{first, helped, 2}
	answer := time.AfterFunc(20*time.Second, func() {
		t.Error("the result of the blocking call is kept back")
		k.finish(func(int) int { return 0 })
	})
	for i := range b.Results(t.Context()) {
		if i != want[0] {
			t.Errorf("result of %d, want that of %d", i, want[0])
		}
		want = want[1:]
		switch i {
		case first:
			awaitUnwatched(e.rings[0])
			b.ReadAt(f, make([]byte, 512), 0)
			go func() {
				k.wait(1)
				blocking.blocking.release()
			}()
		case helped:
			if answer.Stop() {
				k.finish(func(int) int { return 0 })
			}
		}
	}
}

// awaitUnwatched waits until the reaper is parked.
func awaitUnwatched(r *ring) {
	for {
		r.mu.Lock()
		parked := r.stance == unwatched
		r.mu.Unlock()
		if parked {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
