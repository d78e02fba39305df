package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childVariable makes the test binary be the program: main runs with the arguments given, after
// what the variable asks for (see prepareChild).
const childVariable = "RINGFILE_TEST_CHILD"

func TestMain(m *testing.M) {
	if how, ok := os.LookupEnv(childVariable); ok {
		if err := prepareChild(how); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(99)
		}
		main()
	}
	os.Unsetenv("RINGFILE_BACKEND") // the tests set it where it matters
	os.Exit(m.Run())
}

// child returns a command that is this program, prepared in the way named.
func child(t *testing.T, how string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+how)
	return cmd
}

// result is what a run of the program leaves.
type result struct {
	stdout, stderr string
	status         int
}

// runChild runs cmd to its end.
func runChild(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// runHere runs the program in this process.
func runHere(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{stdout.String(), stderr.String(), status}
}

// TestInterruptible has a command that hangs, and one that ends a moment after the interrupt.
func TestInterruptible(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan int)
	defer close(hang)
	time.AfterFunc(10*time.Millisecond, cancel)
	if got := interruptible(ctx, func() int { return <-hang }); got != exitInterrupted {
		t.Errorf("hanging: got %d, want %d", got, exitInterrupted)
	}
	if got := interruptible(ctx, func() int { time.Sleep(time.Millisecond); return 7 }); got != 7 {
		t.Errorf("ending: got %d, want 7", got)
	}
}

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		status int
		stdout string // contained
		stderr string // contained; empty if nothing is to be there
	}{
		{"nothing", nil, 2, "", "Usage: ringfile <command>"},
		{"help", []string{"help"}, 0, "Usage: ringfile <command>", ""},
		{"help flag", []string{"--help"}, 0, "Usage: ringfile <command>", ""},
		{"help sum", []string{"help", "sum"}, 0, "Usage: ringfile sum", ""},
		{"help probe", []string{"help", "probe"}, 0, "Usage: ringfile probe", ""},
		{"help cp", []string{"help", "cp"}, 0, "Usage: ringfile cp", ""},
		{"help unknown", []string{"help", "nonsense"}, 2, "", "unknown command nonsense"},
		{"unknown", []string{"nonsense\n"}, 2, "", `unknown command 'nonsense'$'\n';`},
		{"version", []string{"version"}, 0, "ringfile ", ""},
		{"version flag", []string{"--version"}, 0, "ringfile ", ""},
		{"bench --help", []string{"bench", "--help"}, 0, "Usage: ringfile bench", ""},
		{"sum -h", []string{"sum", "-h"}, 0, "Usage: ringfile sum", ""},
		{"sum unknown flag", []string{"sum", "--nonsense"}, 2, "", "not defined"},
		{"sum -j 0", []string{"sum", "-j", "0"}, 2, "", "-j 0: must be at least 1"},
		{"sum -j0", []string{"sum", "-j0"}, 2, "", "-j 0: must be at least 1"},
		{"sum -j x", []string{"sum", "-j", "x"}, 2, "", "invalid value"},
		{"cp nothing", []string{"cp"}, 2, "", "missing file operand"},
		{"cp one", []string{"cp", "a"}, 2, "", "missing destination file operand after 'a'"},
		{"cp -j 0", []string{"cp", "-j0", "a", "b"}, 2, "", "-j 0: must be at least 1"},
		{"cp -j x", []string{"cp", "-rj", "x", "a", "b"}, 2, "", "-j x: invalid value"},
		{"cp -j", []string{"cp", "a", "b", "-j"}, 2, "", "-j needs a value"},
		{"cp -t one", []string{"cp", "-t", "a"}, 2, "", "missing file operand"},
		{"cp -t empty", []string{"cp", "--target-directory=", "a"}, 2, "", "empty directory name"},
		{"cp -T three", []string{"cp", "-T", "a", "b", "c"}, 2, "", "extra operand 'c'"},
		{"cp -t -T", []string{"cp", "-Ta", "b", "-tc"}, 2, "", "or cp -a"},
		{"cp -T -t", []string{"cp", "-T", "b", "-tc"}, 2, "", "mutually exclusive"},
		{"cp -a", []string{"cp", "a", "b", "-a"}, 2, "", "use -p, which keeps owners, permissions and times, or cp -a"},
		{"cp -L", []string{"cp", "-rL", "a", "b"}, 2, "", "-L follows symbolic links, but ringfile cp copies them as links; use cp -L"},
		{"cp -n", []string{"cp", "-n", "a", "b"}, 2, "", "-n: ringfile cp does not have this flag of cp; use cp for it"},
		{"cp --update", []string{"cp", "--update=older", "a", "b"}, 2, "", "--update"},
		{"cp --preserve=all", []string{"cp", "--preserve=all", "a", "b"}, 2, "", "hard links and extended attributes are not kept"},
		{"cp --reflink", []string{"cp", "--reflink", "a", "b"}, 2, "", "use cp for other values"},
		{"cp value", []string{"cp", "--force=yes", "a", "b"}, 2, "", "--force takes no value"},
		{"cp -h behind", []string{"cp", "a", "-h"}, 0, "Usage: ringfile cp", ""},
		{"cp unknown flag", []string{"cp", "--nonsense", "a", "b"}, 2, "", "unknown flag --nonsense"},
		{"probe -h", []string{"probe", "-h"}, 0, "Usage: ringfile probe", ""},
		{"probe unknown flag", []string{"probe", "--nonsense"}, 2, "", "flag provided"},
		{"probe two paths", []string{"probe", "a", "b"}, 2, "", "2 paths given"},
		{"help switch", []string{"help", "switch"}, 0, "Usage: ringfile switch", ""},
		{"switch unknown flag", []string{"switch", "--nonsense"}, 2, "", "not defined"},
		{"probe missing path", []string{"probe", "/does/not/exist"}, 2, "", "/does/not/exist: No such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runHere(t, "", c.args...)
			if got.status != c.status {
				t.Errorf("status: got %d, want %d", got.status, c.status)
			}
			if !strings.Contains(got.stdout, c.stdout) || c.stdout == "" && got.stdout != "" {
				t.Errorf("stdout: got %q, want %q in it", got.stdout, c.stdout)
			}
			if !strings.Contains(got.stderr, c.stderr) || c.stderr == "" && got.stderr != "" {
				t.Errorf("stderr: got %q, want %q in it", got.stderr, c.stderr)
			}
		})
	}
}
