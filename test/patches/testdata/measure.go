// Package kit is what measures a program from within: the name of the package is replaced by that of one of its own.
package kit

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kitWork is what is to be done, and kitResult what came of it.
type (
	kitWork struct {
		Dir, Name  string
		Goroutines int
		Ops        int
	}
	kitResult struct {
		Rate    float64 // operations a second
		P99     float64 // of their latencies, ms
		CPU     float64 // processor time for each, µs
		Threads int     // the most that the process had, the kernel's that work for it among them
	}
)

// kitAsked returns what the environment asks for.
func kitAsked(t *testing.T) (w kitWork) {
	if err := json.Unmarshal([]byte(os.Getenv("RINGFILE_KIT")), &w); err != nil {
		t.Skip(err)
	}
	return w
}

// measure calls op for i from 0 to w.Ops-1, in as many goroutines g as are asked for, and prints the result. It says that
// it is ready, and begins at the end of the standard input.
func (w kitWork) measure(t *testing.T, op func(g, i int)) {
	fmt.Println("\nkit: ready")
	io.Copy(io.Discard, os.Stdin)
	latencies := make([]time.Duration, w.Ops)
	var next atomic.Int64
	var group, counting sync.WaitGroup
	done := make(chan struct{})
	most := 0
	counting.Go(func() {
		for ticker := time.NewTicker(2 * time.Millisecond); ; {
			most = max(most, kitThreads(t))
			select {
			case <-ticker.C:
			case <-done:
				return
			}
		}
	})
	cpu, start := kitCPU(t), time.Now()
	for g := range w.Goroutines {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < w.Ops; i = int(next.Add(1)) - 1 {
				begin := time.Now()
				op(g, i)
				latencies[i] = time.Since(begin)
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	cpu = kitCPU(t) - cpu
	close(done)
	counting.Wait()
	slices.Sort(latencies)
	out, err := json.Marshal(kitResult{
		Rate:    float64(w.Ops) / took.Seconds(),
		P99:     latencies[len(latencies)*99/100].Seconds() * 1e3,
		CPU:     cpu.Seconds() * 1e6 / float64(w.Ops),
		Threads: most,
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nkit: %s\n", out)
}

func kitCPU(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Error(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// kitThreads counts the threads of this process.
func kitThreads(t *testing.T) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Error(err)
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nThreads:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Error(err)
	}
	return n
}

// kitEvict takes the named file out of the page cache.
func kitEvict(t *testing.T, name string) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}
