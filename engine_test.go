package ringfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

func TestConfigChecked(t *testing.T) {
	for _, c := range []ringfile.Config{
		{Rings: -1}, {Rings: 1 << 20}, {Depth: -1}, {Depth: 1}, {Depth: 1 << 20},
		{Workers: -1}, {BlockingLimit: -1}, {CloseTimeout: -1}, {Backend: 77},
	} {
		if e, err := ringfile.New(c); err == nil {
			e.Close()
			t.Errorf("New(%+v) succeeded", c)
		}
	}
	t.Setenv("RINGFILE_BACKEND", "iouring")
	if _, err := ringfile.New(ringfile.Config{}); err == nil || !strings.Contains(err.Error(), "auto, uring or blocking") {
		t.Errorf("bad RINGFILE_BACKEND: error %v does not say what is allowed", err)
	}
}

func TestBackendEnvironmentWins(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking")
	e, err := ringfile.New(ringfile.Config{Backend: ringfile.BackendURing})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Backend() != ringfile.BackendBlocking {
		t.Errorf("backend is %v", e.Backend())
	}
	var why *ringfile.UnavailableError
	if err := e.Available(); !errors.As(err, &why) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Available: %v, want an *UnavailableError", err)
	}
}

func TestEngineClosed(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, 8192)
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		check := func(what string, err error) {
			t.Helper()
			var pe *fs.PathError
			if !errors.Is(err, ringfile.ErrEngineClosed) || !errors.Is(err, fs.ErrClosed) || !errors.As(err, &pe) {
				t.Errorf("%s: %v, want a *fs.PathError with ErrEngineClosed", what, err)
			}
		}
		_, err = f.ReadAt(make([]byte, 10), 0)
		check("ReadAt", err)
		_, err = f.Read(make([]byte, 10))
		check("Read", err)
		_, err = f.StartReadAt(make([]byte, 10), 0).Await()
		check("StartReadAt", err)
		_, err = e.Open(name)
		check("Open", err)
		if err := f.Close(); err != nil {
			t.Errorf("File.Close: %v", err)
		}
	})
}

// TestManyGoroutines is the reason for the package: more goroutines in ReadAt than Go may have
// threads.
func TestManyGoroutines(t *testing.T) {
	const size = 1 << 20
	for _, direct := range []int{0, oDirect} {
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			f, err := e.OpenFile(testutil.PatternFile(t, size), os.O_RDONLY|direct, 0)
			if errors.Is(err, syscall.EINVAL) {
				t.Skip("no O_DIRECT here")
			} else if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			n := 10_000
			if testing.Short() {
				n = 2_000
			}
			most, before := 0, threads()
			stop := make(chan struct{})
			var watch, wg sync.WaitGroup
			watch.Go(func() {
				for {
					most = max(most, threads())
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
					}
				}
			})
			pool := ringfile.NewBufferPool(4096, 4096)
			for i := range n {
				wg.Go(func() {
					for k := range 3 {
						buf := pool.Get()
						off := int64(i*31+k*17) % (size / 4096) * 4096
						if n, err := f.ReadAt(buf, off); n != len(buf) || err != nil {
							t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
						} else if at := testutil.CheckPattern(buf, off); at >= 0 {
							t.Errorf("wrong byte at %d", off+int64(at))
						}
						pool.Put(buf)
					}
				})
			}
			wg.Wait()
			close(stop)
			watch.Wait()
			bound := 64 + runtime.GOMAXPROCS(0)*8
			if e.Backend() == ringfile.BackendBlocking {
				bound += 512
			}
			if os.Getenv("KM_GUEST") != "" {
				// Where processors are emulated, Go's monitor takes a read of the page cache that was
				// interrupted for one that blocks.
				bound += 256
			}
			t.Logf("direct=%v: %d goroutines, at most %d threads (before %d), %+v", direct != 0, n, most, before, e.Stats())
			if most > max(bound, before) { // threads of earlier tests stay
				t.Errorf("%d threads, want at most %d", most, bound)
			}
		})
	}
}

// threads returns the number of threads of the process, kernel workers included; 0 without /proc.
func threads() int {
	tasks, _ := os.ReadDir("/proc/self/task")
	return len(tasks)
}

func TestNoAllocations(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, 1<<20)
		for _, direct := range []int{0, oDirect} {
			f, err := e.OpenFile(name, os.O_RDWR|direct, 0)
			if err != nil {
				continue
			}
			defer f.Close()
			buf := ringfile.AlignedBuffer(4096, 4096)
			vec := [][]byte{buf[:2048], buf[2048:]}
			for what, c := range map[string]struct {
				allowed float64
				op      func()
			}{
				"ReadAt":      {0, func() { f.ReadAt(buf, 4096) }},
				"WriteAt":     {0, func() { f.WriteAt(buf, 4096) }},
				"Read":        {0, func() { f.Seek(0, 0); f.Read(buf) }},
				"ReadvAt":     {1, func() { f.ReadvAt(vec, 4096) }},
				"StartReadAt": {3, func() { f.StartReadAt(buf, 4096).Await() }},
			} {
				byCall := direct == 0 && ringfile.ReadsByCall(e)
				if e.Backend() == ringfile.BackendURing && !byCall && what == "StartReadAt" {
					c.allowed = 2 // the future and, of what may be in the page cache, a goroutine
				}
				if n := testing.AllocsPerRun(200, c.op); n > c.allowed {
					t.Errorf("direct=%v %s allocates %v times, want at most %v", direct != 0, what, n, c.allowed)
				}
			}
		}
	})
}

func TestUnreadableAndMissing(t *testing.T) {
	dir := t.TempDir()
	_, err := ringfile.Open(filepath.Join(dir, "missing"))
	_, want := os.Open(filepath.Join(dir, "missing"))
	if err == nil || err.Error() != want.Error() {
		t.Errorf("Open: %v, want %v", err, want)
	}
	if _, err := ringfile.ReadFile(dir); err == nil {
		t.Error("ReadFile of a directory succeeded")
	}
}
