package ringfile

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/route"
	"github.com/ringfile/ringfile/internal/testutil"
)

// hangs makes reads at the position of f wait for an event, as those of a device that does not answer do:
// f's transfers go to a pipe. answer lets one of them go on, with one byte.
func hangs(t *testing.T, f *File) (answer func()) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(p[0])
		unix.Close(p[1])
	})
	f.t.FD = p[0] // of which Close knows nothing
	f.t.dev.facts.nowait.Set(route.No)
	return func() {
		if _, err := unix.Write(p[1], []byte("x")); err != nil {
			t.Error(err)
		}
	}
}

// TestReadLeftBehind has a read hang in a system call. When its context ends the caller leaves, and the
// descriptor stays open as long as the call, but no longer.
func TestReadLeftBehind(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.Open(testutil.PatternFile(t, 10))
		if err != nil {
			t.Fatal(err)
		}
		fd := f.t.FD
		answer := hangs(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := f.ReadContext(ctx, make([]byte, 1))
			left <- err
		}()
		eventually(func() bool { s := e.Stats(); return s.BlockingCalls == 1 && s.OldestInFlight > 5*time.Millisecond })
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("ReadContext: %v", err)
		}
		if s := e.Stats(); s.BlockingCalls != 1 || s.OldestInFlight == 0 {
			t.Errorf("left behind, the call is not in %+v", s)
		}
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Errorf("the descriptor was closed under the call: %v", err)
		}
		answer()
		eventually(func() bool { return f.t.uses.Load() == closedBit && e.Stats().BlockingCalls == 0 })
		if _, err := f.ReadContext(t.Context(), make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("ReadContext after Close: %v", err)
		}
	})
}

// TestGivenUpCallsLeave has calls with a context wait for a permit: when they are given up, nothing of them
// stays.
func TestGivenUpCallsLeave(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking")
	e, err := New(Config{BlockingLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	defer e.Close()
	f, err := e.Open(testutil.PatternFile(t, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	giveBack := takeAll(f.t.dev.calls, 4)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if n, err := f.ReadAtContext(ctx, make([]byte, 4096), 0); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadAtContext = %d, %v", n, err)
		}
		cancel()
	}
	eventually(func() bool { return f.t.dev.calls.Present() == 4 && f.t.dev.loans.Present() == 0 })
	giveBack()
	if f.t.uses.Load() != 1 {
		t.Errorf("%d uses of the descriptor, want the owner's", f.t.uses.Load())
	}
}

// TestLastUseOfContext has a file be closed while a call with a context is under way, which then has the
// last use of the descriptor: its caller, who must return on time, does not close it.
func TestLastUseOfContext(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, f *File) error{
		"ReadAtContext": func(ctx context.Context, f *File) error {
			_, err := f.ReadAtContext(ctx, make([]byte, 512), 0)
			return err
		},
		"ReadContext": func(ctx context.Context, f *File) error {
			_, err := f.ReadContext(ctx, make([]byte, 512))
			return err
		},
		"SyncContext": func(ctx context.Context, f *File) error { return f.SyncContext(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			e, k := fakeEngine(t)
			f := fakeFile(t, e)
			closed := make(chan struct{})
			f.t.closing = func(d *descriptor) {
				close(closed)
				d.OS.Close()
			}
			k.set(func() { k.hold, k.deaf = always, true })
			finish := func() { k.finish(func(int) int { return 0 }) }
			arrived := func() { k.wait(1) }
			if name == "SyncContext" { // a system call
				syncing, release := make(chan struct{}), make(chan struct{})
				onSync = func() (func(), error) {
					close(syncing)
					<-release
					return func() {}, nil
				}
				defer func() { onSync = nil }()
				arrived, finish = func() { <-syncing }, func() { close(release) }
			}
			ended := make(chan error)
			go func() { ended <- call(t.Context(), f) }()
			arrived()
			if err := f.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			finish()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			select {
			case <-closed:
			case <-time.After(10 * time.Second):
				t.Error("the descriptor was closed by the caller")
			}
		})
	}
}
