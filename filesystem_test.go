package ringfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// calls is what os and a FileSystem have in common.
type calls interface {
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	Mkdir(name string, perm fs.FileMode) error
	MkdirAll(path string, perm fs.FileMode) error
	Remove(name string) error
	RemoveAll(path string) error
	Rename(oldname, newname string) error
	Link(oldname, newname string) error
	Symlink(oldname, newname string) error
	Readlink(name string) (string, error)
	Truncate(name string, size int64) error
	Chmod(name string, mode fs.FileMode) error
	Chown(name string, uid, gid int) error
	Lchown(name string, uid, gid int) error
	Chtimes(name string, atime, mtime time.Time) error
	ReadDir(name string) ([]fs.DirEntry, error)
}

// osCalls are the functions of package os.
type osCalls struct{}

func (osCalls) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }
func (osCalls) Lstat(name string) (fs.FileInfo, error)       { return os.Lstat(name) }
func (osCalls) Mkdir(name string, perm fs.FileMode) error    { return os.Mkdir(name, perm) }
func (osCalls) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }
func (osCalls) Remove(name string) error                     { return os.Remove(name) }
func (osCalls) RemoveAll(path string) error                  { return os.RemoveAll(path) }
func (osCalls) Rename(oldname, newname string) error         { return os.Rename(oldname, newname) }
func (osCalls) Link(oldname, newname string) error           { return os.Link(oldname, newname) }
func (osCalls) Symlink(oldname, newname string) error        { return os.Symlink(oldname, newname) }
func (osCalls) Readlink(name string) (string, error)         { return os.Readlink(name) }
func (osCalls) Truncate(name string, size int64) error       { return os.Truncate(name, size) }
func (osCalls) Chmod(name string, mode fs.FileMode) error    { return os.Chmod(name, mode) }
func (osCalls) Chown(name string, uid, gid int) error        { return os.Chown(name, uid, gid) }
func (osCalls) Lchown(name string, uid, gid int) error       { return os.Lchown(name, uid, gid) }
func (osCalls) Chtimes(name string, a, m time.Time) error    { return os.Chtimes(name, a, m) }
func (osCalls) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }

// hazardTree makes a directory with one of each kind of thing that calls may meet.
func hazardTree(t *testing.T) string {
	dir := t.TempDir()
	old := time.Unix(1e9, 123456789)
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "file"), []byte("contents"), 0o640),
		os.Chmod(filepath.Join(dir, "file"), 0o640|fs.ModeSetuid),
		os.Chtimes(filepath.Join(dir, "file"), old, old),
		os.Mkdir(filepath.Join(dir, "dir"), 0o750),
		os.Chmod(filepath.Join(dir, "dir"), 0o750|fs.ModeSticky|fs.ModeSetgid),
		os.MkdirAll(filepath.Join(dir, "full", "sub", "deep"), 0o755),
		os.WriteFile(filepath.Join(dir, "full", "sub", "x"), nil, 0o600),
		os.Symlink("file", filepath.Join(dir, "tofile")),
		os.Symlink("dir", filepath.Join(dir, "todir")),
		os.Symlink("full", filepath.Join(dir, "tofull")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Mkdir(filepath.Join(dir, "locked"), 0o755),
		os.WriteFile(filepath.Join(dir, "locked", "in"), nil, 0o600),
		os.Chmod(filepath.Join(dir, "locked"), 0o000),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "locked"), 0o755) })
	return dir
}

// hazards are the names that each call is tried on, relative to a hazardTree.
var hazards = []string{
	"file", "dir", "todir", "dangling", "new", "missing/new", "locked/new", "locked", "full", "todir/",
	"loop/new", "a\x00b", "tofile", "file/",
	"loop", "locked/in", "full/sub/x", "new/", "file/new", "dangling/new", "tofull",
	"dir/.", "full/sub/more/and/more", strings.Repeat("n", 256),
}

// describe puts into words what is comparable of a FileInfo.
func describe(st fs.FileInfo, err error) (string, error) {
	if err != nil {
		return "", err
	}
	size := st.Size()
	if st.IsDir() {
		size = 0 // differs between file systems only, but differs
	}
	return fmt.Sprintf("%s %v %d %v", st.Name(), st.Mode(), size, st.IsDir()), nil
}

