package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// makeTree makes a tree of files of all interesting lengths and names.
func makeTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	data := randomBytes(lengths[len(lengths)-1])
	write := func(name string, data []byte) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range lengths {
		write(fmt.Sprintf("lengths/%08d", n), data[:n])
	}
	// "sub" and "sub.txt": the order of a walk is not that of the whole names.
	write("sub/inner/file", []byte("inner"))
	write("sub/a", []byte("a"))
	write("sub.txt", []byte("beside"))
	write("sub-", nil)
	for i := range 300 {
		write(fmt.Sprintf("many/%d", i), fmt.Append(nil, "file ", i))
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if _, err := sparse.WriteAt([]byte("end"), 3<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "odd names"), 0o755); err != nil {
		t.Fatal(err)
	}
	oddFiles(t, filepath.Join(dir, "odd names"))
	return dir
}

// want returns the lines for all regular files under dir, by way of the standard library.
func want(t *testing.T, dir string) string {
	t.Helper()
	var lines []byte
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		lines = lineForm{}.append(lines, sha256.Sum256(data), name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(lines)
}

// sameLines compares outputs line by line, so that the first difference is seen.
func sameLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Fatalf("line %d is missing: %q", i+1, w[i])
		case i >= len(w):
			t.Fatalf("line %d is too much: %q", i+1, g[i])
		case g[i] != w[i]:
			t.Fatalf("line %d: got %q, want %q", i+1, g[i], w[i])
		}
	}
}

func TestSumTree(t *testing.T) {
	dir := makeTree(t)
	lines := want(t, dir)
	for _, backend := range []string{"auto", "blocking"} {
		for _, flags := range [][]string{{}, {"-j", "1"}, {"-j=2"}, {"-j3"}, {"-j", "100000"}, {"--direct"}, {"--uncached"}, {"--direct", "-j2"}} {
			t.Run(backend+" "+strings.Join(flags, " "), func(t *testing.T) {
				if runtime.GOOS != "linux" && strings.HasPrefix(strings.Join(flags, " "), "--") {
					t.Skip("O_DIRECT is of Linux")
				}
				t.Setenv("RINGFILE_BACKEND", backend)
				got := runHere(t, "", append(append([]string{"sum"}, flags...), dir)...)
				sameLines(t, got.stdout, lines)
				if got.status != 0 {
					t.Errorf("status %d, stderr %q", got.status, got.stderr)
				}
			})
		}
	}
}

// TestSumMatchesSha256sum compares with the real thing, byte for byte, and lets it check.
func TestSumMatchesSha256sum(t *testing.T) {
	dir := makeTree(t)
	t.Chdir(dir)
	var names []string
	filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	theirs := runChild(t, sha256sum(t, append([]string{"--"}, names...)...))
	if theirs.status != 0 {
		t.Fatal(theirs.stderr)
	}
	ours := runHere(t, "", append([]string{"sum", "--"}, names...)...)
	sameLines(t, ours.stdout, theirs.stdout)

	tree := runHere(t, "", "sum", ".", "sub", "sub/../sub.txt")
	check := sha256sum(t, "-c", "--quiet", "--strict", "-")
	check.Stdin = strings.NewReader(tree.stdout)
	if r := runChild(t, check); r.status != 0 || r.stdout != "" {
		t.Errorf("sha256sum -c: status %d, %s%s", r.status, r.stdout, r.stderr)
	}
	if n := strings.Count(tree.stdout, "\n"); n != len(names)+3 {
		t.Errorf("lines: got %d, want %d", n, len(names)+3)
	}
	if !strings.Contains(tree.stdout, "  ./sub/a\n") {
		t.Error("the names of a tree do not start with what was typed")
	}
}

func TestSumStdin(t *testing.T) {
	big := string(randomBytes(3*chunkSize + 17))
	for _, c := range []struct {
		name  string
		stdin string
		args  []string
	}{
		{"no arguments", big, nil},
		{"no arguments, empty", "", nil},
		{"dash", big, []string{"-"}},
		{"dash after flags", "x", []string{"-q", "--", "-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runHere(t, c.stdin, append([]string{"sum"}, c.args...)...)
			if want := fmt.Sprintf("%x  -\n", sha256.Sum256([]byte(c.stdin))); got.stdout != want || got.status != 0 {
				t.Errorf("got %q, %d, want %q", got.stdout, got.status, want)
			}
		})
	}
	// The second time nothing is left, as with sha256sum.
	got := runHere(t, "abc", "sum", "-j", "8", "-", "-", "-")
	empty := fmt.Sprintf("%x  -\n", sha256.Sum256(nil))
	if want := fmt.Sprintf("%x  -\n", sha256.Sum256([]byte("abc"))) + empty + empty; got.stdout != want {
		t.Errorf("got %q, want %q", got.stdout, want)
	}
}

