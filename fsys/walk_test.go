package fsys_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/testutil"
)

// walked puts what a walk shows into words, and lets decide return what the function is to return.
func walked(walk func(string, fs.WalkDirFunc) error, root string, decide func(n int, path string, d fs.DirEntry, err error) error) string {
	var b strings.Builder
	n := 0
	err := walk(root, func(path string, d fs.DirEntry, err error) error {
		n++
		fmt.Fprintf(&b, "%s %v", path, err)
		if d != nil {
			st, err := d.Info()
			fmt.Fprintf(&b, " %s %v %v", fs.FormatDirEntry(d), d.Type(), err)
			if err == nil {
				fmt.Fprintf(&b, " %s", fs.FormatFileInfo(st))
			}
		}
		fmt.Fprintln(&b)
		return decide(n, path, d, err)
	})
	fmt.Fprintln(&b, "returned", err)
	return b.String()
}

func goOn(int, string, fs.DirEntry, error) error { return nil }

// oddTree makes a tree whose names sort in surprising ways, with a directory of many files.
func oddTree(t *testing.T) string {
	dir := hazardTree(t)
	for _, name := range []string{
		"a/x", "a b/x", "a.b/x", "a-/x", "a/b/c/d/e/f", "A/x", "ä/x", "0/1/2", "empty/of/all/",
		"zz/" + strings.Repeat("l", 200) + "/x", "a/\x01/x", "a/x\x01",
	} {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			os.MkdirAll(path, 0o755)
			continue
		}
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		if err := os.WriteFile(filepath.Join(dir, "a b", fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func compareWalks(t *testing.T, s bound, root string, decide func(int, string, fs.DirEntry, error) error) {
	t.Helper()
	want := walked(filepath.WalkDir, root, decide)
	if got := walked(s.WalkDir, root, decide); got != want {
		a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("walk of %s, line %d of %d and %d:\n got %s\nwant %s", root, i, len(a), len(b), a[i], b[i])
				return
			}
		}
		t.Errorf("walk of %s has %d lines, want %d", root, len(a), len(b))
	}
}

func TestWalkBesideFilepath(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		dir := oddTree(t)
		t.Chdir(dir)
		for _, root := range []string{dir, dir + "/", ".", "a", "a/../a", "file", "tofull", "tofull/", "dangling", "missing", "loop"} {
			compareWalks(t, s, root, goOn)
		}
		wrong := errors.New("wrong")
		for what, decide := range map[string]func(int, string, fs.DirEntry, error) error{
			"skip each directory": func(n int, _ string, d fs.DirEntry, _ error) error {
				if n > 1 && d.IsDir() {
					return fs.SkipDir
				}
				return nil
			},
			"skip the root": func(int, string, fs.DirEntry, error) error { return fs.SkipDir },
			"skip after files": func(_ int, _ string, d fs.DirEntry, _ error) error {
				return map[bool]error{false: fs.SkipDir}[d.IsDir()]
			},
			"skip some": func(n int, _ string, _ fs.DirEntry, _ error) error {
				if n%7 == 0 {
					return fs.SkipDir
				}
				return nil
			},
			"skip all": func(n int, _ string, _ fs.DirEntry, _ error) error {
				if n == 20 {
					return fs.SkipAll
				}
				return nil
			},
			"fail": func(n int, _ string, _ fs.DirEntry, _ error) error {
				if n == 30 {
					return wrong
				}
				return nil
			},
			"pass errors on": func(_ int, _ string, _ fs.DirEntry, err error) error { return err },
		} {
			t.Run(what, func(t *testing.T) { compareWalks(t, s, dir, decide) })
		}
	})
}

// TestWalkSource walks a large tree, several times at once.
func TestWalkSource(t *testing.T) {
	src := testutil.GoSource(t)
	if testing.Short() {
		src = filepath.Join(src, "internal")
	}
	onEach(t, func(t *testing.T, s bound) {
		want := walked(filepath.WalkDir, src, goOn)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if got := walked(s.WalkDir, src, goOn); got != want {
					t.Error("a walk differs from filepath.WalkDir's")
				}
			})
		}
		wg.Wait()
	})
}

// TestWalkPanic has the function of a walk panic: nothing may go on behind it.
func TestWalkPanic(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		dir := oddTree(t)
		defer func() {
			if r := recover(); r != "stop" {
				t.Errorf("recovered %v", r)
			}
		}()
		s.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if strings.HasSuffix(path, "a") {
				panic("stop")
			}
			return nil
		})
	})
}

