package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sha256sum returns the command of that name, with a locale in which UTF-8 is printable.
func sha256sum(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("sha256sum")
	if err != nil {
		t.Skip("sha256sum is not installed here; the comparison needs it")
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	return cmd
}

// oddNames are file names that need care somewhere.
var oddNames = []string{
	"plain", "with space", " leading", "trailing ", "-dash", "--", "back\\slash", "new\nline", "cr\rhere",
	"crlf\r\n", "\\", "\\\\n", "tab\there", "quote'd", `dou"ble`, `both'"`, "dollar$x'", "star*", "que?", "[x]",
	"a:b", "~tilde", "x~", "#hash", "x#", "semi;colon", "é", "日本", "\xff\xfe", "a\xffb", "\x01", "\x1b[31m",
	"\x7f", "{brace}", "a=b", "=", "!", "a!b'", "per%cent", "pipe|", "(", "<>", "^", "`tick`", "@", "+", ",",
}

func TestLineEscapesNames(t *testing.T) {
	sum := sha256.Sum256(nil)
	hex := fmt.Sprintf("%x", sum)
	for _, c := range []struct{ name, want string }{
		{"plain", hex + "  plain\n"},
		{"a b", hex + "  a b\n"},
		{`a\b`, `\` + hex + `  a\\b` + "\n"},
		{"a\nb", `\` + hex + `  a\nb` + "\n"},
		{"a\rb", `\` + hex + `  a\rb` + "\n"},
		{"\xff", hex + "  \xff\n"},
	} {
		if got := string(lineForm{}.append(nil, sum, c.name)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestQuoteMatchesSha256sum compares messages about files that do not exist, for all names.
func TestQuoteMatchesSha256sum(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range oddNames {
		var theirs strings.Builder
		cmd := sha256sum(t, "--", name)
		cmd.Stderr = &theirs
		cmd.Run()
		_, want, ok := strings.Cut(theirs.String(), "sha256sum: ")
		if !ok {
			t.Fatalf("sha256sum says %q", theirs.String())
		}
		got := runHere(t, "", "sum", "-q", "--", name)
		if got.stderr != "ringfile sum: "+want {
			t.Errorf("%q: got %q, want %q", name, got.stderr, "ringfile sum: "+want)
		}
		if got.stdout != "" || got.status != exitFailed {
			t.Errorf("%q: got stdout %q and status %d, want none and 1", name, got.stdout, got.status)
		}
	}
}

// oddFiles makes a file for each odd name in dir, with contents that differ.
func oddFiles(t *testing.T, dir string) {
	t.Helper()
	for i, name := range oddNames {
		if runtime.GOOS == "windows" || strings.ContainsRune(name, '/') {
			continue
		}
		err := os.WriteFile(filepath.Join(dir, name), fmt.Append(nil, i), 0o644)
		if err != nil && !strings.Contains(err.Error(), syscall.EILSEQ.Error()) {
			t.Fatal(err)
		}
	}
}

func TestDescribe(t *testing.T) {
	_, err := os.Open(filepath.Join(t.TempDir(), "missing"))
	if got := describe(err); runtime.GOOS == "linux" && got != "No such file or directory" {
		t.Errorf("got %q", got)
	}
	if got := describe(errReplaced); got != "File was replaced while it was read" {
		t.Errorf("got %q", got)
	}
}

func TestByteCount(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{
		{0, "0 B"}, {999, "999 B"}, {1000, "1.00 kB"}, {9994, "9.99 kB"}, {9996, "10.0 kB"},
		{99_960, "100 kB"}, {999_499, "999 kB"}, {999_500, "1.00 MB"}, {93_100_000, "93.1 MB"},
		{1 << 30, "1.07 GB"}, {1<<63 - 1, "9.22 EB"},
	} {
		if got := byteCount(c.n); got != c.want {
			t.Errorf("%d: got %q, want %q", c.n, got, c.want)
		}
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{{0, "0:00"}, {12400 * time.Millisecond, "0:12"}, {61 * time.Second, "1:01"}, {3661 * time.Second, "1:01:01"}} {
		if got := clock(c.d); got != c.want {
			t.Errorf("%v: got %q, want %q", c.d, got, c.want)
		}
	}
}

func TestJoinKeepsWhatWasTyped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the separator is another one there")
	}
	for _, c := range []struct{ dir, want string }{
		{".", "./x"}, {"d", "d/x"}, {"d/", "d/x"}, {"/", "/x"}, {"./d//", "./d//x"}, {"../d", "../d/x"},
	} {
		if got := join(c.dir, "x"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.dir, got, c.want)
		}
	}
}
