package ringfile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// besideFile are calls with a context on an open file, and what os makes of the same. What they
// return is put into words.
var besideFile = map[string]struct {
	own func(ctx context.Context, f *ringfile.File) (string, error)
	std func(f *os.File) (string, error)
}{
	"Stat": {
		func(ctx context.Context, f *ringfile.File) (string, error) { return describe(f.StatContext(ctx)) },
		func(f *os.File) (string, error) { return describe(f.Stat()) },
	},
	"Chmod": {
		func(ctx context.Context, f *ringfile.File) (string, error) {
			return "", f.ChmodContext(ctx, 0o751|fs.ModeSticky)
		},
		func(f *os.File) (string, error) { return "", f.Chmod(0o751 | fs.ModeSticky) },
	},
	"Chown": {
		func(ctx context.Context, f *ringfile.File) (string, error) {
			return "", f.ChownContext(ctx, -1, os.Getgid())
		},
		func(f *os.File) (string, error) { return "", f.Chown(-1, os.Getgid()) },
	},
	"Chown to nobody": {
		func(ctx context.Context, f *ringfile.File) (string, error) { return "", f.ChownContext(ctx, -2, -2) },
		func(f *os.File) (string, error) { return "", f.Chown(-2, -2) },
	},
	"Close": {
		func(ctx context.Context, f *ringfile.File) (string, error) { return "", f.CloseContext(ctx) },
		func(f *os.File) (string, error) { return "", f.Close() },
	},
	"Close again": {
		func(ctx context.Context, f *ringfile.File) (string, error) {
			f.CloseContext(ctx)
			return "", f.CloseContext(ctx)
		},
		func(f *os.File) (string, error) { f.Close(); return "", f.Close() },
	},
	"Stat of a closed file": {
		func(ctx context.Context, f *ringfile.File) (string, error) {
			f.CloseContext(ctx)
			return describe(f.StatContext(ctx))
		},
		func(f *os.File) (string, error) { f.Close(); return describe(f.Stat()) },
	},
}

// TestFileCallsBesideOS makes each call by os and by this package, on files of several kinds.
func TestFileCallsBesideOS(t *testing.T) {
	open := map[string]func(t *testing.T) string{
		"file":      func(t *testing.T) string { return testutil.PatternFile(t, 1000) },
		"directory": func(t *testing.T) string { return t.TempDir() + "/" },
		"device":    func(t *testing.T) string { return os.DevNull },
	}
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for kind, name := range open {
			for what, c := range besideFile {
				if kind == "device" && what[:2] == "Ch" {
					continue // it is everybody's
				}
				own, err := e.Open(name(t))
				if err != nil {
					t.Fatal(err)
				}
				std, err := os.Open(own.Name())
				if err != nil {
					t.Fatal(err)
				}
				got, gotErr := c.own(ctx, own)
				gotMode := describeNamed(own.Name())
				want, wantErr := c.std(std)
				if words(kind, got, gotErr) != words(kind, want, wantErr) {
					t.Errorf("%s of a %s: %s, want %s", what, kind, words(kind, got, gotErr), words(kind, want, wantErr))
				}
				if mode := describeNamed(own.Name()); gotMode != mode {
					t.Errorf("%s of a %s: left it as %s, want %s", what, kind, gotMode, mode)
				}
				own.Close()
				std.Close()
			}
		}
	})
}

func describeNamed(name string) string {
	s, err := describe(os.Stat(name))
	return fmt.Sprint(s, err)
}

// TestStatContext compares all of a description.
func TestStatContext(t *testing.T) {
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		for _, name := range []string{testutil.PatternFile(t, 1000), t.TempDir(), os.DevNull} {
			checkInfo(t, name, func(name string) (fs.FileInfo, error) {
				f, err := e.Open(name)
				if err != nil {
					return nil, err
				}
				defer f.Close()
				return f.StatContext(t.Context())
			}, os.Stat)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		f := e.NewFile(r)
		defer f.Close()
		if st, err := f.StatContext(t.Context()); err != nil || st.Mode()&fs.ModeNamedPipe == 0 || st.Name() != "|0" {
			t.Errorf("StatContext of a pipe: %v, %v", st, err)
		}
	})
}

// contextCalls are the calls of File with a context that move no data.
var contextCalls = map[string]func(ctx context.Context, f *ringfile.File) error{
	"stat":     func(ctx context.Context, f *ringfile.File) error { _, err := f.StatContext(ctx); return err },
	"chmod":    func(ctx context.Context, f *ringfile.File) error { return f.ChmodContext(ctx, 0o600) },
	"chown":    func(ctx context.Context, f *ringfile.File) error { return f.ChownContext(ctx, -1, -1) },
	"truncate": func(ctx context.Context, f *ringfile.File) error { return f.TruncateContext(ctx, 500) },
	"allocate": func(ctx context.Context, f *ringfile.File) error { return f.AllocateContext(ctx, 0, 500) },
	"prefetch": func(ctx context.Context, f *ringfile.File) error { return f.PrefetchContext(ctx, 0, 500) },
	"sync":     func(ctx context.Context, f *ringfile.File) error { return f.SyncContext(ctx) },
}

