package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// sameTree compares two trees: names, types, contents, modes and times of modification.
func sameTree(t *testing.T, got, want string) (files int) {
	t.Helper()
	names := func(dir string) (all []string) {
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(dir, name)
			all = append(all, rel)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	g, w := names(got), names(want)
	if strings.Join(g, "\n") != strings.Join(w, "\n") {
		t.Fatalf("%d names, want %d", len(g), len(w))
	}
	for _, name := range g {
		a, err := os.Lstat(filepath.Join(got, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.Lstat(filepath.Join(want, name))
		if err != nil {
			t.Fatal(err)
		}
		if a.Mode() != b.Mode() || !a.ModTime().Equal(b.ModTime()) {
			t.Errorf("%s: %v %v, want %v %v", name, a.Mode(), a.ModTime(), b.Mode(), b.ModTime())
		}
		switch {
		case b.Mode().IsRegular():
			files++
			x, err := os.ReadFile(filepath.Join(got, name))
			if err != nil {
				t.Fatal(err)
			}
			y, err := os.ReadFile(filepath.Join(want, name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(x, y) {
				t.Errorf("%s differs", name)
			}
		case b.Mode()&fs.ModeSymlink != 0:
			x, _ := os.Readlink(filepath.Join(got, name))
			if y, _ := os.Readlink(filepath.Join(want, name)); x != y {
				t.Errorf("%s leads to %q, want %q", name, x, y)
			}
		}
	}
	return files
}

// makeCopyTree is makeTree with odd modes, old times and links.
func makeCopyTree(t *testing.T) string {
	t.Helper()
	dir := makeTree(t)
	old := time.Unix(1_500_000_000, 123_456_789)
	os.Symlink("sub/a", filepath.Join(dir, "link"))
	os.Symlink("nowhere", filepath.Join(dir, "dangling"))
	os.Symlink("..", filepath.Join(dir, "loop"))
	for name, mode := range map[string]os.FileMode{"sub.txt": 0o444, "many/1": 0o777, "sub/inner": 0o750, "sub/inner/file": 0o600} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	// A directory that its owner cannot write.
	if err := os.Chmod(filepath.Join(dir, "many"), 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "many"), 0o755) })
	return dir
}

func TestCpTree(t *testing.T) {
	src := makeCopyTree(t)
	for _, backend := range []string{"auto", "blocking"} {
		for _, flags := range [][]string{{}, {"-r", "-j", "1"}, {"-j3"}, {"--direct"}, {"--uncached"}} {
			t.Run(backend+" "+strings.Join(flags, " "), func(t *testing.T) {
				if runtime.GOOS != "linux" {
					t.Skip("modes, links and O_DIRECT as on Linux")
				}
				t.Setenv("RINGFILE_BACKEND", backend)
				dst := filepath.Join(t.TempDir(), "copy")
				t.Cleanup(func() { os.Chmod(filepath.Join(dst, "many"), 0o755) })
				args := append(append([]string{"cp"}, flags...), src, dst)
				got := runHere(t, "", args...)
				files := sameTree(t, dst, src)
				if got.status != 0 || got.stdout != "" || !strings.HasPrefix(got.stderr, fmt.Sprintf("ringfile cp: %d files, ", files)) {
					t.Errorf("%d files: got %+v", files, got)
				}
				// Once more: everything is overwritten, or replaced where it may not be.
				os.Chmod(filepath.Join(dst, "many"), 0o755)
				os.WriteFile(filepath.Join(dst, "sub", "a"), bytes.Repeat([]byte("x"), 100_000), 0o644)
				if got := runHere(t, "", append(append([]string{"cp", "-qf"}, flags...), src+"/.", dst)...); got != (result{}) {
					t.Errorf("second copy: %+v", got)
				}
				sameTree(t, dst, src)
			})
		}
	}
}

// TestCpTargets has the ways of naming sources and a target, each in a directory with
// a (a file), b (a file), d/x (a directory), t (an empty directory).
func TestCpTargets(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   string
		status int
		stderr string   // without the program's name
		want   []string // name=contents
	}{
		{"to a new name", "a new", 0, "", []string{"new=a"}},
		{"onto a file", "a b", 0, "", []string{"a=a", "b=a"}},
		{"into a directory", "a b t", 0, "", []string{"t/a=a", "t/b=b"}},
		{"tree to a new name", "d new", 0, "", []string{"new/x=x"}},
		{"tree into a directory", "d t", 0, "", []string{"t/d/x=x"}},
		{"tree into a directory, slash", "d/ t/", 0, "", []string{"t/d/x=x"}},
		{"contents of a tree", "d/. t", 0, "", []string{"t/x=x"}},
		{"several to no directory", "a b new", 1, "target 'new': No such file or directory", nil},
		{"several to a file", "a d b", 1, "target 'b': Not a directory", []string{"b=b"}},
		{"missing", "missing a t", 1, "cannot stat 'missing': No such file or directory", []string{"t/a=a"}},
		{"onto itself", "a a", 1, "'a' and 'a' are the same file", []string{"a=a"}},
		{"onto itself, in its directory", "a b .", 1, "'a' and './a' are the same file\nringfile cp: 'b' and './b' are the same file", []string{"a=a", "b=b"}},
		{"tree onto a file", "d a", 1, "cannot overwrite non-directory 'a' with directory 'd'", []string{"a=a"}},
		{"tree into itself", "d d", 1, "cannot copy a directory, 'd', into itself, 'd/d'", []string{"d/x=x"}},
		{"tree into itself, deep", "d d/new/deeper", 1, "cannot copy a directory, 'd', into itself, 'd/new/deeper'", nil},
		{"tree into itself, by its parent", ". d/new", 1, "cannot copy a directory, '.', into itself, 'd/new'", nil},
		{"same name twice", "a d/../a t", 1, "will not overwrite just-created 't/a' with 'd/../a'", []string{"t/a=a"}},
		{"no such directory", "a missing/new", 1, "cannot create regular file 'missing/new': No such file or directory", nil},
		{"odd name", "a missing/'", 1, `cannot create regular file "missing/'": No such file or directory`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("messages as on Linux")
			}
			t.Chdir(t.TempDir())
			for _, err := range []error{
				os.WriteFile("a", []byte("a"), 0o644), os.WriteFile("b", []byte("b"), 0o644), os.Mkdir("t", 0o755),
				os.Mkdir("d", 0o755), os.WriteFile("d/x", []byte("x"), 0o644),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			got := runHere(t, "", append([]string{"cp", "-q", "-j1"}, strings.Fields(c.args)...)...)
			want := ""
			if c.stderr != "" {
				want = "ringfile cp: " + c.stderr + "\n"
			}
			if got.status != c.status || got.stdout != "" || got.stderr != want {
				t.Errorf("got %+v, want status %d, %q", got, c.status, want)
			}
			for _, w := range c.want {
				name, data, _ := strings.Cut(w, "=")
				if got, err := os.ReadFile(name); string(got) != data || err != nil {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
			if _, err := os.Lstat("d/new"); err == nil {
				t.Error("d/new has been made")
			}
		})
	}
}

// TestCpInterrupted ends a copy at its beginning, and leaves nothing half-way.
func TestCpInterrupted(t *testing.T) {
	src := makeTree(t)
	dst := filepath.Join(t.TempDir(), "copy")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"cp", src, dst}, nil, &stdout, &stderr)
	if status != exitInterrupted || !strings.HasPrefix(stderr.String(), "ringfile cp: interrupted: 0 files, ") {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}
