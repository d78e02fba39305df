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
	// futures tells that Start reaches the state, and does not wait in it.
	futures bool
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
		}, true, false},
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
		}, false, true},
		{"in the kernel", func(e *Engine, k *fakeKernel, f *File) { k.set(func() { k.hold = always }) }, taken(1), true, true},
		{"short, the rest in the kernel", func(e *Engine, k *fakeKernel, f *File) {
			k.set(func() {
				k.script = times(1, moves(512))
				k.hold = func(*uring.SQE) bool { return len(k.script) == 0 }
			})
		}, taken(1), true, true},
		{"complete, and nobody has looked", func(e *Engine, k *fakeKernel, f *File) {
			k.set(func() {
				k.posted = func(c uring.CQE) []uring.CQE {
					k.overflow = append(k.overflow, c)
					k.fake.SetSQFlags(uring.SQCQOverflow)
					return nil
				}
			})
		}, none, false, true},
		{"finished", func(*Engine, *fakeKernel, *File) {}, none, false, true},
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
			if ender.future && !state.futures {
				continue
			}
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
	k.set(func() { k.enters, k.posted, k.hold = nil, nil, nil })
	if state.name == "waiting for a slot" && ender.want == fs.ErrClosed {
		k.finish(func(int) int { return 0 })
	}
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

// TestDeadlineBeforeStart has a deadline pass while a future waits for a slot: what was in flight then
// is cancelled, and so must be what is started right after.
func TestDeadlineBeforeStart(t *testing.T) {
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
	done := make(chan error, 1)
	go func() {
		_, err := f.StartReadAt(make([]byte, 1024), 0).Await()
		done <- err
	}()
	for e.Stats().SlotWaits == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := f.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("future that waited for a slot: %v, want %v", err, os.ErrDeadlineExceeded)
	}
}
