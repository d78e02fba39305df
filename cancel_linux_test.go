package ringfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// readState is a state of a read of 1024 bytes at 0, in which it is to be ended.
type readState struct {
	name string
	// enter prepares the kernel for the read, and until waits for the state.
	enter func(e *Engine, k *fakeKernel, f *File)
	until func(e *Engine, k *fakeKernel)
	// ended tells that the read can only have ended early.
	ended bool
}

func always(*uring.SQE) bool { return true }

func readStates() []readState {
	none := func(*Engine, *fakeKernel) {}
	taken := func(n int) func(*Engine, *fakeKernel) { return func(_ *Engine, k *fakeKernel) { k.wait(n) } }
	return []readState{
		{"waiting for a slot", func(e *Engine, k *fakeKernel, f *File) {
			k.set(func() { k.hold = always })
			for range fakeDepth {
				f.StartReadAt(make([]byte, 1024), 0)
			}
			k.wait(fakeDepth)
		}, func(e *Engine, k *fakeKernel) {
			for e.Stats().SlotWaits == 0 {
				time.Sleep(time.Millisecond)
			}
		}, true},
		{"queued", func(e *Engine, k *fakeKernel, f *File) {
			k.set(func() {
				for range 1 << 20 {
					k.enters = append(k.enters, entry{errno: syscall.EAGAIN})
				}
			})
		}, func(e *Engine, k *fakeKernel) {
			for e.Stats().InFlight == 0 {
				time.Sleep(time.Millisecond)
			}
		}, false},
		{"in the kernel", func(e *Engine, k *fakeKernel, f *File) { k.set(func() { k.hold = always }) }, taken(1), true},
		{"short, the rest in the kernel", func(e *Engine, k *fakeKernel, f *File) {
			k.set(func() {
				k.script = times(1, moves(512))
				k.hold = func(*uring.SQE) bool { return len(k.script) == 0 }
			})
		}, taken(1), true},
		{"complete, and nobody has looked", func(e *Engine, k *fakeKernel, f *File) {
			k.set(func() {
				k.keeps = true
				k.posted = func(c uring.CQE) []uring.CQE {
					k.overflow = append(k.overflow, c)
					k.fake.SetSQFlags(uring.SQCQOverflow)
					return nil
				}
			})
		}, func(_ *Engine, k *fakeKernel) { k.until(func() bool { return len(k.overflow) > 0 }) }, false},
		{"finished", func(*Engine, *fakeKernel, *File) {}, none, false},
	}
}

// readEnder ends a read early, in one of the ways there are.
type readEnder struct {
	name   string
	future bool
	end    func(e *Engine, f *File, future *Future[int], cancel func())
	want   error
}

