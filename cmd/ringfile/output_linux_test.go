package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell returns a command that runs the program, as "$@", with the shell's redirections.
func shell(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := child(t, "")
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh to redirect files with")
	}
	cmd.Args = append([]string{"sh", "-c", script, "sh", cmd.Path}, args...)
	cmd.Path = sh
	return cmd
}

// TestOutputLost has no place for the output: that is an error of each command.
func TestOutputLost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, to := range []struct{ redirection, want string }{
		{"1<" + file, "write error: Bad file descriptor\n"},
		{">/dev/full", "write error: No space left on device\n"},
	} {
		for _, args := range []string{"sum " + file, "sum -h", "version", "help", "probe --json", "probe -h", "bench -h", "cp -h"} {
			got := runChild(t, shell(t, `exec "$@" `+to.redirection, strings.Fields(args)...))
			if got.status != exitFailed || !strings.HasSuffix(got.stderr, to.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%s %s: status %d, stderr %q, want 1, %q", args, to.redirection, got.status, got.stderr, to.want)
			}
		}
		// Nothing is lost where nothing is printed.
		got := runChild(t, shell(t, `exec "$@" `+to.redirection, "sum", "-q", t.TempDir()))
		if got != (result{}) {
			t.Errorf("nothing to print, %s: got %+v", to.redirection, got)
		}
	}
}

// TestOutputClosed has a stdout that is closed. The Go runtime opens /dev/null in its place before
// the program begins, for reading and writing, and what is given /dev/null by Python or Node looks
// the same. So this cannot be told from output that nobody wants: both have to end well.
func TestOutputClosed(t *testing.T) {
	for _, redirection := range []string{">&-", "1<>/dev/null", ">/dev/null"} {
		if got := runChild(t, shell(t, `exec "$@" `+redirection, "version")); got != (result{}) {
			t.Errorf("%s: got %+v", redirection, got)
		}
	}
}

// TestOutputBroken has a pipe that nobody reads: a signal ends the program, as it does sha256sum.
func TestOutputBroken(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	cmd := child(t, "", "sum", os.DevNull)
	cmd.Stdout = w
	cmd.Run()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGPIPE {
		t.Errorf("got %v, want SIGPIPE", cmd.ProcessState)
	}
}

// TestIgnoredSignals starts the program with signals ignored, as nohup and shells do.
func TestIgnoredSignals(t *testing.T) {
	cmd := shell(t, `trap "" HUP INT; exec "$@"`, "sum", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The pipe holds less than this, so the program has begun to read when all is written.
	if _, err := in.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []os.Signal{syscall.SIGHUP, os.Interrupt} {
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond) // for the signals to do what they must not
	in.Close()
	line := make([]byte, 100)
	n, _ := out.Read(line)
	if err := cmd.Wait(); err != nil || !strings.HasSuffix(string(line[:n]), "  -\n") {
		t.Errorf("got %q, %v", line[:n], err)
	}
}
