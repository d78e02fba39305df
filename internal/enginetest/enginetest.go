// Package enginetest runs the tests of packages that are built on ringfile on an engine of each
// backend, and checks that they leave nothing behind.
package enginetest

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// Small is an engine that a few requests fill.
var Small = ringfile.Config{Rings: 2, Depth: 16, BlockingLimit: 8}

// Backends runs test on an engine of each backend that there is.
func Backends(t *testing.T, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
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
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
			checkIdle(t, e)
		})
	}
}

// checkIdle sees to it that a closed engine has nothing left.
func checkIdle(t *testing.T, e *ringfile.Engine) {
	t.Helper()
	s := e.Stats()
	// A goroutine that comes too late for the engine counts until it has seen that.
	for end := time.Now().Add(10 * time.Second); s.BlockingCalls != 0 && time.Now().Before(end); s = e.Stats() {
		time.Sleep(time.Millisecond)
	}
	if s.InFlight != 0 || s.Broken != 0 || s.BlockingCalls != 0 {
		t.Errorf("left behind or lost: %+v", s)
	}
}

// Main runs the tests of a package, looks for descriptors that they left open, and ends the program.
func Main(m *testing.M) {
	e, err := ringfile.Default() // whose descriptors stay
	if err == nil {
		fmt.Println("backend:", e.Backend())
		e.ReadFile(os.Args[0])
	}
	before := testutil.OpenDescriptors()
	code := m.Run()
	if code == 0 {
		code = checkDescriptors(before)
	}
	os.Exit(code)
}

// checkDescriptors waits for what ends by itself and reports the rest.
func checkDescriptors(before []string) int {
	var left []string
	for range 50 {
		runtime.GC()
		left = slices.DeleteFunc(testutil.OpenDescriptors(), func(fd string) bool {
			// The runtime's own, and rings, which come and go.
			return slices.Contains(before, fd) || strings.Contains(fd, "anon_inode:[event") || strings.Contains(fd, "io_uring")
		})
		if len(left) == 0 {
			return 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("left behind: descriptors %q\n", left)
	return 1
}
