// Package testutil has what the tests of several packages share.
package testutil

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"
)

// StressTime returns how long a storm is to last: the duration in RINGFILE_STRESS if it is set, a
// moment otherwise.
func StressTime(t testing.TB) time.Duration {
	s := os.Getenv("RINGFILE_STRESS")
	if s == "" {
		if testing.Short() {
			return 100 * time.Millisecond
		}
		return 250 * time.Millisecond
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("RINGFILE_STRESS: %v", err)
	}
	return d
}

// Watchdog dumps all goroutines and ends the program if the returned function is not called within
// limit: a hang shows where it is. In a guest of the kernel matrix it may take four times as long.
func Watchdog(t testing.TB, limit time.Duration) (stop func()) {
	if os.Getenv("KM_GUEST") != "" {
		limit *= 4
	}
	timer := time.AfterFunc(limit, func() {
		buf := make([]byte, 8<<20)
		buf = buf[:runtime.Stack(buf, true)]
		fmt.Fprintf(os.Stderr, "%s hangs:\n%s\n", t.Name(), buf)
		os.Exit(3)
	})
	return func() { timer.Stop() }
}

// Pattern fills p with what belongs at off of a test file: every eight bytes are derived from
// their position.
func Pattern(p []byte, off int64) {
	for i := range p {
		pos := uint64(off) + uint64(i)
		x := (pos/8 + 1) * 0x9e3779b97f4a7c15
		p[i] = byte(x >> (8 * (pos % 8)))
	}
}

// CheckPattern returns where p differs from Pattern at off, -1 if it does not.
func CheckPattern(p []byte, off int64) int {
	want := make([]byte, len(p))
	Pattern(want, off)
	if bytes.Equal(p, want) {
		return -1
	}
	for i := range p {
		if p[i] != want[i] {
			return i
		}
	}
	return -1
}

// PatternFile makes a file of n bytes of Pattern and returns its name.
func PatternFile(t testing.TB, n int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pattern")
	p := make([]byte, n)
	Pattern(p, 0)
	if err := os.WriteFile(name, p, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// GoSource returns the directory of Go's own sources, a tree of some 10,000 files, and skips the test
// where there is none.
func GoSource(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("there is no Go to ask where its sources are: ", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "src")
	if _, err := os.Stat(filepath.Join(dir, "os")); err != nil {
		t.Skip("Go's sources are not here: ", err)
	}
	return dir
}

// OpenDescriptors describes the descriptors of the process by what they lead to, sorted; nil where
// there is no /proc.
func OpenDescriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.HasSuffix(target, "/fd") {
			continue // the directory that is being read
		}
		all = append(all, e.Name()+" -> "+target)
	}
	sort.Strings(all)
	return all
}

// PatternBytes returns the first n bytes of Pattern.
func PatternBytes(n int) []byte {
	p := make([]byte, n)
	Pattern(p, 0)
	return p
}
