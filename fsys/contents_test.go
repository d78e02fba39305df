package fsys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// TestReadWriteFile writes and reads a file whole, with a context and without, and has the
// context end in the middle of a file that never ends.
func TestReadWriteFile(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
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
	onEngines(t, small, func(t *testing.T, e *ringfile.Engine) {
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
		got, err := bound{fsys.On(e), ctx}.ReadFile(fmt.Sprintf("/proc/self/fd/%d", r.Fd()))
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("no /proc")
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadFile of a pipe = %q, %v", got, err)
		}
	})
}

// TestOpenCreate makes a file and opens it.
func TestOpenCreate(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
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
