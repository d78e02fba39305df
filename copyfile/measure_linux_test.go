package copyfile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestMeasureUncached copies and sums four times as much as the memory of the control group that all of it happens in
// (version 1; the test moves into it), beside a neighbour that reads random blocks of a hot set.
func TestMeasureUncached(t *testing.T) {
	const limit, dataSize, hotSize = 256 << 20, 1 << 30, 64 << 20
	base, err := os.MkdirTemp(measure.Dir(t), "ringfile-uncached-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	src, dst, hot := filepath.Join(base, "src"), filepath.Join(base, "dst"), filepath.Join(base, "hot")
	program := filepath.Join(base, "ringfile")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/ringfile/ringfile/cmd/ringfile").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	part := testutil.PatternBytes(64 << 20)
	w, err := os.Create(src)
	for n := 0; n < dataSize && err == nil; n += len(part) {
		_, err = w.Write(part)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := os.WriteFile(hot, part[:hotSize], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := testutil.Evict(hot); err != nil {
		t.Fatal(err)
	}
	defer enterGroup(t, limit)()

	f, err := ringfile.Open(hot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var hits, reads atomic.Int64
	done := make(chan struct{})
	defer close(done)
	go neighbour(int(f.Fd()), hotSize, done, &hits, &reads)
	rate := func() string {
		h, r := hits.Swap(0), reads.Swap(0)
		if r == 0 {
			return "no read in that time"
		}
		return fmt.Sprintf("%.1f %%", 100*float64(h)/float64(r))
	}
	fmt.Println("| how | MiB/s (range) | page cache of the files, at most | hits of the neighbour before | during | after |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, c := range [][]string{
		{"cp", src, dst}, {program, "cp", "-q", src, dst}, {program, "cp", "-q", "--uncached", src, dst}, {program, "cp", "-q", "--direct", src, dst},
		{"sha256sum", src}, {program, "sum", src}, {program, "sum", "--uncached", src}, {program, "sum", "--direct", src},
	} {
		var rates []float64
		var most int64
		var before, during, after string
		for range 3 {
			os.Remove(dst)
			if err := testutil.Evict(src); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := os.ReadFile(hot); err != nil {
					t.Fatal(err)
				}
			}
			rate()
			time.Sleep(300 * time.Millisecond)
			before = rate()
			cmd := exec.Command(c[0], c[1:]...)
			start := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			end := make(chan error, 1)
			go func() { end <- cmd.Wait() }()
			for running := true; running; {
				select {
				case err := <-end:
					if err != nil {
						t.Fatal(c, err)
					}
					running = false
				case <-time.After(20 * time.Millisecond):
				}
				most = max(most, cachedNamed(src)+cachedNamed(dst))
			}
			rates = append(rates, dataSize>>20/time.Since(start).Seconds())
			during = rate()
			time.Sleep(300 * time.Millisecond)
			after = rate()
		}
		name := filepath.Base(c[0])
		for _, arg := range c[1:] {
			if arg != src && arg != dst && arg != "-q" {
				name += " " + arg
			}
		}
		low, middle, high := min(rates[0], rates[1], rates[2]), rates[0]+rates[1]+rates[2], max(rates[0], rates[1], rates[2])
		fmt.Printf("| %s | %.0f (%.0f-%.0f) | %d MiB | %s | %s | %s |\n", name, middle-low-high, low, high, most>>20, before, during, after)
	}
}

// neighbour reads random blocks, and counts those that are in the page cache.
func neighbour(fd int, size int64, done chan struct{}, hits, reads *atomic.Int64) {
	buf := make([]byte, 4096)
	for tick := time.Tick(time.Millisecond); ; {
		select {
		case <-done:
			return
		case <-tick:
		}
		for range 10 {
			off := rand.Int64N(size) &^ 4095
			n, _ := unix.Preadv2(fd, [][]byte{buf}, off, unix.RWF_NOWAIT)
			reads.Add(1)
			if n == len(buf) {
				hits.Add(1)
			} else {
				unix.Pread(fd, buf, off)
			}
		}
	}
}

// cachedNamed returns how much of the named file is in the page cache.
func cachedNamed(name string) int64 {
	f, err := ringfile.Open(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	n, _ := f.Cached(0, 0)
	return n
}

// enterGroup moves this process into a new control group with so much memory. What it returns leaves and removes it.
func enterGroup(t *testing.T, limit int) (leave func()) {
	const root = "/sys/fs/cgroup/memory"
	group := filepath.Join(root, "ringfile-measure-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skip("no memory controller of version 1: ", err)
	}
	pid := []byte(strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(filepath.Join(group, "memory.limit_in_bytes"), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), pid, 0); err != nil {
		t.Fatal(err)
	}
	return func() {
		os.WriteFile(filepath.Join(root, "cgroup.procs"), pid, 0)
		os.WriteFile(filepath.Join(group, "memory.force_empty"), []byte("0"), 0)
		os.Remove(group)
	}
}
