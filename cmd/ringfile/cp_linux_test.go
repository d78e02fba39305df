package main

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestCpMatchesDiff copies the sources of Go and has diff and cmp look for differences.
func TestCpMatchesDiff(t *testing.T) {
	src := testutil.GoSource(t)
	if testing.Short() || race.Enabled { // all of it would take minutes
		src = filepath.Join(src, "net")
	}
	if _, err := os.Stat(src); err != nil {
		t.Skip(err)
	}
	dst := filepath.Join(t.TempDir(), "copy")
	got := runChild(t, child(t, "", "cp", src, dst))
	if got.status != 0 {
		t.Fatalf("got %+v", got)
	}
	if out, err := exec.Command("diff", "-r", "--no-dereference", src, dst).CombinedOutput(); err != nil {
		t.Errorf("diff: %v: %s", err, out)
	}
	sameTree(t, dst, src)

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"-q", "--direct", "--uncached"} {
		one := filepath.Join(t.TempDir(), "one")
		if got := runHere(t, "", "cp", flag, exe, one); got.status != 0 {
			t.Errorf("got %+v", got)
		}
		if out, err := exec.Command("cmp", exe, one).CombinedOutput(); err != nil {
			t.Errorf("cmp: %v: %s", err, out)
		}
	}
}

// TestCpOddFiles has FIFOs, sockets, and links in the way.
func TestCpOddFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll("tree/dir", 0o755))
	must(os.MkdirAll("to/tree", 0o755))
	must(unix.Mkfifo("tree/pipe", 0o644))
	l, err := net.Listen("unix", "tree/socket")
	must(err)
	defer l.Close()
	must(os.WriteFile("tree/file", []byte("file"), 0o644))
	must(os.Link("tree/file", "tree/hard"))
	must(os.WriteFile("precious", []byte("precious"), 0o644))
	must(os.Mkdir("elsewhere", 0o755))
	must(os.Symlink("../../precious", "to/tree/file"))
	must(os.Symlink("../../elsewhere", "to/tree/dir"))
	must(os.Symlink("file", "tree/link"))
	must(os.WriteFile("to/tree/link", []byte("a file"), 0o644))

	must(unix.Mkfifo("to/tree/hard", 0o644))
	got := runHere(t, "", "cp", "-q", "-j1", "tree", "to")
	want := "ringfile cp: cannot overwrite non-directory 'to/tree/dir' with directory 'tree/dir'\n" +
		"ringfile cp: 'to/tree/hard' is a FIFO: nothing is written there; use cp or cat for that\n"
	if got.stderr != want || got.status != exitFailed {
		t.Errorf("got %+v, want %q", got, want)
	}
	for name, want := range map[string]string{"precious": "precious", "to/tree/file": "file", "to/tree/link": "file"} {
		if got, err := os.ReadFile(name); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]fs.FileMode{"to/tree/file": 0, "to/tree/link": fs.ModeSymlink, "to/tree/dir": fs.ModeSymlink,
		"to/tree/pipe": fs.ModeNamedPipe, "to/tree/socket": fs.ModeSocket} {
		if st, err := os.Lstat(name); err != nil || st.Mode().Type() != want {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	if got := runHere(t, "", "cp", "-q", "tree/file", "tree/hard", "elsewhere"); got != (result{}) {
		t.Errorf("got %+v", got)
	}
	var st unix.Stat_t
	if err := unix.Lstat("elsewhere/hard", &st); err != nil || st.Nlink != 1 {
		t.Errorf("elsewhere/hard has %d links, %v", st.Nlink, err)
	}

	// Whoever names a FIFO without -r has cp read it.
	got = runHere(t, "", "cp", "-q", "tree/pipe", "new")
	if want := "ringfile cp: 'tree/pipe' is a FIFO: use -r to create a copy of it, or cp or cat to read it\n"; got.stderr != want || got.status != exitFailed {
		t.Errorf("got %+v, want %q", got, want)
	}
	if got := runHere(t, "", "cp", "-rq", "tree/pipe", "pipe"); got != (result{}) {
		t.Errorf("got %+v", got)
	}

	// A symbolic link that is named is copied as such, and not onto what it leads to.
	if got := runHere(t, "", "cp", "-q", "tree/link", "new"); got != (result{}) {
		t.Errorf("got %+v", got)
	}
	if text, err := os.Readlink("new"); text != "file" {
		t.Errorf("new leads to %q, %v", text, err)
	}
	got = runHere(t, "", "cp", "-q", "tree/link", "tree/file")
	if got.stderr != "ringfile cp: 'tree/link' and 'tree/file' are the same file\n" {
		t.Errorf("got %+v", got)
	}
}

// TestCpMerge copies two trees with files of the same names into one directory: the last one wins.
func TestCpMerge(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, side := range []string{"a", "b"} {
		for _, name := range []string{"x", "y", "z"} {
			os.MkdirAll(side+"/d", 0o755)
			if err := os.WriteFile(side+"/d/"+name, []byte(strings.Repeat(side, 300_000)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	os.Mkdir("to", 0o755)
	if got := runHere(t, "", "cp", "-q", "a/d", "b/d", "to"); got != (result{}) {
		t.Errorf("got %+v", got)
	}
	sameTree(t, "to/d", "b/d")
}

// TestCpUnreadable runs as nobody, as root may read everything.
func TestCpUnreadable(t *testing.T) {
	dir, err := os.MkdirTemp("", "ringfile-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.MkdirAll(filepath.Join(dir, "tree/closed"), 0o755)
	for _, f := range []string{"tree/a", "tree/closed/x", "tree/secret", "tree/z"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(filepath.Join(dir, "tree/secret"), 0)
	os.Chmod(filepath.Join(dir, "tree/closed"), 0)
	os.Chmod(dir, 0o777)
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "tree/closed"), 0o755) })
	cmd := child(t, "", "cp", "-q", "-j1", "tree", "copy")
	cmd.Dir = dir
	asNobody(t, cmd)
	got := runChild(t, cmd)
	want := "ringfile cp: cannot access 'tree/closed': Permission denied\n" +
		"ringfile cp: cannot open 'tree/secret' for reading: Permission denied\n"
	if got.stderr != want || got.status != exitFailed {
		t.Errorf("got %+v, want %q", got, want)
	}
	for _, name := range []string{"a", "z"} {
		if data, err := os.ReadFile(filepath.Join(dir, "copy", name)); string(data) != "tree/"+name {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "copy/secret")); err == nil {
		t.Error("copy/secret has been left behind")
	}
}

// TestCpLinkStays has a symbolic link in the way that cannot be removed: what it leads to must not be
// overwritten in its place.
func TestCpLinkStays(t *testing.T) {
	dir, err := os.MkdirTemp("", "ringfile-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Chmod(filepath.Join(dir, "to/tree"), 0o755)
		os.RemoveAll(dir)
	})
	os.MkdirAll(filepath.Join(dir, "tree"), 0o755)
	os.MkdirAll(filepath.Join(dir, "to/tree"), 0o755)
	os.Symlink("../../precious", filepath.Join(dir, "to/tree/file"))
	for _, f := range []string{"tree/file", "precious"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(filepath.Join(dir, "precious"), 0o666)
	os.Chmod(filepath.Join(dir, "to/tree"), 0o555)
	os.Chmod(dir, 0o777)
	cmd := child(t, "", "cp", "-q", "tree", "to")
	cmd.Dir = dir
	asNobody(t, cmd)
	got := runChild(t, cmd)
	want := "ringfile cp: cannot remove 'to/tree/file': Permission denied\n"
	if !strings.HasPrefix(got.stderr, want) || got.status != exitFailed {
		t.Errorf("got %+v, want %q", got, want)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "precious")); string(data) != "precious" {
		t.Errorf("precious: %q, %v", data, err)
	}
}

// TestCpForce has an existing file that may not be written, but removed.
func TestCpForce(t *testing.T) {
	dir, err := os.MkdirTemp("", "ringfile-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, f := range []string{"new", "old"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(dir, 0o777)
	for _, c := range []struct {
		flag, stderr, want string
		status             int
	}{
		{"-q", "ringfile cp: cannot create regular file 'old': Permission denied\n", "old", exitFailed},
		{"-qf", "", "new", 0},
	} {
		cmd := child(t, "", "cp", c.flag, "new", "old")
		cmd.Dir = dir
		asNobody(t, cmd)
		if got := runChild(t, cmd); got.stderr != c.stderr || got.status != c.status {
			t.Errorf("%s: got %+v", c.flag, got)
		}
		if data, err := os.ReadFile(filepath.Join(dir, "old")); string(data) != c.want {
			t.Errorf("%s: %q, %v", c.flag, data, err)
		}
	}
}

// TestCpFull has names that cannot be printed: that is an error, as with cp.
func TestCpFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	src := testutil.PatternFile(t, 100)
	var stderr strings.Builder
	cmd := child(t, "", "cp", "-qv", src, src+".copy")
	cmd.Stdout, cmd.Stderr = full, &stderr
	cmd.Run()
	if want := "ringfile cp: write error: No space left on device\n"; stderr.String() != want || cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("%v, %q, want %q", cmd.ProcessState, stderr.String(), want)
	}
}

// TestCpRefused has modes and times be refused, as on file systems that have none: the copies stay, and
// what is not as it was is reported in the words of cp -p.
func TestCpRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "src"), []byte("contents"), 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dir, "src"), 0o667)
	cmd := child(t, "metadata EPERM", "cp", "-q", "src", "dst")
	cmd.Dir = dir
	got := runChild(t, cmd)
	want := "ringfile cp: preserving permissions for 'dst': Operation not permitted\n" +
		"ringfile cp: preserving times for 'dst': Operation not permitted\n"
	if got.stderr != want || got.status != exitFailed {
		t.Errorf("got %+v, want %q", got, want)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "dst")); string(data) != "contents" {
		t.Errorf("dst: %q, %v", data, err)
	}
}

