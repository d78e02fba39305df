package clients_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
)

// dup returns an *os.File of the same description as f, for what the standard library does only for those:
// os/exec gives a child any other io.Reader or io.Writer through a pipe.
func dup(t *testing.T, f *ringfile.File) *os.File {
	t.Helper()
	d, ok := any(f).(interface{ Dup() (*os.File, error) })
	if !ok {
		t.Skip("ringfile.File has no method Dup() (*os.File, error), which this needs")
	}
	o, err := d.Dup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// shell skips the test where there is none.
func shell(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	return exec.Command("sh", "-c", script)
}

// logFile returns a new file for the output of a command, as each library has it for os/exec.
func logFile(t *testing.T, library string) (out *os.File, read func() string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "log")
	read = func() string {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		return string(p)
	}
	if library == "os" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f, read
	}
	f, err := ringfile.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return dup(t, f), read
}

func bothLibraries(t *testing.T, test func(t *testing.T, library string)) {
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) { test(t, l.name) })
	}
}

// TestExecWait: Run does not wait for a process that a command leaves behind with its output.
func TestExecWait(t *testing.T) {
	bothLibraries(t, func(t *testing.T, library string) {
		cmd := shell(t, "echo begun; sleep 2 &")
		out, read := logFile(t, library)
		cmd.Stdout = out
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("Run took %v", d)
		}
		if got := read(); got != "begun\n" {
			t.Errorf("%q is in the file", got)
		}
	})
}

// TestExecStdin: the input of a command is the file itself, and what the command has not read is left for
// whoever reads next.
func TestExecStdin(t *testing.T) {
	name := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(name, []byte("first\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bothLibraries(t, func(t *testing.T, library string) {
		cmd := shell(t, "test -f /dev/stdin && read line && echo file $line")
		var rest io.Reader
		if library == "os" {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.Stdin, rest = f, f
		} else {
			f, err := ringfile.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.Stdin, rest = dup(t, f), f
		}
		if out, err := cmd.Output(); err != nil || string(out) != "file first\n" {
			t.Errorf("the command says %q, %v", out, err)
		}
		if p, err := io.ReadAll(rest); err != nil || string(p) != "second\n" {
			t.Errorf("%q is left, %v: want the second line, as one description has one position", p, err)
		}
	})
}

// TestExecTwoOutputs: two commands append to one file, one after the other.
func TestExecTwoOutputs(t *testing.T) {
	bothLibraries(t, func(t *testing.T, library string) {
		out, read := logFile(t, library)
		for _, word := range []string{"one", "two"} {
			cmd := shell(t, "echo "+word)
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
		}
		if got := read(); got != "one\ntwo\n" {
			t.Errorf("%q is in the file", got)
		}
	})
}