// besideOS are the calls, made on a name; what they return is put into words.
var besideOS = map[string]func(c calls, name string) (string, error){
	"Stat":     func(c calls, name string) (string, error) { return describe(c.Stat(name)) },
	"Lstat":    func(c calls, name string) (string, error) { return describe(c.Lstat(name)) },
	"Mkdir":    func(c calls, name string) (string, error) { return "", c.Mkdir(name, 0o751|fs.ModeSticky) },
	"MkdirAll": func(c calls, name string) (string, error) { return "", c.MkdirAll(name, 0o751) },
	"Remove":   func(c calls, name string) (string, error) { return "", c.Remove(name) },
	"Readlink": func(c calls, name string) (string, error) { return c.Readlink(name) },
	"Truncate": func(c calls, name string) (string, error) { return "", c.Truncate(name, 100) },
	"Chmod":    func(c calls, name string) (string, error) { return "", c.Chmod(name, 0o704) },
	"Chown":    func(c calls, name string) (string, error) { return "", c.Chown(name, -1, os.Getgid()) },
	"Lchown":   func(c calls, name string) (string, error) { return "", c.Lchown(name, os.Getuid(), -1) },
	"Chtimes": func(c calls, name string) (string, error) {
		return "", c.Chtimes(name, time.Unix(1, 0), time.Unix(2, 5))
	},
	"Symlink": func(c calls, name string) (string, error) { return "", c.Symlink("file", name) },
	"ReadDir": func(c calls, name string) (string, error) {
		entries, err := c.ReadDir(name)
		return fmt.Sprint(entries), err
	},
	"Link file to":   func(c calls, name string) (string, error) { return "", c.Link(here(name, "file"), name) },
	"Link to link":   func(c calls, name string) (string, error) { return "", c.Link(name, here(name, "linked")) },
	"Rename file to": func(c calls, name string) (string, error) { return "", c.Rename(here(name, "file"), name) },
	"Rename dir to":  func(c calls, name string) (string, error) { return "", c.Rename(here(name, "dir"), name) },
	"Rename to new":  func(c calls, name string) (string, error) { return "", c.Rename(name, here(name, "new")) },
	"Rename to dir":  func(c calls, name string) (string, error) { return "", c.Rename(name, here(name, "dir")) },
}

// readOnly are the calls that leave a tree as it is.
var readOnly = map[string]bool{"Stat": true, "Lstat": true, "Readlink": true, "ReadDir": true}

// tried returns the names to try a call on: fewer of them if each takes a tree of its own.
func tried(what string, names []string) []string {
	if readOnly[what] {
		return names
	}
	return names[:min(len(names), 14)]
}

// here returns the name of another file in the hazardTree of name.
func here(name, other string) string {
	root, _, _ := strings.Cut(name, treeEnd)
	return root + treeEnd + other
}

// treeEnd marks where the name of a hazardTree ends.
const treeEnd = "/./"

// words puts an outcome into words that do not depend on where the tree lies.
func words(dir, result string, err error) string {
	kind := ""
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		kind = "PathError"
	case errors.As(err, &le):
		kind = "LinkError"
	}
	return strings.ReplaceAll(fmt.Sprintf("%s, %s %v", result, kind, err), dir, "TREE")
}

// tree describes everything below dir.
func tree(t *testing.T, dir string) string {
	for _, name := range []string{"locked", "new"} { // it may have been renamed
		if st, err := os.Lstat(filepath.Join(dir, name)); err == nil && st.Mode() == fs.ModeDir {
			os.Chmod(filepath.Join(dir, name), 0o755)
		}
	}
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		size, target := st.Size(), ""
		if d.IsDir() {
			size = 0
		}
		if d.Type() == fs.ModeSymlink {
			target, _ = os.Readlink(path)
		}
		fmt.Fprintln(&b, strings.TrimPrefix(path, dir), st.Mode(), size, target, st.ModTime().Year() < 2010)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return strings.ReplaceAll(b.String(), dir, "TREE")
}

// fileSystems runs test on each engine, without and with a context.
func fileSystems(t *testing.T, test func(t *testing.T, s ringfile.FileSystem)) {
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		t.Run("plain", func(t *testing.T) { test(t, e.FileSystem()) })
		t.Run("context", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test(t, e.FileSystem().WithContext(ctx))
		})
	})
}

// TestFileSystemBesideOS makes each call on each hazard twice, by os and by this package, and
// compares results, errors, and what is there afterwards.
func TestFileSystemBesideOS(t *testing.T) {
	type outcome struct{ words, tree string }
	shared := hazardTree(t)
	one := func(t *testing.T, c calls, what, name string) outcome {
		if readOnly[what] {
			result, err := besideOS[what](c, shared+treeEnd+name)
			return outcome{words: words(shared, result, err)}
		}
		dir := hazardTree(t)
		result, err := besideOS[what](c, dir+treeEnd+name)
		w := words(dir, result, err)
		return outcome{w, tree(t, dir)}
	}
	names := hazards
	if testing.Short() {
		names = names[:8]
	}
	want := map[string]outcome{}
	for what := range besideOS {
		for _, name := range tried(what, names) {
			want[what+name] = one(t, osCalls{}, what, name)
		}
	}
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		for what := range besideOS {
			for _, name := range tried(what, names) {
				got, want := one(t, s, what, name), want[what+name]
				if got.words != want.words {
					t.Errorf("%s(%.30q):\n got %.300s\nwant %.300s", what, name, got.words, want.words)
				}
				if got.tree != want.tree {
					t.Errorf("%s(%.30q): tree is\n%.2000s, want\n%.2000s", what, name, got.tree, want.tree)
				}
			}
		}
	})
}

