package fsys_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// TestRemoveAll removes trees: other things must stay.
func TestRemoveAll(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		dir := hazardTree(t)
		before := tree(t, dir)
		for _, name := range []string{"missing", "missing/below", "", "file/below"} {
			path := filepath.Join(dir, name)
			if name == "" {
				path = ""
			}
			if got, want := s.RemoveAll(path), os.RemoveAll(path); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("RemoveAll(%q) = %v, want %v", path, got, want)
			}
		}
		if err := s.RemoveAll(dir + "/."); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("RemoveAll of a dot: %v", err)
		}
		if after := tree(t, dir); after != before {
			t.Errorf("tree is\n%s, was\n%s", after, before)
		}
		for i := range 3000 { // more than are read at once
			if err := os.WriteFile(filepath.Join(dir, "full", "sub", fmt.Sprint(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, link := range []string{"../file", "../../dir"} {
			if err := os.Symlink(link, filepath.Join(dir, "full", "sub", filepath.Base(link))); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"full", "tofile", "todir/", "locked"} {
			if err := s.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Errorf("RemoveAll(%q): %v", name, err)
			}
		}
		entries, err := s.ReadDir(dir)
		if got := fmt.Sprint(entries, err); !strings.Contains(got, "file") || len(entries) != 5 {
			t.Errorf("left are %v", got)
		}
		if _, err := os.Stat(filepath.Join(dir, "dir")); err != nil {
			t.Error("a symbolic link was followed:", err)
		}
	})
}

// TestRemoveAllTogether has several remove one tree: to find it gone is no error, and in the end it is.
func TestRemoveAllTogether(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		parent := t.TempDir()
		for round := range 20 {
			dir := filepath.Join(parent, fmt.Sprint(round))
			for i := range 30 {
				if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i), "a", "b"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if err := s.RemoveAll(dir); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the tree is left: %v", err)
			}
		}
	})
}

// TestRemoveAllStops has the context end in the middle: what has not been removed by then stays.
func TestRemoveAllStops(t *testing.T) {
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
		const files = 3000
		for wait := 2 * time.Millisecond; ; wait /= 2 {
			dir := filepath.Join(t.TempDir(), "sub", "dir")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range files {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			err := fsys.On(e).RemoveAll(ctx, filepath.Dir(dir))
			cancel()
			if err == nil {
				continue // a fast machine
			}
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Err != context.DeadlineExceeded || pe.Path != filepath.Dir(dir) {
				t.Errorf("%v", err)
			}
			awaitQuiet(e)
			if left, err := os.ReadDir(dir); len(left) == 0 || err != nil {
				t.Errorf("%d of %d are left, %v", len(left), files, err)
			}
			return
		}
	})
}
