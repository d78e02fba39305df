package ringfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
)

// TestCallsBounded has calls on a directory and on names wait for their permits: those that can give up
// leave nothing behind, and the others are made in the end.
func TestCallsBounded(t *testing.T) {
	eachBackend(t, Config{BlockingLimit: 1}, func(t *testing.T, e *Engine) {
		f, err := e.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		giveBack := takeAll(f.t.dev.calls, 4)
		plain := make(chan error)
		go func() {
			_, err := f.ReadDir(-1)
			plain <- err
		}()
		eventually(func() bool { return f.t.dev.calls.Present() == 5 })
		giveBack()
		if err := <-plain; err != nil {
			t.Errorf("ReadDir: %v", err)
		}

		giveBack = takeAll(f.t.dev.calls, 4)
		go func() { plain <- f.Sync() }()
		eventually(func() bool { return f.t.dev.calls.Present() == 5 })
		future := f.StartSync()
		eventually(func() bool { return f.t.dev.calls.Present() == 6 })
		giveBack()
		if err := <-plain; err != nil {
			t.Errorf("Sync of a directory: %v", err)
		}
		if _, err := future.Await(); err != nil {
			t.Errorf("StartSync of a directory: %v", err)
		}

		nowhere := e.devices.nowhere
		giveBack = takeAll(nowhere, 4)
		go func() { plain <- e.Call(context.Background(), "", func() error { return syscall.EXDEV }) }()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			left <- e.Call(ctx, "", func() error {
				t.Error("a call that was given up is made")
				return nil
			})
		}()
		eventually(func() bool { return nowhere.Present() == 6 })
		cancel()
		if err := <-left; err != context.Canceled {
			t.Errorf("Call that was given up: %v", err)
		}
		giveBack()
		if err := <-plain; err != syscall.EXDEV {
			t.Errorf("Call: %v", err)
		}
		eventually(func() bool { return nowhere.Present() == 0 })
	})
}

// TestCallLeftBehind has the function of a Call hang: its caller leaves, and the call counts until it ends.
func TestCallLeftBehind(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		ctx, cancel := context.WithCancelCause(t.Context())
		hang, ended := make(chan struct{}), make(chan struct{})
		err := e.Call(ctx, "", func() error {
			cancel(syscall.EXDEV)
			<-hang
			close(ended)
			return nil
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, syscall.EXDEV) {
			t.Errorf("Call: %v", err)
		}
		if s := e.Stats(); s.BlockingCalls != 1 || s.OldestInFlight == 0 {
			t.Errorf("left behind, the call is not in %+v", s)
		}
		close(hang)
		<-ended
		eventually(func() bool { s := e.Stats(); return s.BlockingCalls == 0 && s.OldestInFlight == 0 })
	})
}

// TestOpenHangs opens a FIFO, which waits for somebody at the other end: with a context, and without, for
// Stats.OldestInFlight.
func TestOpenHangs(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err := e.Call(ctx, fifo, func() error {
			f, err := os.Open(fifo)
			if err == nil {
				f.Close()
			}
			return err
		})
		if err != context.DeadlineExceeded {
			t.Errorf("Call: %v", err)
		}
		letGo(t, e, fifo)
		opened := make(chan *File)
		go func() {
			f, err := e.Open(fifo)
			if err != nil {
				t.Error(err)
			}
			opened <- f
		}()
		eventually(func() bool { return e.Stats().OldestInFlight >= 2*time.Millisecond })
		letGo(t, e, fifo)
		(<-opened).Close()
		if age := e.Stats().OldestInFlight; age != 0 {
			t.Errorf("OldestInFlight = %v after the end", age)
		}
		for _, fd := range testutil.OpenDescriptors() {
			if filepath.Base(fd) == "fifo" {
				t.Error("left open:", fd)
			}
		}
	})
}

// letGo is the other end of a FIFO for whoever opens it, until nobody does.
func letGo(t *testing.T, e *Engine, fifo string) {
	t.Helper()
	eventually(func() bool {
		fd, err := unix.Open(fifo, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		} else if err != syscall.ENXIO {
			t.Fatal(err)
		}
		return e.Stats().BlockingCalls == 0
	})
}

// TestOldestCall has calls on names hang.
func TestOldestCall(t *testing.T) {
	e, err := New(Config{Backend: BackendBlocking})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for name, ctx := range map[string]context.Context{"plain": context.Background(), "context": t.Context()} {
		t.Run(name, func(t *testing.T) {
			began, hang, ended := make(chan struct{}), make(chan struct{}), make(chan error)
			go func() {
				ended <- e.Call(ctx, "", func() error {
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

// TestCallsShareTheDevice opens files and directories: calls on names have the permits of the device that
// the directory is on.
func TestCallsShareTheDevice(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		name := testutil.PatternFile(t, 10)
		for dir := filepath.Dir(name); e.devices.names.cell(dir) == e.devices.names.cell(filepath.Dir(dir)); dir = filepath.Dir(name) {
			name = testutil.PatternFile(t, 10) // one would have the other forgotten
		}
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		dir, err := e.Open(filepath.Dir(name))
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		if dir.t.dev != f.t.dev {
			t.Error("a directory is on another device than the files in it")
		}
		for _, path := range []string{name, filepath.Dir(name), filepath.Join(filepath.Dir(name), "new")} {
			if e.devices.near(path) != f.t.dev.lane.names {
				t.Errorf("%s: not the permits of its device", path)
			}
		}
		if e.devices.near("/elsewhere/new") != e.devices.nowhere {
			t.Error("a directory that is not known has the permits of a device")
		}
	})
}
