package ringfile_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
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

// checkLeaks waits for what ends by itself and reports the rest.
func checkLeaks(before []string) int {
	var fds []string
	var stacks string
	var rings int
	for range 50 {
		runtime.GC()
		fds = fds[:0]
		rings = 0
		for _, fd := range testutil.OpenDescriptors() {
			known := false
			for _, b := range before {
				known = known || b == fd
			}
			if strings.Contains(fd, "anon_inode:[io_uring]") {
				rings++
			} else if !known && !strings.Contains(fd, "anon_inode:[event") { // the runtime's own
				fds = append(fds, fd)
			}
		}
		buf := make([]byte, 4<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		// Rings of the default engine stay, and the one with which it was proved; an idle one has no reaper.
		if len(fds) == 0 && rings <= defaultRings() && reapers(stacks) == 0 {
			return 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("left behind: descriptors %q, rings %d of %d, %d goroutines\n%s\n", fds, rings, defaultRings(), reapers(stacks), stacks)
	return 1
}

func reapers(stacks string) int { return strings.Count(stacks, ".(*queue).") }

func defaultRings() int {
	e, err := ringfile.Default()
	if err != nil {
		return 0
	}
	return e.Stats().Rings
}

// children are what the test binary does when a test runs it again, by RINGFILE_TEST_CHILD.
var children = map[string]func() int{}

// backends runs test on an engine of each backend that there is.
func routes(t *testing.T, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
	t.Helper()
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) { route(t, b, c, test) })
	}
}

// route runs test on an engine of backend b, and sees to it that nothing is left behind.
func route(t *testing.T, b ringfile.Backend, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
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
	s := e.Stats()
	// A goroutine that comes too late for the engine holds its place until it has seen that.
	for end := time.Now().Add(10 * time.Second); s.BlockingCalls != 0 && time.Now().Before(end); s = e.Stats() {
		time.Sleep(time.Millisecond)
	}
	if s.InFlight != 0 || s.Unknown != 0 || s.Broken != 0 || s.BlockingCalls != 0 {
		t.Errorf("left behind or lost: %+v", s)
	}
}
