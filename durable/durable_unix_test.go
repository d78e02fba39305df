//go:build unix

package durable

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile"
)

// TestReplaceOwner keeps owner, group and mode, set-user-ID bits included.
func TestReplaceOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, 1234, 5678); err != nil {
			t.Skip(err)
		}
		if err := os.Chmod(name, 0o750|fs.ModeSetuid); err != nil {
			t.Fatal(err)
		}
		if err := On(e).ReplaceFile(t.Context(), name, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, name, "new", 0o750|fs.ModeSetuid, 1)
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 5678 {
			t.Errorf("it is %d's and %d's", st.Uid, st.Gid)
		}
	})
}