var readEnders = []readEnder{
	{"Future.Cancel", true, func(e *Engine, f *File, future *Future[int], cancel func()) { future.Cancel() }, context.Canceled},
	{"AwaitContext", true, func(e *Engine, f *File, future *Future[int], cancel func()) { cancel() }, context.Canceled},
	{"Future, deadline", true, func(e *Engine, f *File, future *Future[int], cancel func()) { f.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
	{"Future, File.Close", true, func(e *Engine, f *File, future *Future[int], cancel func()) { f.Close() }, fs.ErrClosed},
	{"Future, Engine.Close", true, func(e *Engine, f *File, future *Future[int], cancel func()) { e.Close() }, ErrEngineClosed},
	{"ReadAtContext", false, func(e *Engine, f *File, future *Future[int], cancel func()) { cancel() }, context.Canceled},
	{"deadline", false, func(e *Engine, f *File, future *Future[int], cancel func()) { f.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
	{"File.Close", false, func(e *Engine, f *File, future *Future[int], cancel func()) { f.Close() }, fs.ErrClosed},
	{"Engine.Close", false, func(e *Engine, f *File, future *Future[int], cancel func()) { e.Close() }, ErrEngineClosed},
}

// TestCancelEveryState ends a read in each of its states in each of the ways there are.
func TestCancelEveryState(t *testing.T) {
	for _, state := range readStates() {
		for _, ender := range readEnders {
			t.Run(state.name+"/"+ender.name, func(t *testing.T) { cancelIn(t, state, ender) })
		}
	}
}

func cancelIn(t *testing.T, state readState, ender readEnder) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	if ender.name == "deadline" {
		f.SetReadDeadline(time.Now().Add(time.Hour)) // calls that began without one are not hit
	}
	state.enter(e, k, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	buf := make([]byte, 1024)
	var future *Future[int]
	if ender.future {
		future = f.StartReadAt(buf, 0)
		go func() {
			n, err := future.AwaitContext(ctx)
			done <- result{n, err}
		}()
	} else {
		go func() {
			n, err := f.ReadAtContext(ctx, buf, 0)
			done <- result{n, err}
		}()
	}
	state.until(e, k)
	ended := make(chan struct{})
	go func() {
		ender.end(e, f, future, cancel)
		close(ended)
	}()
	if ender.want != ErrEngineClosed {
		<-ended // Engine.Close waits for the kernel
	}
	k.set(func() { k.enters, k.posted, k.keeps, k.hold = nil, nil, false, nil })
	got := <-done
	<-ended
	switch {
	case errors.Is(got.err, ender.want):
	case got.err != nil, state.ended, got.n != 1024:
		t.Errorf("%d, %v, want %v", got.n, got.err, ender.want)
	case testutil.CheckPattern(buf, 0) >= 0:
		t.Error("wrong data")
	}
	k.finish(func(int) int { return 0 })
}

// TestDeadlineInLine has a deadline pass while a future waits for a slot: what was in flight then is
// cancelled, and so must be what waits, and what is started right after.
func TestDeadlineInLine(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	if err := f.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	k.set(func() { k.hold = always })
	for range fakeDepth {
		f.StartReadAt(make([]byte, 1024), 0)
	}
	k.wait(fakeDepth)
	waits := f.StartReadAt(make([]byte, 1024), 0)
	if n := e.Stats().SlotWaits; n != 1 {
		t.Errorf("%d wait for a slot, want 1", n)
	}
	if err := f.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for what, future := range map[string]*Future[int]{
		"future that waited for a slot": waits, "future that came late": f.StartReadAt(make([]byte, 1024), 0),
	} {
		if _, err := future.Await(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, want %v", what, err, os.ErrDeadlineExceeded)
		}
	}
}

// TestCancelAtTheEnd cancels operations at the moment at which they complete by themselves.
func TestCancelAtTheEnd(t *testing.T) {
	e, _ := fakeEngine(t)
	f := fakeFile(t, e)
	for name, ends := range map[string]func() error{
		"Future": func() error {
			future := f.StartReadAt(make([]byte, 512), 0)
			go future.Cancel()
			_, err := future.Await()
			return err
		},
		"Results": func() error {
			var b Batch
			for i := range 4 {
				b.ReadAt(f, make([]byte, 512), int64(i)*512)
			}
			for range b.Results(context.Background()) {
				break
			}
			return b.Result(0).Err
		},
		"context": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			_, err := f.ReadAtContext(ctx, make([]byte, 512), 0)
			return err
		},
		"deadline": func() error {
			f.SetReadDeadline(time.Now().Add(50 * time.Microsecond))
			_, err := f.StartReadAt(make([]byte, 512), 0).Await()
			f.SetReadDeadline(time.Time{})
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return context.Canceled
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			given := 0
			for range 500 {
				if err := ends(); errors.Is(err, context.Canceled) {
					given++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d of 500 were given up", given)
		})
	}
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
			t.Run(name+" "+why, func(t *testing.T) {
				e, k := fakeEngine(t)
				f, other, hangs := fakeFile(t, e), fakeFile(t, e), fakeFile(t, e)
				k.set(func() { k.hold = func(e *uring.SQE) bool { return int(e.FD) == hangs.t.FD } })
				for range fakeDepth {
					hangs.StartReadAt(make([]byte, 512), 0)
				}
				k.wait(fakeDepth)
				if why == "late" {
					f.SetDeadline(time.Now().Add(time.Hour))
				}
				got, stays := make(chan error), make(chan error)
				go func() { stays <- calls["ReadAt"](other, make([]byte, 512)) }()
				eventually(func() bool { return e.Stats().SlotWaits >= 1 })
				go func() { got <- call(f, make([]byte, 512)) }()
				eventually(func() bool { return e.Stats().SlotWaits >= 2 })
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
