package fsys_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestDirFS(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		dir := t.TempDir()
		for _, name := range []string{"a", "sub/b", "sub/deep/c"} {
			if err := s.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Symlink("b", filepath.Join(dir, "sub", "link")); err != nil {
			t.Fatal(err)
		}
		for _, root := range []string{dir, dir + "/"} {
			if err := fstest.TestFS(s.DirFS(root), "a", "sub/b", "sub/deep/c", "sub/link"); err != nil {
				t.Error(err)
			}
		}
		sub, err := fs.Sub(s.DirFS(dir), "sub")
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(sub, "b", "deep/c"); err != nil {
			t.Error(err)
		}
		_, err = fs.Stat(sub, "none")
		_, want := fs.Stat(os.DirFS(filepath.Join(dir, "sub")), "none")
		if fmt.Sprint(err) != fmt.Sprint(want) {
			t.Errorf("Stat: %v, want %v", err, want)
		}
		for _, bad := range []string{"../a", "/a", ""} {
			if _, err := fs.Sub(s.DirFS(dir), bad); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("Sub(%q): %v", bad, err)
			}
		}
		if _, err := s.DirFS("").Open("a"); err == nil {
			t.Error("DirFS of an empty name opens files")
		}
	})
}
