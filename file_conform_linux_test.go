package ringfile_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestWriteWithoutOffsets writes, with what can end the wait, to a regular file in /proc that takes
// data at its position only (pwrite(2) fails with ESPIPE).
func TestWriteWithoutOffsets(t *testing.T) {
	const name = "/proc/self/comm"
	before, err := os.ReadFile(name)
	if err != nil {
		t.Skip(err)
	}
	defer os.WriteFile(name, before, 0)
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		check := func(want string, n int, err error) {
			t.Helper()
			if n != len(want) || err != nil {
				t.Errorf("write: %d, %v, want %d", n, err, len(want))
			}
			if got, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(got)) != want {
				t.Errorf("the file says %q, %v, want %q", got, err, want)
			}
		}
		n, err := f.WriteContext(ctx, []byte("by context"))
		check("by context", n, err)
		if err := f.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		n, err = f.Write([]byte("in time"))
		check("in time", n, err)
	})
}

// TestErrnoOfSystemCall checks errors for which a ring has other numbers than system calls.
func TestErrnoOfSystemCall(t *testing.T) {
	const name = "/proc/cpuinfo" // takes no offsets, and is open for reading
	std, err := os.Open(name)
	if err != nil {
		t.Skip(err)
	}
	defer std.Close()
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		own, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		_, want := std.WriteAt([]byte("text"), 0)
		_, got := own.WriteAt([]byte("text"), 0)
		if diff := differ(got, want); diff != "" {
			t.Errorf("WriteAt: %s", diff)
		}
		_, got = own.WriteAtContext(t.Context(), []byte("text"), 0)
		if diff := differ(got, want); diff != "" {
			t.Errorf("WriteAtContext: %s", diff)
		}
		_, got = own.StartWriteAt([]byte("text"), 0).Await()
		if diff := differ(got, want); diff != "" {
			t.Errorf("StartWriteAt: %s", diff)
		}
		_, want = std.Write([]byte("text"))
		_, got = own.WriteContext(t.Context(), []byte("text"))
		if diff := differ(got, want); diff != "" {
			t.Errorf("WriteContext: %s", diff)
		}
	})
}

// TestCloseIsLast checks that Close closes the descriptor itself when the calls before it have
// returned, those with a deadline included, which another goroutine carries out.
func TestCloseIsLast(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		name := filepath.Join(t.TempDir(), "file")
		for range 500 {
			f, err := e.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.SetDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if fd := f.Fd(); fd != ^uintptr(0) {
				t.Fatalf("descriptor %d is open after Close", fd)
			}
		}
	})
}

// TestClosedCopiesNothing checks that a copy of nothing to a closed file is no error, as in os.
func TestClosedCopiesNothing(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, 10)
		std, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		own, err := e.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		std.Close()
		own.Close()
		for _, text := range []string{"", "text"} {
			_, want := std.ReadFrom(struct{ io.Reader }{strings.NewReader(text)})
			_, got := own.ReadFrom(struct{ io.Reader }{strings.NewReader(text)})
			if diff := differ(got, want); diff != "" {
				t.Errorf("ReadFrom(%q): %s", text, diff)
			}
		}
	})
}
