package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
)

// TestMain looks for descriptors that are left open.
func TestMain(m *testing.M) { enginetest.Main(m) }

// eachBackend runs test on an engine of each backend that there is.
func eachBackend(t *testing.T, test func(t *testing.T, e *ringfile.Engine)) {
	enginetest.Backends(t, ringfile.Config{}, test)
}

// check checks the content and the mode of a file, and that its directory has n names, none of them temporary.
func check(t *testing.T, name, content string, mode fs.FileMode, n int) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil || string(data) != content {
		t.Errorf("%s has %q, %v, want %q", filepath.Base(name), data, err, content)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != mode {
		t.Errorf("%s has the mode %v, want %v", filepath.Base(name), info.Mode(), mode)
	}
	alone(t, filepath.Dir(name), n)
}

// alone waits until a directory has n names, as temporary files are removed in the background.
func alone(t *testing.T, dir string, n int) {
	t.Helper()
	var names []fs.DirEntry
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		names, _ = os.ReadDir(dir)
		if len(names) == n {
			return
		}
	}
	t.Errorf("%v are there, want %d names", names, n)
}

func TestReplaceFile(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		for what, ctx := range map[string]context.Context{"plain": context.Background(), "with a context": t.Context()} {
			t.Run(what, func(t *testing.T) {
				name := filepath.Join(t.TempDir(), "file")
				if err := On(e).ReplaceFile(ctx, name, []byte("first"), 0o604); err != nil {
					t.Fatal(err)
				}
				check(t, name, "first", 0o604, 1)
				if err := os.Chmod(name, 0o640); err != nil {
					t.Fatal(err)
				}
				if err := On(e).ReplaceFile(ctx, name, []byte("second"), 0o600); err != nil {
					t.Fatal(err)
				}
				check(t, name, "second", 0o640, 1)
				if err := On(e).ReplaceFile(ctx, name, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				check(t, name, "", 0o640, 1)
				large := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
				if err := On(e).ReplaceFile(ctx, name, large, 0o600); err != nil {
					t.Fatal(err)
				}
				check(t, name, string(large), 0o640, 1)
			})
		}
	})
}

func TestReplacement(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := On(e).Create(t.Context(), name, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(r, "new, ")
		check(t, name, "old", 0o600, 2)
		fmt.Fprint(r, "whole")
		if err := r.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Abandon()
		check(t, name, "new, whole", 0o600, 1)
		if _, err := r.Write([]byte("late")); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Write after Commit: %v", err)
		}
		if err := r.Commit(t.Context()); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Commit after Commit: %v", err)
		}
		if r, err = On(e).Create(t.Context(), name, 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(r, "never")
		r.Abandon()
		check(t, name, "new, whole", 0o600, 1)
	})
}

// TestReplaceLink replaces what symbolic links lead to, and names of a file of several.
func TestReplaceLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		dir, links := t.TempDir(), t.TempDir()
		name := filepath.Join(dir, "file")
		for link, to := range map[string]string{"absolute": name, "relative": "../" + filepath.Base(dir) + "/file", "twice": "absolute"} {
			if filepath.Dir(filepath.Dir(dir)) != filepath.Dir(filepath.Dir(links)) && link == "relative" {
				continue
			}
			if err := os.Symlink(to, filepath.Join(links, link)); err != nil {
				t.Fatal(err)
			}
			if link == "relative" {
				rel, err := filepath.Rel(links, name)
				if err != nil {
					t.Fatal(err)
				}
				os.Remove(filepath.Join(links, link))
				os.Symlink(rel, filepath.Join(links, link))
			}
		}
		entries, _ := os.ReadDir(links)
		for i, link := range entries {
			at := filepath.Join(links, link.Name())
			if link.Name() == "twice" && i < len(entries)-1 {
				t.Fatal("the order of names has changed")
			}
			want := fmt.Sprint("by ", link.Name())
			if err := On(e).ReplaceFile(t.Context(), at, []byte(want), 0o600); err != nil {
				t.Errorf("%s: %v", link.Name(), err)
			}
			check(t, name, want, 0o600, 1)
			if info, err := os.Lstat(at); err != nil || info.Mode().Type() != fs.ModeSymlink {
				t.Errorf("%s is no link any more: %v, %v", link.Name(), info, err)
			}
			alone(t, links, len(entries))
		}
		other := filepath.Join(dir, "other")
		if err := os.Link(name, other); err != nil {
			t.Skip(err)
		}
		if err := On(e).ReplaceFile(t.Context(), name, []byte("apart"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, name, "apart", 0o600, 2)
		check(t, other, "by twice", 0o600, 2)
	})
}