// TestWalkContextEnded has the context end before the walk begins: the cause is returned, not given
// to a function that may pass over it as the error of one file.
func TestWalkContextEnded(t *testing.T) {
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		cancel(why)
		err := bound{fsys.On(e), ctx}.WalkDir(t.TempDir(), func(string, fs.DirEntry, error) error {
			t.Error("called after the end of the context")
			return nil
		})
		if !errors.Is(err, why) {
			t.Errorf("WalkDir = %v, want %v", err, why)
		}
	})
}

// TestStormWalk walks a tree that others change all the time. What is not changed must be seen.
func TestStormWalk(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		dir := t.TempDir()
		for i := range 20 {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i), "stays"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		storm(t, 6, func(rng *rand.Rand, w int) {
			sub := filepath.Join(dir, fmt.Sprint(rng.IntN(20)))
			if w < 3 {
				for i := range 30 {
					os.MkdirAll(filepath.Join(sub, fmt.Sprint("d", w), fmt.Sprint(i)), 0o755)
				}
				if err := os.RemoveAll(filepath.Join(sub, fmt.Sprint("d", w))); err != nil {
					t.Error(err)
				}
				return
			}
			if w == 3 {
				cutWalk(t, s, dir, rng)
				return
			}
			var seen []string
			err := s.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				if d == nil {
					return nil
				}
				if _, err := d.Info(); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				if d.Name() == "stays" {
					seen = append(seen, path)
				}
				return nil
			})
			if err != nil || len(seen) != 20 || !slices.IsSorted(seen) {
				t.Errorf("walk: %d of 20, %v", len(seen), err)
			}
		})
	})
}

// cutWalk walks until a context ends, at any moment.
func cutWalk(t *testing.T, s bound, dir string, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(3000))*time.Microsecond)
	defer cancel()
	err := bound{s.on, ctx}.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error {
		if errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("walk: %v", err)
	}
}

// TestStormFileSystem has contexts end at every moment of the calls. What a call reports as done is
// done, and nothing is left behind: descriptors (TestMain), requests (routes).
func TestStormFileSystem(t *testing.T) {
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		storm(t, 24, func(rng *rand.Rand, w int) {
			own := filepath.Join(dir, fmt.Sprintf("%d-%d", w, rng.Uint64()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(400))*time.Microsecond)
			defer cancel()
			s := bound{fsys.On(e), ctx}
			err := s.Mkdir(own, 0o700)
			if _, osErr := os.Stat(own); err == nil && osErr != nil {
				t.Errorf("Mkdir succeeded, but: %v", osErr)
			}
			for i := 0; err == nil; i++ {
				err = anyCall(s, rng, own, i)
			}
			if !expected(err) {
				t.Errorf("%v", err)
			}
		})
	})
}

// anyCall makes one of the calls, in a directory, with the i-th name.
func anyCall(s bound, rng *rand.Rand, dir string, i int) error {
	name := filepath.Join(dir, fmt.Sprint(i))
	switch rng.IntN(8) {
	case 0:
		st, err := s.Stat(dir)
		if err == nil && !st.IsDir() {
			err = errors.New("no directory")
		}
		return err
	case 1:
		f, err := s.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err == nil {
			f.Close()
		}
		return err
	case 2:
		return s.Symlink(dir, name)
	case 3:
		if err := s.Mkdir(name, 0o700); err != nil {
			return err
		}
		return s.Rename(name, name+"-renamed")
	case 4:
		if err := s.Mkdir(name, 0o700); err != nil {
			return err
		}
		return s.Remove(name)
	case 5:
		_, err := s.ReadDir(dir)
		return err
	case 6:
		if err := s.MkdirAll(filepath.Join(name, "b", "c"), 0o700); err != nil {
			return err
		}
		return s.RemoveAll(name)
	default:
		_, err := s.Lstat(filepath.Join(dir, "none"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
}

// TestWalkSameFile has os.SameFile look at what Info returns.
func TestWalkSameFile(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		n := 0
		err := s.WalkDir(hazardTree(t), func(path string, d fs.DirEntry, _ error) error {
			got, err := d.Info()
			if err != nil {
				return err
			}
			want, err := os.Lstat(path)
			if !os.SameFile(got, want) {
				t.Errorf("%s: not the same file", path)
			}
			n++
			return err
		})
		if err != nil || n < 10 {
			t.Errorf("%d files, %v", n, err)
		}
	})
}
