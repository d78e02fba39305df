// Package testenv is what Go's tests of os use of internal/testenv.
package testenv

import (
	"context"
	"errors"
	"os"
	stdexec "os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/osconform/exec"
)

// Builder returns the name of the machine of the Go project that runs the tests: none.
func Builder() string { return "" }

// MustHaveExec skips t where programs cannot be started, which is nowhere.
func MustHaveExec(testing.TB) {}

// MustHaveGoBuild skips t where there is no go command.
func MustHaveGoBuild(t testing.TB) { GoToolPath(t) }

// MustHaveSymlink skips t where there are no symbolic links, which is nowhere.
func MustHaveSymlink(testing.TB) {}

// MustHaveLink skips t where there are no hard links, which is nowhere.
func MustHaveLink(testing.TB) {}

// HasSymlink reports whether there are symbolic links.
func HasSymlink() bool { return true }

// HasLink reports whether there are hard links.
func HasLink() bool { return true }

// GoToolPath returns the name of the go command; t is skipped if there is none.
func GoToolPath(t testing.TB) string {
	t.Helper()
	name, err := stdexec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	return name
}

// Executable returns the name of the running program.
func Executable(t testing.TB) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Command is exec.Command for a program that t waits for.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	return CommandContext(t, context.Background(), name, args...)
}

// CommandContext is exec.CommandContext for a program that t waits for. The program is asked for a
// stack trace when it is late.
func CommandContext(t testing.TB, ctx context.Context, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 10 * time.Second
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			t.Errorf("%v was started, but nobody waited for it", cmd)
		}
	})
	return cmd
}

// CleanCmdEnv gives cmd the environment without what changes the output of Go programs.
func CleanCmdEnv(cmd *exec.Cmd) *exec.Cmd {
	for _, env := range cmd.Environ() {
		if !strings.HasPrefix(env, "GODEBUG=") && !strings.HasPrefix(env, "GOTRACEBACK=") {
			cmd.Env = append(cmd.Env, env)
		}
	}
	return cmd
}

// SkipFlaky skips t, which fails now and then for a reason that is known to the Go project.
func SkipFlaky(t testing.TB, issue int) {
	t.Helper()
	t.Skipf("known to be flaky: golang.org/issue/%d", issue)
}

// SyscallIsNotSupported reports whether err may come from a system call that the system or its
// policy refuses.
func SyscallIsNotSupported(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, errors.ErrUnsupported) ||
		errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EINVAL)
}