// TestFileSystemUnprivileged runs TestFileSystemBesideOS without root's rights, in a copy of this
// program.
func TestFileSystemUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestFileSystemBesideOS has no such rights already")
	}
	if testing.Short() {
		t.Skip("short")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := ringfile.FileSystem.Chmod(ringfile.FileSystem{}, filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	exe, tmp := filepath.Join(dir, "ringfile.test"), filepath.Join(dir, "tmp")
	for _, err := range []error{
		os.WriteFile(exe, program, 0o755), os.Mkdir(tmp, 0o777), os.Chmod(tmp, 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(exe, "-test.short", "-test.run=^TestFileSystemBesideOS$")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	asNobody(cmd)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRemoveAll removes trees: other things must stay.
func TestRemoveAll(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
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

func TestFileInfo(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		dir := hazardTree(t)
		for _, name := range []string{"file", "dir", "tofile", "todir", "dangling", "loop"} {
			path := filepath.Join(dir, name)
			checkInfo(t, path, s.Lstat, os.Lstat)
			if _, err := os.Stat(path); err == nil {
				checkInfo(t, path, s.Stat, os.Stat)
			}
		}
		checkInfo(t, os.DevNull, s.Stat, os.Stat)
		a, _ := s.Stat(filepath.Join(dir, "file"))
		b, _ := s.Stat(filepath.Join(dir, "dir"))
		if ringfile.SameFile(a, b) {
			t.Error("SameFile of two files")
		}
	})
}

// checkInfo compares a description with that of os.
func checkInfo(t *testing.T, path string, get, osGet func(string) (fs.FileInfo, error)) {
	t.Helper()
	got, err := get(path)
	if err != nil {
		t.Error(err)
		return
	}
	want, err := osGet(path)
	if err != nil {
		t.Error(err)
		return
	}
	if fs.FormatFileInfo(got) != fs.FormatFileInfo(want) || !got.ModTime().Equal(want.ModTime()) {
		t.Errorf("%s: %v, want %v", path, fs.FormatFileInfo(got), fs.FormatFileInfo(want))
	}
	if a, b := fmt.Sprintf("%+v", got.Sys()), fmt.Sprintf("%+v", want.Sys()); a != b {
		t.Errorf("%s: Sys is %v, want %v", path, a, b)
	}
	if !ringfile.SameFile(got, want) || !ringfile.SameFile(want, got) {
		t.Errorf("%s: not the same file", path)
	}
}

func TestXattr(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		name := testutil.PatternFile(t, 10)
		if _, err := s.Getxattr(name, "user.none"); errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		} else if pe := new(fs.PathError); !errors.As(err, &pe) || pe.Op != "getxattr" || pe.Path != name {
			t.Errorf("Getxattr of none: %v", err)
		}
		for _, value := range [][]byte{[]byte("short"), {}, bytes.Repeat([]byte("long"), 500)} {
			if err := s.Setxattr(name, "user.test", value); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Getxattr(name, "user.test"); err != nil || !bytes.Equal(got, value) {
				t.Errorf("Getxattr = %q, %v, want %q", got, err, value)
			}
		}
		if err := s.Setxattr(name, "user.other", nil); err != nil {
			t.Error(err)
		}
		list, err := s.Listxattr(name)
		if !slices.Contains(list, "user.test") || !slices.Contains(list, "user.other") || err != nil {
			t.Errorf("Listxattr = %q, %v", list, err)
		}
		if err := s.Removexattr(name, "user.test"); err != nil {
			t.Error(err)
		}
		if err := s.Removexattr(name, "user.test"); err == nil {
			t.Error("second Removexattr succeeded")
		}
		if list, _ := s.Listxattr(name); slices.Contains(list, "user.test") {
			t.Errorf("Listxattr = %q afterwards", list)
		}
		if err := s.Setxattr(name+"x", "user.test", nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Setxattr of a missing file: %v", err)
		}
		if _, err := s.Getxattr("a\x00b", "user.test"); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Getxattr of a bad name: %v", err)
		}
	})
}

