package fsys_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestMain runs the tests and then looks for what they left behind: descriptors and goroutines.
func TestMain(m *testing.M) {
	if child := os.Getenv("RINGFILE_TEST_CHILD"); child != "" {
		os.Exit(children[child]())
	}
	if err := ringfile.Available(); err != nil {
		fmt.Println("backend: blocking:", err)
	} else {
		fmt.Println("backend: uring")
	}
	before := testutil.OpenDescriptors()
	code := m.Run()
	if code == 0 {
		code = checkLeaks(before)
	}
	os.Exit(code)
}

// children are what the test binary does when a test runs it again, by RINGFILE_TEST_CHILD.
var children = map[string]func() int{}

// checkLeaks waits for what ends by itself and reports the rest.
func checkLeaks(before []string) int {
	var fds []string
	var stacks string
	for range 50 {
		runtime.GC()
		fds = fds[:0]
		for _, fd := range testutil.OpenDescriptors() {
			// The runtime's own, and the default engine's.
			if !slices.Contains(before, fd) && !strings.Contains(fd, "anon_inode:") {
				fds = append(fds, fd)
			}
		}
		buf := make([]byte, 4<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if len(fds) == 0 && !strings.Contains(stacks, "/fsys.") {
			return 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("left behind: descriptors %q\n%s\n", fds, stacks)
	return 1
}

var small = ringfile.Config{Rings: 2, Depth: 16, BlockingLimit: 8}

// onEngines runs test on an engine of each backend that there is, and sees to it that nothing is left behind.
func onEngines(t *testing.T, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
	t.Helper()
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := ringfile.New(c)
			if err != nil {
				t.Skipf("no %s backend: %v", b, err)
			}
			defer e.Close() // of a test that skips the rest of itself
			defer testutil.Watchdog(t, time.Minute+testutil.StressTime(t))()
			test(t, e)
			awaitQuiet(e)
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
			awaitQuiet(e) // who comes too late for the engine has a permit until he has seen that
			if s := e.Stats(); s.InFlight != 0 || s.BlockingCalls != 0 {
				t.Errorf("left behind or lost: %+v", s)
			}
		})
	}
}

// awaitQuiet waits until no call is under way; the watchdog ends what never is.
func awaitQuiet(e *ringfile.Engine) {
	eventually(func() bool { s := e.Stats(); return s.BlockingCalls == 0 && s.InFlight == 0 })
}

// eventually waits until cond holds; the watchdog ends what never does.
func eventually(cond func() bool) {
	for !cond() {
		time.Sleep(time.Millisecond)
	}
}

// bound are the calls of this package with a context that they all get, so that they look like those of os.
type bound struct {
	on  fsys.FS
	ctx context.Context
}

func (s bound) Stat(name string) (fs.FileInfo, error)        { return s.on.Stat(s.ctx, name) }
func (s bound) Lstat(name string) (fs.FileInfo, error)       { return s.on.Lstat(s.ctx, name) }
func (s bound) Mkdir(name string, perm fs.FileMode) error    { return s.on.Mkdir(s.ctx, name, perm) }
func (s bound) MkdirAll(path string, perm fs.FileMode) error { return s.on.MkdirAll(s.ctx, path, perm) }
func (s bound) Remove(name string) error                     { return s.on.Remove(s.ctx, name) }
func (s bound) RemoveAll(path string) error                  { return s.on.RemoveAll(s.ctx, path) }
func (s bound) Rename(oldname, newname string) error         { return s.on.Rename(s.ctx, oldname, newname) }
func (s bound) Link(oldname, newname string) error           { return s.on.Link(s.ctx, oldname, newname) }
func (s bound) Symlink(oldname, newname string) error        { return s.on.Symlink(s.ctx, oldname, newname) }
func (s bound) Readlink(name string) (string, error)         { return s.on.Readlink(s.ctx, name) }
func (s bound) Truncate(name string, size int64) error       { return s.on.Truncate(s.ctx, name, size) }
func (s bound) Chmod(name string, mode fs.FileMode) error    { return s.on.Chmod(s.ctx, name, mode) }
func (s bound) Chown(name string, uid, gid int) error        { return s.on.Chown(s.ctx, name, uid, gid) }
func (s bound) Lchown(name string, uid, gid int) error       { return s.on.Lchown(s.ctx, name, uid, gid) }
func (s bound) Chtimes(name string, a, m time.Time) error    { return s.on.Chtimes(s.ctx, name, a, m) }
func (s bound) ReadDir(name string) ([]fs.DirEntry, error)   { return s.on.ReadDir(s.ctx, name) }
func (s bound) DirFS(dir string) fs.FS                       { return s.on.DirFS(s.ctx, dir) }
func (s bound) ReadFile(name string) ([]byte, error)         { return s.on.ReadFile(s.ctx, name) }
func (s bound) Open(name string) (*ringfile.File, error)     { return s.on.Open(s.ctx, name) }
func (s bound) Create(name string) (*ringfile.File, error)   { return s.on.Create(s.ctx, name) }
func (s bound) MkdirTemp(dir, pattern string) (string, error) {
	return s.on.MkdirTemp(s.ctx, dir, pattern)
}
func (s bound) OpenFile(name string, flag int, perm fs.FileMode) (*ringfile.File, error) {
	return s.on.OpenFile(s.ctx, name, flag, perm)
}
func (s bound) CreateTemp(dir, pattern string) (*ringfile.File, error) {
	return s.on.CreateTemp(s.ctx, dir, pattern)
}
func (s bound) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return s.on.WriteFile(s.ctx, name, data, perm)
}
func (s bound) WalkDir(root string, fn fs.WalkDirFunc) error { return s.on.WalkDir(s.ctx, root, fn) }

// onEach runs test on each engine, with a context that cannot end and with one that can.
func onEach(t *testing.T, test func(t *testing.T, s bound)) {
	t.Helper()
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
		t.Run("plain", func(t *testing.T) { test(t, bound{fsys.On(e), context.Background()}) })
		t.Run("context", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test(t, bound{fsys.On(e), ctx})
		})
	})
}

// storm runs work by many goroutines, over and over.
func storm(t *testing.T, workers int, work func(rng *rand.Rand, worker int)) {
	end := time.Now().Add(testutil.StressTime(t))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), uint64(time.Now().UnixNano())))
			for time.Now().Before(end) && !t.Failed() {
				work(rng, w)
			}
		})
	}
	wg.Wait()
}

// expected reports whether err is what a context that has ended makes of a call.
func expected(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func patternBytes(n int) []byte {
	p := make([]byte, n)
	testutil.Pattern(p, 0)
	return p
}
