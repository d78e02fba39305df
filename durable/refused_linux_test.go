package durable

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestReplaceUnasked has a sandbox refuse all calls about extended attributes: whether a file has an access control list
// is not known, and nobody gets more than he had. It runs itself in children, as a filter cannot be taken away.
func TestReplaceUnasked(t *testing.T) {
	const env = "RINGFILE_TEST_REFUSED"
	errno := map[string]syscall.Errno{"EPERM": syscall.EPERM, "ENOSYS": syscall.ENOSYS}
	if os.Getenv(env) == "" {
		for name := range errno {
			cmd := exec.Command(os.Args[0], "-test.run=^TestReplaceUnasked$", "-test.v")
			cmd.Env = append(os.Environ(), env+"="+name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			} else if strings.Contains(string(out), "--- SKIP") {
				t.Skipf("%s", out)
			}
		}
		return
	}
	if err := testutil.RefuseIOUring(errno[os.Getenv(env)], unix.SYS_LISTXATTR, unix.SYS_LLISTXATTR, unix.SYS_FLISTXATTR,
		unix.SYS_GETXATTR, unix.SYS_LGETXATTR, unix.SYS_FGETXATTR, unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR,
		unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR); err != nil {
		t.Skip(err)
	}
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		for _, c := range []struct {
			mode fs.FileMode
			done bool
		}{{0o600, true}, {0o640, false}, {0o604, false}} {
			name := filepath.Join(t.TempDir(), "file")
			if err := On(e).ReplaceFile(t.Context(), name, []byte("old"), 0o600); err != nil {
				t.Fatal(err) // a new file has nothing to keep
			}
			if err := os.Chmod(name, c.mode); err != nil {
				t.Fatal(err)
			}
			err := On(e).ReplaceFile(t.Context(), name, []byte("new"), 0o600)
			if c.done {
				if err != nil {
					t.Errorf("%o: %v", c.mode, err)
				}
				check(t, name, "new", c.mode, 1)
				continue
			}
			if !errors.Is(err, errno[os.Getenv(env)]) {
				t.Errorf("%o: %v", c.mode, err)
			}
			check(t, name, "old", c.mode, 1)
		}
	})
}