// TestCpSignal ends a program in the middle of large files: it ends by itself, says so, and each file
// that is there is complete. A signal that the program was told to ignore, as by nohup, is ignored.
func TestCpSignal(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	os.Mkdir(src, 0o755)
	const size = 24 << 20
	data := randomBytes(size)
	for _, name := range strings.Fields("a b c d e f g h") {
		if err := os.WriteFile(filepath.Join(src, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		signal  syscall.Signal
		flag    string
		ignored bool
		want    int
	}{
		{"interrupt", syscall.SIGINT, "-r", false, 130},
		{"terminate", syscall.SIGTERM, "--direct", false, 143},
		{"hang up", syscall.SIGHUP, "--direct", false, 129},
		{"nohup", syscall.SIGHUP, "-r", true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "dst")
			cmd := child(t, "", "cp", "-j2", c.flag, src, dst)
			if c.ignored {
				cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`}, cmd.Args...)
				cmd.Path = "/bin/sh"
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for range 10_000 { // until it works
				if _, err := os.Stat(filepath.Join(dst, "a")); err == nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			switch status := cmd.ProcessState.ExitCode(); status {
			case 0:
				t.Log("it was done before the signal, or ignored it")
			case c.want:
				if !strings.HasPrefix(stderr.String(), "ringfile cp: interrupted: ") {
					t.Errorf("stderr: %q", stderr.String())
				}
			default:
				t.Errorf("%v, %q", cmd.ProcessState, stderr.String())
			}
			entries, err := os.ReadDir(dst)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if got, err := os.ReadFile(filepath.Join(dst, e.Name())); err != nil || string(got) != string(data) {
					t.Errorf("%s: %d bytes of %d, %v", e.Name(), len(got), size, err)
				}
			}
		})
	}
}