// TestReplaceNames has names that mean something else once they are made simpler: what precedes ".." is a link.
func TestReplaceNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		top := t.TempDir()
		far := filepath.Join(top, "far", "away")
		if err := os.MkdirAll(far, 0o700); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(top, "link")
		if err := os.Symlink(far, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../by-link", filepath.Join(far, "conf")); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			link + "/conf":       "by-link",
			link + "/../by-name": "by-name",
			link + "/file":       "away/file",
		} {
			if err := On(e).ReplaceFile(t.Context(), name, []byte(name), 0o600); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(filepath.Join(top, "far", want)); string(got) != name || err != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		alone(t, top, 2)
		alone(t, filepath.Join(top, "far"), 3)
		alone(t, far, 2)
		// Names without a directory, in this one.
		t.Chdir(far)
		if err := On(e).ReplaceFile(t.Context(), "file", []byte("here"), 0o600); err != nil {
			t.Error(err)
		}
		if got, _ := os.ReadFile(filepath.Join(far, "file")); string(got) != "here" {
			t.Errorf("%q", got)
		}
		alone(t, far, 2)
	})
}

// TestReplacementUnwritten ignores that a Write has failed: Commit does not.
func TestReplacementUnwritten(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		name := filepath.Join(t.TempDir(), "file")
		r, err := On(e).Create(t.Context(), name, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		r.File().SetDeadline(time.Unix(1, 0)) // any error will do
		fmt.Fprint(r, "lost")
		r.File().SetDeadline(time.Time{})
		if err := r.Commit(t.Context()); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Commit: %v", err)
		}
		alone(t, filepath.Dir(name), 0)
	})
}

// TestReplaceRefused names what cannot be replaced: the error says why, has the caller's name, and nothing is
// left behind.
func TestReplaceRefused(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		sub := filepath.Join(dir, "sub")
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		names := map[string]string{
			sub:                                "is a directory",
			filepath.Join(dir, "none", "file"): "no such file or directory",
			"":                                 "no such file or directory",
			filepath.Join(sub, strings.Repeat("n", 250)): "file name too long",
		}
		if runtime.GOOS == "windows" {
			names = map[string]string{sub: "is a directory"}
		} else {
			loop := filepath.Join(dir, "loop")
			if err := os.Symlink("loop", loop); err != nil {
				t.Fatal(err)
			}
			names[loop] = "too many levels of symbolic links"
			names["/dev/null"] = "not a regular file"
		}
		for name, want := range names {
			err := On(e).ReplaceFile(t.Context(), name, []byte("x"), 0o600)
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Op != "replace" || pe.Path != name || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		alone(t, sub, 0)
		alone(t, ".", here(t))
	})
}

// here returns how many names the current directory has, those of temporary files apart.
func here(t *testing.T) (n int) {
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if !strings.Contains(e.Name(), ".tmp-") {
			n++
		}
	}
	return n
}

// TestReplaceGivenUp has contexts end at every moment: the content is the old one or a new one, whole, and
// nothing is left behind.
func TestReplaceGivenUp(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		name := filepath.Join(dir, "file")
		if err := On(e).ReplaceFile(t.Context(), name, []byte("0 0"), 0o600); err != nil {
			t.Fatal(err)
		}
		done := 0
		for i := range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*10)*time.Microsecond)
			err := On(e).ReplaceFile(ctx, name, fmt.Append(nil, i, " ", i), 0o600)
			cancel()
			if err == nil {
				done++
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			data, err1 := os.ReadFile(name)
			var a, b int
			if _, err2 := fmt.Sscan(string(data), &a, &b); err1 != nil || err2 != nil || a != b || err == nil && a != i {
				t.Fatalf("after %d, %v: %q, %v", i, err, data, err1)
			}
		}
		t.Logf("%d of 200 replaced it", done)
		alone(t, dir, 1)
	})
}

// TestReplaceMany has many replace files in one directory: they share the syncs of that.
func TestReplaceMany(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		if err := On(e).ReplaceFile(t.Context(), filepath.Join(dir, "0"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 64 {
			wg.Go(func() {
				name := filepath.Join(dir, fmt.Sprint(g))
				for i := range 5 {
					if err := On(e).ReplaceFile(t.Context(), name, fmt.Append(nil, g, i), 0o600); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for g := range 64 {
			check(t, filepath.Join(dir, fmt.Sprint(g)), fmt.Sprint(g, 4), 0o600, 64)
		}
		s := e.Stats()
		t.Logf("%d syncs, %d shared", s.Syncs, s.SharedSyncs)
		dirs.mu.Lock()
		defer dirs.mu.Unlock()
		if len(dirs.open) != 0 {
			t.Errorf("%d directories are still open", len(dirs.open))
		}
	})
}
