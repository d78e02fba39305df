package ringfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
)

// eachBackend runs test on an engine of each backend that there is.
func eachBackend(t *testing.T, c Config, test func(t *testing.T, e *Engine)) {
	for _, b := range []Backend{BackendURing, BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := New(c)
			if err != nil {
				t.Skip(err)
			}
			defer testutil.Watchdog(t, time.Minute)()
			test(t, e)
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
		})
	}
}

// eventually waits until cond holds; the watchdog ends what never does.
func eventually(cond func() bool) {
	for !cond() {
		time.Sleep(time.Millisecond)
	}
}

// TestStatContextRoad asks Stats on which road StatContext goes.
func TestStatContextRoad(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.Open(testutil.PatternFile(t, 10))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.StatContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Stats()
		if ring := e.Backend() == BackendURing; (s.Ring == 1) != ring || (s.Blocking == 0) != ring || s.Refused != 0 {
			t.Errorf("%d on a ring, %d blocking, %d refused", s.Ring, s.Blocking, s.Refused)
		}
	})
}

// TestFileCallLeftBehind has a call on an open file hang, for which no ring is asked. When its context
// ends the caller leaves, and the descriptor stays open as long as the call, but no longer.
func TestFileCallLeftBehind(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.Open(testutil.PatternFile(t, 10))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		hang, ended := make(chan struct{}), make(chan error, 1)
		p := &pathCall{block: func() error {
			cancel()
			<-hang
			var st unix.Stat_t
			ended <- unix.Fstat(f.fd, &st)
			return nil
		}}
		if err := f.callUntil(ctx, p, "chmod"); !errors.Is(err, context.Canceled) {
			t.Errorf("the call: %v", err)
		}
		if s := e.Stats(); s.BlockingCalls != 1 || s.OldestInFlight == 0 {
			t.Errorf("left behind, the call is not in %+v", s)
		}
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		close(hang)
		if err := <-ended; err != nil {
			t.Errorf("the descriptor was closed under the call: %v", err)
		}
		eventually(func() bool { return f.life.uses.Load() == closedBit })
	})
}

// TestFileCallsBounded has a call on an open directory wait for its place.
func TestFileCallsBounded(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range e.blocking.hard {
			e.blocking.state.Add(oneRunning) // more than soft, as those who have no patience
		}
		plain, left := make(chan error), make(chan error)
		go func() {
			_, err := f.ReadDir(-1)
			plain <- err
		}()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { left <- f.ChmodContext(ctx, 0o755) }()
		eventually(func() bool { return waiting(e.blocking.state.Load()) == 2 })
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("Chmod: %v", err)
		}
		for range e.blocking.hard {
			e.blocking.release()
		}
		if err := <-plain; err != nil {
			t.Errorf("ReadDir: %v", err)
		}
	})
}

// TestOpenHangs opens a FIFO, which waits for somebody at the other end: with a context by each call
// that opens files, and without, for Stats.OldestInFlight.
func TestOpenHangs(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func(s FileSystem) error{
			"Open":         func(s FileSystem) error { _, err := s.Open(fifo); return err },
			"ReadFile":     func(s FileSystem) error { _, err := s.ReadFile(fifo); return err },
			"ReadFileInto": func(s FileSystem) error { _, err := s.ReadFileInto(fifo, make([]byte, 10)); return err },
			"DirFS":        func(s FileSystem) error { _, err := s.DirFS(filepath.Dir(fifo)).Open("fifo"); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			var pe *fs.PathError
			if err := open(e.FileSystem().WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &pe) || pe.Op != "open" {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			letGo(t, e, fifo)
		}
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

// TestTempTooLate makes temporary files and directories with contexts that end at any moment. Those
// that the caller does not get are removed.
func TestTempTooLate(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		dir := t.TempDir()
		late := 0
		start := time.Now()
		for i := range 100_000 {
			ctx, cancel := context.WithCancel(t.Context())
			s := e.FileSystem().WithContext(ctx)
			go func() {
				for range i % 50 {
					e.Stats() // takes a moment
				}
				cancel()
			}()
			if i%2 == 0 {
				f, err := s.CreateTemp(dir, "")
				if err == nil {
					os.Remove(f.Name())
					f.Close()
				} else if late++; !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			} else {
				name, err := s.MkdirTemp(dir, "")
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
	})
}

// TestTempDropped has a temporary file and a directory be made too late for sure.
func TestTempDropped(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		hang := make(chan struct{})
		_, err := value(e.FileSystem().WithContext(ctx), call{word: "createtemp"}, func() (*File, error) {
			cancel()
			<-hang
			f, err := os.CreateTemp(dir, "")
			return e.NewFile(f), err
		}, discard)
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(hang)
		eventually(func() bool { return e.Stats().BlockingCalls == 0 })
		if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
			t.Errorf("left are %v, %v", entries, err)
		}
		for _, fd := range testutil.OpenDescriptors() {
			if _, target, _ := strings.Cut(fd, " -> "); filepath.Dir(target) == dir {
				t.Error("left open:", fd)
			}
		}
	})
}

// TestReadFileIntoLeft reads files that are not in memory with contexts that end at any moment, and
// uses the buffer again at once: no read writes to it later. The race detector sees what the test
// does not.
func TestReadFileIntoLeft(t *testing.T) {
	eachBackend(t, Config{Rings: 1, Depth: 16}, func(t *testing.T, e *Engine) {
		const size = 256 << 10
		var names []string
		for range 8 {
			names = append(names, testutil.PatternFile(t, size))
		}
		p := make([]byte, size+1)
		left := 0
		for i, start := 0, time.Now(); i < 50_000 && (time.Since(start) < testutil.StressTime(t) || left < 5); i++ {
			name := names[i%len(names)]
			evictFile(t, name)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%40)*50*time.Microsecond)
			n, err := e.FileSystem().WithContext(ctx).ReadFileInto(name, p)
			if at := testutil.CheckPattern(p[:n], 0); at >= 0 {
				t.Fatalf("%d, %v: wrong byte at %d", n, err, at)
			}
			if err != nil {
				left++
			} else if n != size {
				t.Fatalf("read %d bytes of %d", n, size)
			}
			for j := range p {
				p[j] = byte(i)
			}
			cancel()
			eventually(func() bool { s := e.Stats(); return s.InFlight == 0 && s.BlockingCalls == 0 })
			for j := range p {
				if p[j] != byte(i) {
					t.Fatalf("the buffer was changed after the return, at %d", j)
				}
			}
		}
		t.Logf("%d were left", left)
	})
}

// evictFile drops a file from the page cache.
func evictFile(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Sync()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(fmt.Errorf("fadvise: %w", err))
	}
}
