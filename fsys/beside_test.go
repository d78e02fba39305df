package fsys_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// calls is what os and this package have in common.
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
	ReadFile(name string) ([]byte, error)
	WriteFile(name string, data []byte, perm fs.FileMode) error
	tryOpen(name string, flag int) error
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
func (osCalls) ReadFile(name string) ([]byte, error)         { return os.ReadFile(name) }
func (osCalls) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return os.WriteFile(name, data, perm)
}

// tryOpen opens a file and closes it again.
func (osCalls) tryOpen(name string, flag int) error {
	f, err := os.OpenFile(name, flag, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s bound) tryOpen(name string, flag int) error {
	f, err := s.OpenFile(name, flag, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}

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

	// Two names, the other of which is bad, too.
	"Rename missing to": func(c calls, name string) (string, error) { return "", c.Rename(here(name, "missing/x"), name) },
	"Rename to missing": func(c calls, name string) (string, error) { return "", c.Rename(name, here(name, "missing/x")) },
	"Rename NUL to":     func(c calls, name string) (string, error) { return "", c.Rename("\x00", name) },
	"Rename to NUL":     func(c calls, name string) (string, error) { return "", c.Rename(name, "\x00") },
	"Rename to itself":  func(c calls, name string) (string, error) { return "", c.Rename(name, name) },
	"Link missing to":   func(c calls, name string) (string, error) { return "", c.Link(here(name, "missing/x"), name) },
	"Link to missing":   func(c calls, name string) (string, error) { return "", c.Link(name, here(name, "missing/x")) },
	"Link NUL to":       func(c calls, name string) (string, error) { return "", c.Link("\x00", name) },
	"Link to itself":    func(c calls, name string) (string, error) { return "", c.Link(name, name) },
	"Symlink NUL to":    func(c calls, name string) (string, error) { return "", c.Symlink("\x00", name) },
	"Symlink to":        func(c calls, name string) (string, error) { return "", c.Symlink(name, here(name, "missing/x")) },

	"RemoveAll": func(c calls, name string) (string, error) { return "", c.RemoveAll(name) },
	"Open":      func(c calls, name string) (string, error) { return "", c.tryOpen(name, os.O_RDONLY) },
	"Create": func(c calls, name string) (string, error) {
		return "", c.tryOpen(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	},
	"Open excl": func(c calls, name string) (string, error) {
		return "", c.tryOpen(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	},
	"ReadFile":  func(c calls, name string) (string, error) { p, err := c.ReadFile(name); return string(p), err },
	"WriteFile": func(c calls, name string) (string, error) { return "", c.WriteFile(name, []byte("text"), 0o604) },
}

// readOnly are the calls that leave a tree as it is.
var readOnly = map[string]bool{
	"Stat": true, "Lstat": true, "Readlink": true, "ReadDir": true, "Open": true, "ReadFile": true,
	"Rename NUL to": true, "Rename to NUL": true, "Link NUL to": true, "Symlink NUL to": true,
}

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

// TestBesideOS makes each call on each hazard twice, by os and by this package, and
// compares results, errors, and what is there afterwards.
func TestBesideOS(t *testing.T) {
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
	onEach(t, func(t *testing.T, s bound) {
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

// TestUnprivileged runs TestBesideOS without root's rights, in a copy of this
// program.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestBesideOS has no such rights already")
	}
	if testing.Short() {
		t.Skip("short")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
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
	cmd := exec.Command(exe, "-test.short", "-test.run=^TestBesideOS$")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	asNobody(cmd)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}
