package chain_test

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
	"github.com/ringfile/ringfile/chain"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestMain runs the tests and then looks for what they left behind: descriptors, among them rings that
// nobody has, and goroutines.
func TestMain(m *testing.M) {
	before := testutil.OpenDescriptors()
	code := m.Run()
	if code == 0 {
		code = checkLeaks(before)
	}
	os.Exit(code)
}

// checkLeaks waits for what ends by itself and reports the rest.
func checkLeaks(before []string) int {
	var fds []string
	var stacks string
	for range 50 {
		runtime.GC()
		fds = slices.DeleteFunc(testutil.OpenDescriptors(), func(fd string) bool {
			return slices.Contains(before, fd) || strings.Contains(fd, "anon_inode:[event") || isRing(fd)
		})
		if rings := ringsAmong(testutil.OpenDescriptors()); rings > chain.Rings()+defaultRings()+1 {
			fds = append(fds, fmt.Sprint(rings, " rings"))
		}
		buf := make([]byte, 4<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if len(fds) == 0 && !strings.Contains(stacks, "chain.(*ring)") {
			return 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("left behind: descriptors %q\n%s\n", fds, stacks)
	return 1
}

// defaultRings returns how many rings the default engine has, beside the one with which io_uring was proved.
func defaultRings() int {
	e, err := ringfile.Default()
	if err != nil {
		return 0
	}
	return e.Stats().Rings
}

func isRing(fd string) bool { return strings.Contains(fd, "anon_inode:[io_uring]") }

func ringsAmong(fds []string) (n int) {
	for _, fd := range fds {
		if isRing(fd) {
			n++
		}
	}
	return n
}

const fileSize = 1 << 20

// small is an engine that is soon full.
var small = enginetest.Small

// routes runs test on an engine of each backend that there is.
func routes(t *testing.T, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
	t.Helper()
	enginetest.Backends(t, c, test)
}

// files runs test on a file of Pattern, buffered and direct, on each backend.
func files(t *testing.T, test func(t *testing.T, e *ringfile.Engine, f *ringfile.File)) {
	for name, direct := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDWR|direct, 0)
				if err != nil {
					t.Skipf("no O_DIRECT here: %v", err)
				}
				defer f.Close()
				test(t, e, f)
			})
		})
	}
}

// The storms run for a moment in go test, and as long as RINGFILE_STRESS says by command.

// storm runs workers until the time is over.
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

// expected reports whether err is one of those that a storm may cause.
func expected(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrClosed)
}

// checkRead fails the test unless the read gave all the data, or an error that may be.
func checkRead(t *testing.T, n int, err error, buf []byte, off int64) {
	switch {
	case err == nil && n == len(buf):
		if at := testutil.CheckPattern(buf, off); at >= 0 {
			t.Errorf("wrong byte at %d", off+int64(at))
		}
	case err == nil || !expected(err):
		t.Errorf("read of %d at %d = %d, %v", len(buf), off, n, err)
	}
}

func stormFiles(t *testing.T, test func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File)) {
	for name, direct := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			routes(t, small, func(t *testing.T, e *ringfile.Engine) {
				name := testutil.PatternFile(t, fileSize)
				test(t, e, func() *ringfile.File {
					f, err := e.OpenFile(name, os.O_RDWR|direct, 0)
					if err != nil {
						t.Skip(err)
					}
					return f
				})
			})
		})
	}
}

// stormEngines closes engines at any moment of what workers do with a file of theirs.
func stormEngines(t *testing.T, workers int, work func(t *testing.T, rng *rand.Rand, e *ringfile.Engine, f *ringfile.File, w int)) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		name := open()
		defer name.Close()
		storm(t, 2, func(rng *rand.Rand, w int) {
			e, err := ringfile.New(small)
			if err != nil {
				t.Error(err)
				return
			}
			f, err := e.OpenFile(name.Name(), os.O_RDWR|oDirect, 0)
			if err != nil {
				t.Error(err)
				return
			}
			var wg sync.WaitGroup
			for w := range workers {
				seed := rng.Uint64()
				wg.Go(func() { work(t, rand.New(rand.NewPCG(seed, 1)), e, f, w) })
			}
			time.Sleep(time.Duration(rng.IntN(1000)) * time.Microsecond)
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
			f.Close()
			wg.Wait()
		})
	})
}
