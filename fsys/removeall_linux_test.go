package fsys_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRemoveAllButOne removes a large directory a few of whose entries cannot be: those stay, with what leads
// to them, and the rest goes.
func TestRemoveAllButOne(t *testing.T) {
	const files = 3000
	left := func(t *testing.T, removeAll func(string) error) string {
		dir := t.TempDir()
		large := filepath.Join(dir, "large")
		for _, name := range []string{"one", "two/deep", "three"} {
			stays(t, filepath.Join(large, name))
		}
		for i := range files {
			if err := os.WriteFile(filepath.Join(large, fmt.Sprint(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if removeAll(large) == nil {
			t.Fatal("everything can be removed")
		}
		return tree(t, dir)
	}
	want := left(t, os.RemoveAll)
	onEach(t, func(t *testing.T, s bound) {
		if got := left(t, s.RemoveAll); got != want {
			t.Errorf("left is %.1000s\nwant %.1000s", got, want)
		}
	})
}

// stays makes a directory that cannot be removed.
func stays(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if err := os.WriteFile(filepath.Join(dir, "in"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o755) })
		return
	}
	if err := unix.Mount("test", dir, "tmpfs", 0, ""); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}