func TestDirFS(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
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

func TestTruncateContext(t *testing.T) {
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, 1000)
		f, err := e.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, size := range []int64{10, 1 << 20, 0} {
			if err := f.TruncateContext(t.Context(), size); err != nil {
				t.Error(err)
			}
			if st, err := f.Stat(); err != nil || st.Size() != size {
				t.Errorf("size is %d, %v, want %d", st.Size(), err, size)
			}
		}
		got, want := f.TruncateContext(t.Context(), -1), f.Truncate(-1)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("truncate to -1: %v, want %v", got, want)
		}
		r, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, want = r.TruncateContext(t.Context(), 1), r.Truncate(1)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("truncate of a file open for reading: %v, want %v", got, want)
		}
	})
}

// TestFileSystemEngineClosed makes calls that come too late.
func TestFileSystemEngineClosed(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("enough"))
		s = s.WithContext(ctx)
		_, err := s.Stat(dir)
		if pe := new(fs.PathError); !errors.As(err, &pe) || pe.Op != "stat" || pe.Path != dir || pe.Err.Error() != "enough" {
			t.Errorf("Stat: %v", err)
		}
		if _, err := s.ReadFile(dir); !strings.Contains(fmt.Sprint(err), "enough") {
			t.Errorf("ReadFile: %v", err)
		}
		if err := s.WriteFile(dir+"/x", nil, 0o600); !strings.Contains(fmt.Sprint(err), "enough") {
			t.Errorf("WriteFile: %v", err)
		}
		if err := s.Rename(dir, "x"); !strings.Contains(fmt.Sprint(err), "enough") {
			t.Errorf("Rename: %v", err)
		}
	})
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		s := e.FileSystem()
		e.Close()
		if err := s.Mkdir(t.TempDir()+"/x", 0o700); !errors.Is(err, ringfile.ErrEngineClosed) {
			t.Errorf("Mkdir: %v", err)
		}
		if _, err := s.DirFS(".").Open("x"); !errors.Is(err, ringfile.ErrEngineClosed) {
			t.Errorf("Open: %v", err)
		}
		if err := s.WalkDir(".", func(_ string, _ fs.DirEntry, err error) error { return err }); !errors.Is(err, ringfile.ErrEngineClosed) {
			t.Errorf("WalkDir: %v", err)
		}
	})
}

// TestFileSystemReadWriteFile writes and reads a file whole, with a context and without, and has the
// context end in the middle of a file that never ends.
func TestFileSystemReadWriteFile(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		name := filepath.Join(t.TempDir(), "file")
		want := patternBytes(3<<20 + 1)
		if err := s.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("ReadFile: %d bytes, %v", len(got), err)
		}
		if err := s.WriteFile(name, want[:7], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want[:7]) {
			t.Errorf("written again: %d bytes, %v", len(got), err)
		}
	})
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		if _, err := w.WriteString("the beginning"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		got, err := e.FileSystem().WithContext(ctx).ReadFile(fmt.Sprintf("/proc/self/fd/%d", r.Fd()))
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("no /proc")
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadFile of a pipe = %q, %v", got, err)
		}
	})
}

// tiring is a context that ends when it has been asked a number of times.
type tiring struct {
	context.Context
	left atomic.Int32
}

func (c *tiring) Done() <-chan struct{} { return make(chan struct{}) }
func (c *tiring) Value(any) any         { return nil }
func (c *tiring) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestContextEndsBetweenSteps has contexts end before each step of the calls that have several: the
// error is the context's, not that of a step that was to be followed by another.
func TestContextEndsBetweenSteps(t *testing.T) {
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		for what, call := range map[string]func(s ringfile.FileSystem, dir string) error{
			"Remove":    func(s ringfile.FileSystem, dir string) error { return s.Remove(dir + "/dir") },
			"MkdirAll":  func(s ringfile.FileSystem, dir string) error { return s.MkdirAll(dir+"/x/y/z", 0o700) },
			"Rename":    func(s ringfile.FileSystem, dir string) error { return s.Rename(dir+"/file", dir+"/x") },
			"RemoveAll": func(s ringfile.FileSystem, dir string) error { return s.RemoveAll(dir + "/full") },
		} {
			for steps := int32(0); ; steps++ {
				ctx := &tiring{Context: context.Background()}
				ctx.left.Store(steps)
				err := call(e.FileSystem().WithContext(ctx), hazardTree(t))
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s, ended after %d questions: %v", what, steps, err)
				}
				if steps == 100 {
					t.Fatalf("%s does not succeed", what)
				}
			}
		}
	})
}

// TestStatAllocations holds Stat without a context to what os.Stat allocates.
func TestStatAllocations(t *testing.T) {
	name := testutil.PatternFile(t, 1)
	want := testing.AllocsPerRun(100, func() { os.Stat(name) })
	if got := testing.AllocsPerRun(100, func() { ringfile.Stat(name) }); got > want {
		t.Errorf("Stat allocates %v times, os.Stat %v", got, want)
	}
}
