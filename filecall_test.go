package ringfile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
}

// TestFileCallsBesideOS makes each call by os and by this package, on files of several kinds.
func TestFileCallsBesideOS(t *testing.T) {
	open := map[string]func(t *testing.T) string{
		"file":      func(t *testing.T) string { return testutil.PatternFile(t, 1000) },
		"directory": func(t *testing.T) string { return t.TempDir() + "/" },
		"device":    func(t *testing.T) string { return os.DevNull },
	}
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
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

// contextCalls are the calls of File with a context that move no data.
var contextCalls = map[string]func(ctx context.Context, f *ringfile.File) error{
	"sync": func(ctx context.Context, f *ringfile.File) error { return f.SyncContext(ctx) },
}

// TestFileCallsEnded makes calls with a context that has ended: they do nothing. It makes them once
// more on a file whose deadline has passed, which only ends syncs.
func TestFileCallsEnded(t *testing.T) {
	reason := errors.New("enough")
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
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
		if err := f.Advise(0, -1, ringfile.AdviceDontNeed); err == nil {
			t.Error("Advice on less than nothing succeeds")
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

// describe puts a description into words.
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

// words puts a result and the kind and text of an error into words.
func words(what, result string, err error) string {
	kind := ""
	var pe *fs.PathError
	if errors.As(err, &pe) {
		kind = "PathError"
	}
	return fmt.Sprintf("%s: %s, %s %v", what, result, kind, err)
}
