package uring

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

func yield() { runtime.Gosched() }

// TestMain fails if the tests leave descriptors behind.
func TestMain(m *testing.M) {
	// The runtime's poller opens descriptors once and for all, on first use.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	before := openFDs()
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); ; {
		after := openFDs()
		leaked := 0
		for fd, name := range after {
			if before[fd] != name {
				leaked++
			}
		}
		if leaked == 0 {
			break
		}
		if time.Now().After(deadline) {
			fmt.Printf("FAIL: %d descriptors leaked\nbefore: %v\nafter: %v\n", leaked, before, after)
			code = max(code, 1)
			break
		}
		runtime.GC() // for *os.File values that a test dropped
		time.Sleep(10 * time.Millisecond)
	}
	os.Exit(code)
}

// openFDs returns the open descriptors and what they are, where there is a /proc.
func openFDs() map[string]string {
	const dir = "/proc/self/fd/"
	fds := make(map[string]string)
	d, err := os.Open(dir)
	if err != nil {
		return fds
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, fd := range names {
		if fd == fmt.Sprint(d.Fd()) {
			continue
		}
		if target, err := os.Readlink(dir + fd); err == nil {
			fds[fd] = target
		}
	}
	return fds
}
