package fsys

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestOpenHangs opens a FIFO, which waits for somebody at the other end: with a context by each call
// that opens files, and without, for Stats.OldestInFlight.
func TestOpenHangs(t *testing.T) {
	eachBackend(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func(ctx context.Context, s FS) error{
			"Open":      func(ctx context.Context, s FS) error { _, err := s.Open(ctx, fifo); return err },
			"ReadFile":  func(ctx context.Context, s FS) error { _, err := s.ReadFile(ctx, fifo); return err },
			"WriteFile": func(ctx context.Context, s FS) error { return s.WriteFile(ctx, fifo, nil, 0o600) },
			"DirFS": func(ctx context.Context, s FS) error {
				_, err := s.DirFS(ctx, filepath.Dir(fifo)).Open("fifo")
				return err
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if err := open(ctx, On(e)); !endedBy(err, context.DeadlineExceeded, "open", "") {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			letGo(t, e, fifo)
			noneOpen(t, filepath.Dir(fifo)) // else the next one finds somebody at the other end
		}
		opened := make(chan *ringfile.File)
		go func() {
			f, err := On(e).Open(context.Background(), fifo)
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
		noneOpen(t, filepath.Dir(fifo))
	})
}

// letGo is the other end of a FIFO for whoever opens it, until nobody does.
func letGo(t *testing.T, e *ringfile.Engine, fifo string) {
	t.Helper()
	eventually(func() bool {
		for _, mode := range []int{unix.O_WRONLY, unix.O_RDONLY} {
			fd, err := unix.Open(fifo, mode|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err == nil {
				unix.Close(fd)
			} else if err != syscall.ENXIO {
				t.Fatal(err)
			}
		}
		return e.Stats().BlockingCalls == 0
	})
}

// noneOpen fails the test unless all files in dir are closed soon.
func noneOpen(t *testing.T, dir string) {
	t.Helper()
	eventually(func() bool {
		for _, fd := range testutil.OpenDescriptors() {
			if _, target, _ := strings.Cut(fd, " -> "); filepath.Dir(target) == dir {
				return false
			}
		}
		return true
	})
}

// TestTempTooLate makes temporary files and directories with contexts that end at any moment. Those
// that the caller does not get are removed.
func TestTempTooLate(t *testing.T) {
	eachBackend(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		late := 0
		start := time.Now()
		for i := range 100_000 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for range i % 50 {
					e.Stats() // takes a moment
				}
				cancel()
			}()
			if i%2 == 0 {
				f, err := On(e).CreateTemp(ctx, dir, "")
				if err == nil {
					os.Remove(f.Name())
					f.Close()
				} else if late++; !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			} else {
				name, err := On(e).MkdirTemp(ctx, dir, "")
				if err == nil {
					os.Remove(name)
				} else if late++; !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			}
			cancel()
			if time.Since(start) > testutil.StressTime(t) && late >= 20 {
				break
			}
		}
		eventually(func() bool { return e.Stats().BlockingCalls == 0 })
		if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
			t.Errorf("%d are left of %d that came too late, %v", len(entries), late, err)
		}
		noneOpen(t, dir)
	})
}

// TestDropped has the results of calls come too late for sure.
func TestDropped(t *testing.T) {
	eachBackend(t, ringfile.Config{BlockingLimit: 1}, func(t *testing.T, e *ringfile.Engine) {
		ctx, cancel := context.WithCancel(t.Context())
		hang, dropped := make(chan struct{}), make(chan string, 1)
		_, err := call(ctx, On(e), target{op: "createtemp", name: "x"}, func() (string, error) {
			cancel()
			<-hang
			return "late", nil
		}, func(s string) { dropped <- s })
		if !endedBy(err, context.Canceled, "createtemp", "x") {
			t.Error(err)
		}
		if s := e.Stats(); s.BlockingCalls != 1 || s.OldestInFlight == 0 {
			t.Errorf("left behind, the call is not in %+v", s)
		}
		close(hang)
		if got := <-dropped; got != "late" {
			t.Errorf("dropped is %q", got)
		}
		_, err = call(t.Context(), On(e), target{}, func() (string, error) { return "there", nil },
			func(s string) { t.Errorf("dropped %q, which was waited for", s) })
		if err != nil {
			t.Error(err)
		}
		dir := t.TempDir()
		f, err := On(e).CreateTemp(t.Context(), dir, "")
		if err != nil {
			t.Fatal(err)
		}
		removeLate(f)
		noneOpen(t, dir)
		if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
			t.Errorf("left are %v, %v", entries, err)
		}
	})
}

// TestWaitsForPermit has a call wait until another one has ended, and its context end first.
func TestWaitsForPermit(t *testing.T) {
	eachBackend(t, ringfile.Config{BlockingLimit: 1}, func(t *testing.T, e *ringfile.Engine) {
		hang := make(chan struct{})
		ended := make(chan error)
		// The engine lets more than its limit run when calls hang, but not without an end.
		const many = 2000
		for range many {
			go func() {
				ended <- do(t.Context(), On(e), target{}, func() error { <-hang; return nil })
			}()
		}
		eventually(func() bool { return e.Stats().BlockingCalls > 0 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := On(e).Chmod(ctx, t.TempDir(), 0o755); err != nil && !endedBy(err, context.DeadlineExceeded, "chmod", "") {
			t.Error(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("returned after %v", took)
		}
		close(hang)
		for range many {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// endedBy reports whether err is a *fs.PathError with this cause, Op and, unless it is empty, name.
func endedBy(err, cause error, op, name string) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && pe.Err == cause && pe.Op == op && (name == "" || pe.Path == name)
}
