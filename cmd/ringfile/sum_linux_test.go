package main

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// TestSumOddFiles has one of each kind of file, in a tree and named.
func TestSumOddFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	line := func(data, name string) string {
		return string(lineForm{}.append(nil, sha256.Sum256([]byte(data)), name))
	}
	must(os.Mkdir("tree", 0o755))
	must(os.WriteFile("tree/file", []byte("file"), 0o644))
	must(os.Symlink("file", "tree/link"))
	must(os.Symlink("..", "tree/loop"))
	must(os.Symlink("nowhere", "tree/dangling"))
	must(unix.Mkfifo("tree/pipe", 0o644))
	l, err := net.Listen("unix", "tree/socket")
	must(err)
	defer l.Close()
	must(os.Symlink("tree", "to-tree"))
	must(os.Mkdir("empty", 0o755))

	// In a tree.
	for _, name := range []string{"tree", "to-tree"} {
		got := runHere(t, "", "sum", "-v", name)
		if want := line("file", name+"/file"); got.stdout != want || got.status != 0 {
			t.Errorf("got %q, %d, want %q", got.stdout, got.status, want)
		}
		if !strings.Contains(got.stderr, "1 file, 5 skipped, ") {
			t.Errorf("summary: got %q", got.stderr)
		}
	}
	if got := runHere(t, "", "sum", "-q", "empty"); got != (result{}) {
		t.Errorf("empty directory: got %+v", got)
	}

	// Named.
	got := runHere(t, "", "sum", "-q", "tree/link", "tree/dangling", "tree/socket", "/dev/null")
	if want := line("file", "tree/link") + line("", "/dev/null"); got.stdout != want {
		t.Errorf("stdout: got %q, want %q", got.stdout, want)
	}
	if want := "ringfile sum: tree/dangling: No such file or directory\nringfile sum: tree/socket: No such device or address\n"; got.stderr != want {
		t.Errorf("stderr: got %q, want %q", got.stderr, want)
	}

	// A FIFO, twice: the writer serves one reader after the other.
	big := string(randomBytes(5*chunkSize + 3))
	for _, backend := range []string{"auto", "blocking"} {
		t.Setenv("RINGFILE_BACKEND", backend)
		written := make(chan error, 1)
		must(unix.Mkfifo("second", 0o644))
		go func() {
			err := os.WriteFile("tree/pipe", []byte(big), 0)
			if err == nil {
				err = os.WriteFile("second", []byte("second"), 0)
			}
			written <- err
		}()
		got = runHere(t, "", "sum", "-q", "-j", "1", "tree/pipe", "second")
		must(<-written)
		must(os.Remove("second"))
		if want := line(big, "tree/pipe") + line("second", "second"); got.stdout != want {
			t.Errorf("%s: got %q, want %q, stderr %q", backend, got.stdout, want, got.stderr)
		}
	}
}

// TestSumProc reads files that say they are empty, or have a page of one line.
func TestSumProc(t *testing.T) {
	for _, name := range []string{"/proc/version", "/proc/kallsyms", "/proc/filesystems", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/sys/kernel/osrelease"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		for _, flags := range []string{"-q", "--direct", "--uncached"} {
			got := runHere(t, "", "sum", flags, name)
			if want := string(lineForm{}.append(nil, sha256.Sum256(data), name)); got.stdout != want || got.status != 0 {
				t.Errorf("%s %s: got %q, %d, want %q; stderr %q", flags, name, got.stdout, got.status, want, got.stderr)
			}
		}
	}
}

// TestSumDirect proves that --direct is direct where the file system can do it.
func TestSumDirect(t *testing.T) {
	dir := makeTree(t)
	f, err := os.OpenFile(filepath.Join(dir, "sub.txt"), os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Skipf("the file system of %s refuses O_DIRECT (%v); any of ext4, XFS and btrfs does", dir, err)
	}
	f.Close()
	got := runHere(t, "", "sum", "-v", "--direct", dir, "/proc/version", "/proc/filesystems")
	files := strings.Count(got.stdout, "\n")
	if want := fmt.Sprintf("; O_DIRECT for %d files)", files-2); !strings.Contains(got.stderr, want) {
		t.Errorf("stderr: got %q, want %q", got.stderr, want)
	}
	if n := strings.Count(got.stderr, "no O_DIRECT on this file system"); n != 1 {
		t.Errorf("notes about /proc: got %d, want 1: %q", n, got.stderr)
	}
	if ringfile.Available() == nil && !strings.Contains(got.stderr, "(routes: io_uring ") {
		t.Logf("the route was: %s", got.stderr) // a file system without NOWAIT
	}
}