// TestFileCallsEnded makes calls with a context that has ended: they do nothing. It makes them once
// more on a file whose deadline has passed, which only ends syncs.
func TestFileCallsEnded(t *testing.T) {
	reason := errors.New("enough")
	roads(t, small, func(t *testing.T, e *ringfile.Engine) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(reason)
		name := testutil.PatternFile(t, 1000)
		f, err := e.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		before := describeNamed(name)
		for word, call := range contextCalls {
			var pe *fs.PathError
			if err := call(ctx, f); !errors.Is(err, reason) || !errors.As(err, &pe) || pe.Op != word || pe.Path != name {
				t.Errorf("%s: %v", word, err)
			}
			if err := call(ctx, nil); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s of nil: %v", word, err)
			}
		}
		if after := describeNamed(name); after != before {
			t.Errorf("the file is %s, was %s", after, before)
		}
		if err := f.PrefetchContext(t.Context(), 0, -1); fmt.Sprint(err) != fmt.Sprint(f.Prefetch(0, -1)) || err == nil {
			t.Errorf("Prefetch of less than nothing: %v", err)
		}
		if err := f.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		for word, call := range contextCalls {
			err := call(t.Context(), f)
			if late := errors.Is(err, os.ErrDeadlineExceeded); late != (word == "sync") || err != nil && !late &&
				!errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s after the deadline: %v", word, err)
			}
		}
		// The file is closed whether it is waited for or not.
		if err := f.CloseContext(ctx); err != nil && !errors.Is(err, reason) {
			t.Errorf("close: %v", err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("close after close: %v", err)
		}
		if err := (*ringfile.File)(nil).CloseContext(ctx); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("close of nil: %v", err)
		}
	})
}

// TestTempBesideOS makes temporary files and directories.
func TestTempBesideOS(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		dir := t.TempDir()
		for _, c := range []struct{ dir, pattern string }{
			{dir, "a*b"}, {dir, "plain"}, {dir, ""}, {dir, "x/y"}, {dir + "/none", "a*b"}, {dir, "a\x00b"},
		} {
			f, err := s.CreateTemp(c.dir, c.pattern)
			g, err1 := os.CreateTemp(c.dir, c.pattern)
			checkTemp(t, "CreateTemp", c.dir, c.pattern, err, err1)
			if err == nil {
				if _, err := f.WriteString("text"); err != nil {
					t.Error(err)
				}
				sameKind(t, f.Name(), c.pattern, describeTemp(f.Name(), 4), describeTemp(g.Name(), 0))
				f.Close()
				g.Close()
			}
			own, err := s.MkdirTemp(c.dir, c.pattern)
			std, err1 := os.MkdirTemp(c.dir, c.pattern)
			checkTemp(t, "MkdirTemp", c.dir, c.pattern, err, err1)
			if err == nil {
				sameKind(t, own, c.pattern, describeTemp(own, 0), describeTemp(std, 0))
			}
		}
	})
}

// checkTemp compares errors, but for the part of a name that is random.
func checkTemp(t *testing.T, what, dir, pattern string, got, want error) {
	t.Helper()
	if (got == nil) != (want == nil) {
		t.Errorf("%s(%q, %q): %v, want %v", what, dir, pattern, got, want)
		return
	}
	var pe, pe1 *fs.PathError
	if want != nil && (!errors.As(got, &pe) || !errors.As(want, &pe1) || pe.Op != pe1.Op || pe.Err.Error() != pe1.Err.Error()) {
		t.Errorf("%s(%q, %q): %v, want %v", what, dir, pattern, got, want)
	}
}

// describeTemp describes a temporary file, whose size ought to be size.
func describeTemp(name string, size int64) string {
	st, err := os.Stat(name)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(st.Mode(), st.IsDir() || st.Size() == size)
}

func sameKind(t *testing.T, name, pattern, got, want string) {
	t.Helper()
	if pattern == "a*b" {
		if ok, _ := filepath.Match(pattern, filepath.Base(name)); !ok {
			t.Errorf("%s does not match %q", name, pattern)
		}
	}
	if got != want {
		t.Errorf("%s: %s, want %s", name, got, want)
	}
}

// TestFileSystemReadFileInto reads files of all sizes into buffers of all sizes.
func TestFileSystemReadFileInto(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		for _, size := range []int{0, 1, 4096, 100_000} {
			name := testutil.PatternFile(t, size)
			for _, room := range []int{0, 1, 4096, 100_000, 3 << 20} {
				p := make([]byte, room)
				n, err := s.ReadFileInto(name, p)
				if n != min(size, room) || err != nil || testutil.CheckPattern(p[:n], 0) >= 0 {
					t.Errorf("%d bytes of %d: %d, %v, differs at %d", room, size, n, err, testutil.CheckPattern(p[:n], 0))
				}
			}
		}
		p := make([]byte, 100)
		dir := t.TempDir()
		for _, name := range []string{dir, dir + "/none", "a\x00b"} {
			_, err := s.ReadFileInto(name, p)
			_, want := os.ReadFile(name)
			if fmt.Sprint(err) != fmt.Sprint(want) {
				t.Errorf("of %q: %v, want %v", name, err, want)
			}
		}
	})
}

// TestOpenCreate makes a file and opens it.
func TestOpenCreate(t *testing.T) {
	fileSystems(t, func(t *testing.T, s ringfile.FileSystem) {
		name := filepath.Join(t.TempDir(), "file")
		if _, err := s.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open: %v", err)
		}
		for range 2 { // the second truncates
			f, err := s.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := f.WriteString("text"); n != 4 || err != nil {
				t.Errorf("WriteString: %d, %v", n, err)
			}
			f.Close()
		}
		f, err := s.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := make([]byte, 10)
		if n, err := f.Read(p); string(p[:n]) != "text" || err != nil {
			t.Errorf("Read: %q, %v", p[:n], err)
		}
		if _, err := f.Write(p); err == nil {
			t.Error("Open has opened for writing")
		}
	})
}
