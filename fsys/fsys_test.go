package fsys_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/ctxerr"
	"github.com/ringfile/ringfile/internal/testutil"
)

func TestFileInfo(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
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
		if os.SameFile(a, b) {
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
	if !os.SameFile(got, want) || !os.SameFile(want, got) {
		t.Errorf("%s: not the same file", path)
	}
}

// TestEngineClosed makes calls that come too late.
func TestEngineClosed(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("enough"))
		s = bound{s.on, ctx}
		_, err := s.Stat(dir)
		if pe := new(fs.PathError); !errors.As(err, &pe) || pe.Op != "stat" || pe.Path != dir || pe.Err.Error() != "context canceled: enough" {
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
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
		s := bound{fsys.On(e), context.Background()}
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

// endedCalls are all calls, with the name of a file in a missing directory, and the Ops of their errors.
var endedCalls = map[string]struct {
	op, bad string // bad: the name in the error, if not that of the file
	call    func(s bound, name string) error
}{
	"Stat":     {"stat", "", func(s bound, name string) error { _, err := s.Stat(name); return err }},
	"Lstat":    {"lstat", "", func(s bound, name string) error { _, err := s.Lstat(name); return err }},
	"Mkdir":    {"mkdir", "", func(s bound, name string) error { return s.Mkdir(name, 0o700) }},
	"MkdirAll": {"mkdir", "", func(s bound, name string) error { return s.MkdirAll(name, 0o700) }},
	"MkdirTemp": {"mkdirtemp", "x*", func(s bound, name string) error {
		_, err := s.MkdirTemp(name, "x*")
		return err
	}},
	"CreateTemp": {"createtemp", "x*", func(s bound, name string) error {
		_, err := s.CreateTemp(name, "x*")
		return err
	}},
	"Remove":    {"remove", "", func(s bound, name string) error { return s.Remove(name) }},
	"RemoveAll": {"unlinkat", "", func(s bound, name string) error { return s.RemoveAll(name) }},
	"Rename":    {"rename", "", func(s bound, name string) error { return s.Rename(name, "new") }},
	"Link":      {"link", "", func(s bound, name string) error { return s.Link(name, "new") }},
	"Symlink":   {"symlink", "", func(s bound, name string) error { return s.Symlink(name, "new") }},
	"Readlink":  {"readlink", "", func(s bound, name string) error { _, err := s.Readlink(name); return err }},
	"Truncate":  {"truncate", "", func(s bound, name string) error { return s.Truncate(name, 1) }},
	"Chmod":     {"chmod", "", func(s bound, name string) error { return s.Chmod(name, 0o600) }},
	"Chown":     {"chown", "", func(s bound, name string) error { return s.Chown(name, 1, 1) }},
	"Lchown":    {"lchown", "", func(s bound, name string) error { return s.Lchown(name, 1, 1) }},
	"Chtimes":   {"chtimes", "", func(s bound, name string) error { return s.Chtimes(name, time.Time{}, time.Time{}) }},
	"ReadDir":   {"open", "", func(s bound, name string) error { _, err := s.ReadDir(name); return err }},
	"Open":      {"open", "", func(s bound, name string) error { _, err := s.Open(name); return err }},
	"Create":    {"open", "", func(s bound, name string) error { _, err := s.Create(name); return err }},
	"ReadFile":  {"open", "", func(s bound, name string) error { _, err := s.ReadFile(name); return err }},
	"WriteFile": {"open", "", func(s bound, name string) error { return s.WriteFile(name, nil, 0o600) }},
	"WalkDir": {"walk", "", func(s bound, name string) error {
		return s.WalkDir(name, func(string, fs.DirEntry, error) error { return nil })
	}},
	"DirFS": {"open", "file", func(s bound, name string) error {
		_, err := s.DirFS(filepath.Dir(name)).Open("file")
		return err
	}},
}

// TestEnded makes each call with a context that has ended: the error is the cause, with the Op and the names
// of os, and nothing has been done. The engine that has been closed is another cause.
func TestEnded(t *testing.T) {
	reason := errors.New("enough")
	check := func(t *testing.T, s bound, cause error) {
		dir := hazardTree(t)
		before := tree(t, dir)
		for _, name := range []string{dir + "/file", dir + "/missing/file"} {
			for what, c := range endedCalls {
				err := c.call(s, name)
				want := error(&fs.PathError{Op: c.op, Path: cmp.Or(c.bad, name), Err: cause})
				if what == "Rename" || what == "Link" || what == "Symlink" {
					want = &os.LinkError{Op: c.op, Old: name, New: "new", Err: cause}
				}
				if what == "WalkDir" && cause == ringfile.ErrEngineClosed {
					want = nil // fn has it
				}
				if !reflect.DeepEqual(err, want) {
					t.Errorf("%s: %#v, want %#v", what, err, want)
				}
			}
		}
		if after := tree(t, dir); after != before {
			t.Errorf("tree is\n%s, was\n%s", after, before)
		}
	}
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(reason)
		check(t, bound{fsys.On(e), ctx}, ctxerr.Of(ctx))
		e.Close()
		check(t, bound{fsys.On(e), context.Background()}, ringfile.ErrEngineClosed)
		check(t, bound{fsys.On(e), t.Context()}, ringfile.ErrEngineClosed)
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
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
		for what, call := range map[string]func(s bound, dir string) error{
			"Remove":    func(s bound, dir string) error { return s.Remove(dir + "/dir") },
			"MkdirAll":  func(s bound, dir string) error { return s.MkdirAll(dir+"/x/y/z", 0o700) },
			"Rename":    func(s bound, dir string) error { return s.Rename(dir+"/file", dir+"/x") },
			"RemoveAll": func(s bound, dir string) error { return s.RemoveAll(dir + "/full") },
		} {
			for steps := int32(0); ; steps++ {
				ctx := &tiring{Context: context.Background()}
				ctx.left.Store(steps)
				err := call(bound{fsys.On(e), ctx}, hazardTree(t))
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

// TestStatAllocations holds Stat with a context that cannot end to what os.Stat allocates, and a little: what
// is handed to Engine.Call, and what comes back.
func TestStatAllocations(t *testing.T) {
	name := testutil.PatternFile(t, 1)
	want := testing.AllocsPerRun(100, func() { os.Stat(name) })
	ctx := context.Background()
	if got := testing.AllocsPerRun(100, func() { fsys.Stat(ctx, name) }); got > want+3 {
		t.Errorf("Stat allocates %v times, os.Stat %v", got, want)
	}
}