// TestSumUnreadable runs as nobody, as root may read everything.
func TestSumUnreadable(t *testing.T) {
	dir, err := os.MkdirTemp("", "ringfile-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{".", "tree", "tree/closed"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(dir, 0o755)
	for _, f := range []string{"tree/a", "tree/closed/x", "tree/secret", "tree/z"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(filepath.Join(dir, "tree/secret"), 0)
	os.Chmod(filepath.Join(dir, "tree/closed"), 0)
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "tree/closed"), 0o755) })

	cmd := child(t, "", "sum", "-q", "tree")
	cmd.Dir = dir
	asNobody(t, cmd)
	got := runChild(t, cmd)
	want := string(lineForm{}.append(nil, sha256.Sum256([]byte("tree/a")), "tree/a")) +
		string(lineForm{}.append(nil, sha256.Sum256([]byte("tree/z")), "tree/z"))
	if got.stdout != want {
		t.Errorf("stdout: got %q, want %q", got.stdout, want)
	}
	if want := "ringfile sum: tree/closed: Permission denied\nringfile sum: tree/secret: Permission denied\n"; got.stderr != want {
		t.Errorf("stderr: got %q, want %q", got.stderr, want)
	}
	if got.status != exitFailed {
		t.Errorf("status: got %d, want 1", got.status)
	}
}

// asNobody has cmd, which is this program, run as nobody in its directory, unless this is no root
// anyway.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	// nobody must reach the program.
	cmd.Path = filepath.Join(cmd.Dir, "program")
	if out, err := exec.Command("cp", cmd.Args[0], cmd.Path).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	os.Chmod(cmd.Path, 0o755)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// TestSumRoutes runs the program with io_uring, without it by choice, and where it is refused.
func TestSumRoutes(t *testing.T) {
	dir := makeTree(t)
	lines := want(t, dir)
	for _, c := range []struct{ name, how, backend, route string }{
		{"auto", "", "auto", ""},
		{"blocking", "", "blocking", "(routes: system calls "},
		{"seccomp EPERM", "setup EPERM", "auto", "(routes: system calls "},
		{"seccomp ENOSYS", "setup ENOSYS", "auto", "(routes: system calls "},
		{"seccomp on enter", "enter EPERM", "auto", "(routes: system calls "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := child(t, c.how, "sum", "-v", dir)
			cmd.Env = append(cmd.Env, "RINGFILE_BACKEND="+c.backend)
			got := runChild(t, cmd)
			sameLines(t, got.stdout, lines)
			if got.status != 0 || !summaryLine.MatchString(got.stderr) || !strings.Contains(got.stderr, c.route) ||
				c.route != "" && !strings.HasSuffix(got.stderr, ", without io_uring)\n") {
				t.Errorf("status %d, stderr %q, want %q", got.status, got.stderr, c.route)
			}
		})
	}
	t.Run("uring where it is refused", func(t *testing.T) {
		cmd := child(t, "setup EPERM", "sum", dir)
		cmd.Env = append(cmd.Env, "RINGFILE_BACKEND=uring")
		got := runChild(t, cmd)
		if got.status != exitFailed || got.stdout != "" || !strings.Contains(got.stderr, "io_uring_setup: operation not permitted") {
			t.Errorf("got %+v", got)
		}
	})
}

// TestSumFullDevice is the real write error.
func TestSumFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full; Linux has it unless a container hides it")
	}
	defer full.Close()
	cmd := child(t, "", "sum", "-q", "/dev/null")
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = full, &stderr
	cmd.Run()
	if got, want := stderr.String(), "ringfile sum: write error: No space left on device\n"; got != want || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("got %q, %d, want %q, 1", got, cmd.ProcessState.ExitCode(), want)
	}
}

// TestSumSignal interrupts a program that waits: for a FIFO that nobody opens, or for data in one.
func TestSumSignal(t *testing.T) {
	for _, c := range []struct {
		open   bool
		signal os.Signal
	}{{false, os.Interrupt}, {true, os.Interrupt}, {true, syscall.SIGTERM}, {false, syscall.SIGHUP}} {
		t.Run(fmt.Sprintf("open=%v %v", c.open, c.signal), func(t *testing.T) {
			if signal.Ignored(c.signal) {
				t.Skip("nohup, or its like, has the tests ignore the signal, and so their children")
			}
			dir := t.TempDir()
			file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
			if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkfifo(fifo, 0o644); err != nil {
				t.Fatal(err)
			}
			if c.open {
				w, err := os.OpenFile(fifo, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
			}
			cmd := child(t, "", "sum", "-v", file, fifo, file)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stdout.Read(make([]byte, 200)) // the first line is there: the program works
			start := time.Now()
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if got, want := cmd.ProcessState.ExitCode(), (signalError{c.signal}).status(); got != want {
				t.Errorf("status: got %d, want %d", got, want)
			}
			if took := time.Since(start); took > 20*patience {
				t.Errorf("it took %v", took)
			}
			if !strings.HasPrefix(stderr.String(), "ringfile sum: interrupted: 1 file, ") {
				t.Errorf("stderr: got %q", stderr.String())
			}
		})
	}
}
