package ringfile

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// useAll uses a file of Pattern in every way that there is to wait, in a bubble of testing/synctest or outside.
// It is large, and writes go to its end.
func useAll(t *testing.T, f *File) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	buf := AlignedBuffer(4096, 4096)
	read := func(what string, read func() (int, error)) {
		t.Helper()
		clear(buf)
		if n, err := read(); n != len(buf) || err != nil || testutil.CheckPattern(buf, 8192) >= 0 {
			t.Errorf("%s = %d, %v, or wrong data", what, n, err)
		}
	}
	read("ReadAt", func() (int, error) { return f.ReadAt(buf, 8192) })
	read("StartReadAt", func() (int, error) { return f.StartReadAt(buf, 8192).Await() })
	read("AwaitContext", func() (int, error) { return f.StartReadAt(buf, 8192).AwaitContext(ctx) })
	read("Done", func() (int, error) {
		future := f.StartReadAt(buf, 8192)
		<-future.Done()
		return future.Await()
	})
	read("ReadAtContext", func() (int, error) { return f.ReadAtContext(ctx, buf, 8192) })
	for name, ctx := range map[string]context.Context{"Run": context.Background(), "RunContext": ctx} {
		read(name, func() (int, error) {
			var b Batch
			for i := range 30 {
				b.ReadAt(f, AlignedBuffer(4096, 4096), int64(i)*4096)
			}
			i := b.ReadAt(f, buf, 8192)
			if err := b.RunContext(ctx); err != nil {
				return 0, err
			}
			return b.Result(i).N, nil
		})
	}
	f.SetDeadline(time.Now().Add(time.Hour))
	read("ReadAt with a deadline", func() (int, error) { return f.ReadAt(buf, 8192) })
	f.SetDeadline(time.Time{})
	for what, call := range map[string]func() error{
		"WriteAtContext": func() error { _, err := f.WriteAtContext(ctx, buf, 64<<10); return err },
		"StartWriteAt":   func() error { _, err := f.StartWriteAt(buf, 64<<10).Await(); return err },
		"WriteAt":        func() error { _, err := f.WriteAt(buf, 64<<10); return err },
		"SyncContext":    func() error { return f.SyncContext(ctx) },
		"StartDatasync":  func() error { _, err := f.StartDatasync().Await(); return err },
		"Sync":           f.Sync,
		"Call":           func() error { return f.Engine().Call(ctx, f.Name(), func() error { return nil }) },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.ReadAtContext(ended, buf, 8192); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadAtContext: %v", err)
	}
	future := f.StartReadAt(buf, 8192)
	future.Cancel()
	if _, err := future.Await(); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled future: %v", err)
	}
}

// TestBubbles uses an engine in bubbles of testing/synctest and outside: whatever it is used by first, and
// with its goroutines there or not.
func TestBubbles(t *testing.T) {
	for _, flag := range []int{0, testDirect} {
		name := "buffered"
		if flag != 0 {
			name = "direct"
		}
		t.Run(name, func(t *testing.T) {
			eachBackend(t, Config{Rings: 1, Depth: 16, BlockingLimit: 2}, func(t *testing.T, e *Engine) {
				use := func(t *testing.T) {
					f, err := e.OpenFile(testutil.PatternFile(t, 128<<10), os.O_RDWR|flag, 0)
					if err != nil {
						t.Skip(err)
					}
					if e.devices.uring {
						throughRing(t, f)
					}
					useAll(t, f)
					if err := f.Close(); err != nil {
						t.Error(err)
					}
				}
				bubble := func() { synctest.Test(t, use) }
				bubble() // the very first use
				use(t)
				bubble()
				eventually(func() bool { return stacksWith(".(*queue).") == 0 })
				bubble()
				eventually(func() bool { return stacksWith(".(*queue).") == 0 })
				use(t)
			})
		})
	}
}

// TestBubbleRefused has a ring refuse what comes from a bubble, or break: the system call that takes over is
// not made in the bubble, whose channels nobody else may look at.
func TestBubbleRefused(t *testing.T) {
	e, k := fakeEngine(t)
	outer := fakeFile(t, e)
	for _, instruct := range []func(){
		func() { k.script = times(1000, fails(syscall.EOPNOTSUPP)) },
		func() { k.script, k.enters = nil, twenty(entry{errno: syscall.EBADF}) },
	} {
		k.set(instruct)
		synctest.Test(t, func(t *testing.T) {
			f, err := e.OpenFile(outer.Name(), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.t.Direct = true
			f.t.cached = false
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			buf := make([]byte, 4096)
			var b Batch
			b.ReadAt(f, buf, 0)
			b.WriteAt(f, make([]byte, 4096), 0)
			for what, call := range map[string]func() error{
				"ReadAtContext":  func() error { _, err := f.ReadAtContext(ctx, buf, 0); return err },
				"WriteAtContext": func() error { _, err := f.WriteAtContext(ctx, buf, 0); return err },
				"SyncContext":    func() error { return f.SyncContext(ctx) },
				"StartReadAt":    func() error { _, err := f.StartReadAt(buf, 0).Await(); return err },
				"AwaitContext":   func() error { _, err := f.StartWriteAt(buf, 0).AwaitContext(ctx); return err },
				"ReadAt":         func() error { _, err := f.ReadAt(buf, 0); return err },
				"RunContext":     func() error { return b.RunContext(ctx) },
				"with a deadline": func() error {
					f.SetDeadline(time.Now().Add(time.Hour))
					defer f.SetDeadline(time.Time{})
					_, err := f.StartWriteAt(buf, 0).Await()
					return err
				},
			} {
				if err := call(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	k.set(func() { k.script, k.enters = nil, nil })
}

// TestBubbleLeaves gives up, in a bubble, what a device does not answer. The clock of the bubble does not go on
// while somebody waits for the device; so it is a context that ends.
func TestBubbleLeaves(t *testing.T) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	k.set(func() {
		k.deaf = true
		k.hold = func(e *uring.SQE) bool { return e.Opcode != uring.OpFsync }
	})
	synctest.Test(t, func(t *testing.T) {
		for _, call := range []func(ctx context.Context) error{
			func(ctx context.Context) error { _, err := f.ReadAtContext(ctx, make([]byte, 512), 0); return err },
			func(ctx context.Context) error { _, err := f.WriteAtContext(ctx, make([]byte, 512), 0); return err },
			func(ctx context.Context) error { _, err := f.WriteAtContext(ctx, make([]byte, 512), 0); return err }, // waits for the other
			func(ctx context.Context) error {
				var b Batch
				b.ReadAt(f, make([]byte, 512), 0)
				return b.RunContext(ctx)
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- call(ctx) }()
			go cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	k.set(func() { k.hold = nil })
	k.finish(func(int) int { return 0 })
	eventually(func() bool { return !f.t.left.any() })
}