func TestSumErrors(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := os.WriteFile(good, []byte("good"), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	through := filepath.Join(good, "x")
	got := runHere(t, "", "sum", "-q", missing, good, through, good)
	line := string(lineForm{}.append(nil, sha256.Sum256([]byte("good")), good))
	if got.stdout != line+line {
		t.Errorf("stdout: got %q, want %q", got.stdout, line+line)
	}
	if got.status != exitFailed {
		t.Errorf("status: got %d, want 1", got.status)
	}
	if runtime.GOOS == "linux" {
		want := fmt.Sprintf("ringfile sum: %s: No such file or directory\nringfile sum: %s: Not a directory\n", missing, through)
		if got.stderr != want {
			t.Errorf("stderr: got %q, want %q", got.stderr, want)
		}
	}
	got = runHere(t, "", "sum", "-v", missing, good)
	if !strings.Contains(got.stderr, "ringfile sum: 1 file, 1 failed, 4 B in ") {
		t.Errorf("summary: got %q", got.stderr)
	}
}

// summaryLine is the form of the summary, with everything that may be in it.
var summaryLine = regexp.MustCompile(`^ringfile sum: (interrupted: )?\d+ files?(, \d+ failed)?(, \d+ skipped)?, [\d.]+ k?M?G?B in \d+\.\d\d s, \d+\.\d\d GB/s \(routes: (none|(, )?(page cache|io_uring|system calls) [1-9]\d*)+(, without io_uring)?(; O_DIRECT for \d+ files?)?\)\n$`)

func TestSumSummary(t *testing.T) {
	dir := makeTree(t)
	got := runHere(t, "", "sum", "-v", dir)
	if !summaryLine.MatchString(got.stderr) {
		t.Errorf("got %q", got.stderr)
	}
	t.Setenv("RINGFILE_BACKEND", "blocking")
	got = runHere(t, "", "sum", "-v", dir)
	if !summaryLine.MatchString(got.stderr) || !strings.Contains(got.stderr, "(routes: system calls ") || !strings.HasSuffix(got.stderr, ", without io_uring)\n") {
		t.Errorf("got %q", got.stderr)
	}
	// What goes into a file or a pipe has no summary, as what sha256sum says there has none.
	for _, flag := range []string{"-q", "--quiet", "-t"} {
		if got := runHere(t, "", "sum", flag, dir); got.stderr != "" || got.status != 0 {
			t.Errorf("%s: got %q", flag, got.stderr)
		}
	}
}

func TestSumBadBackend(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "nonsense")
	got := runHere(t, "", "sum", ".")
	if got.status != exitFailed || got.stdout != "" || !strings.Contains(got.stderr, "RINGFILE_BACKEND") {
		t.Errorf("got %+v", got)
	}
}

// brokenWriter fails after some bytes, as a full disk does.
type brokenWriter struct{ room int }

var errFull = errors.New("no room")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if len(p) > w.room {
		return 0, errFull
	}
	w.room -= len(p)
	return len(p), nil
}

func TestSumWriteError(t *testing.T) {
	dir := makeTree(t)
	for _, room := range []int{0, 100, 10_000} {
		var stderr bytes.Buffer
		status := run(t.Context(), []string{"sum", "-q", dir}, nil, &brokenWriter{room}, &stderr)
		if status != exitFailed || stderr.String() != "ringfile sum: write error: No room\n" {
			t.Errorf("room for %d: status %d, stderr %q", room, status, stderr.String())
		}
	}
}

// TestSumOrder has a line that is late: the others are hashed meanwhile, and keep their order.
func TestSumOrder(t *testing.T) {
	dir := t.TempDir()
	data := randomBytes(8 << 20)
	var names []string
	var lines []byte
	for i := range 60 {
		name := filepath.Join(dir, fmt.Sprintf("%d", 60-i))
		p := data[:1000*i]
		if i%20 == 0 {
			p = data
		}
		if err := os.WriteFile(name, p, 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		lines = lineForm{}.append(lines, sha256.Sum256(p), name)
	}
	for range 3 {
		got := runHere(t, "", append([]string{"sum", "-j", "16"}, names...)...)
		sameLines(t, got.stdout, string(lines))
	}
}

// lineWriter passes on what is written, each write as one piece.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) { w <- string(p); return len(p), nil }

// TestSumPrintsWhatIsReady checks that a line does not wait for those behind it.
func TestSumPrintsWhatIsReady(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("ready"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := make(lineWriter, 10)
	status := make(chan int)
	go func() {
		status <- run(t.Context(), []string{"sum", "-q", name, "-"}, r, out, new(bytes.Buffer))
	}()
	if got, want := <-out, string(lineForm{}.append(nil, sha256.Sum256([]byte("ready")), name)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.Close() // only now the second file ends
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
	if got, want := <-out, fmt.Sprintf("%x  -\n", sha256.Sum256(nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSumInterrupted(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("ready"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := make(lineWriter, 10)
	var stderr bytes.Buffer
	status := make(chan int)
	go func() { status <- run(ctx, []string{"sum", "-v", name, "-", name}, r, out, &stderr) }()
	<-out // the first line; the second file never ends
	cancel()
	if got := <-status; got != exitInterrupted {
		t.Errorf("status: got %d, want 130", got)
	}
	if !strings.HasPrefix(stderr.String(), "ringfile sum: interrupted: 1 file, ") || !summaryLine.MatchString(stderr.String()) {
		t.Errorf("stderr: got %q", stderr.String())
	}
	if len(out) != 0 {
		t.Errorf("more output: %q", <-out)
	}
}
