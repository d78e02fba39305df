package pebblefs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ringfile/ringfile"
	pebblefs "github.com/ringfile/ringfile/adapters/pebble"
	"github.com/ringfile/ringfile/internal/upstream"
)

// backends runs test with an FS on an engine of each backend.
func backends(t *testing.T, test func(t *testing.T, s pebblefs.FS)) {
	upstream.Backends(t, func(t *testing.T) {
		e, err := ringfile.New(ringfile.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, pebblefs.On(e))
	})
}

// create returns a new file with data.
func create(t *testing.T, s vfs.FS, name string, data []byte) vfs.File {
	t.Helper()
	f, err := s.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFile: what pebble's own tests leave open.
func TestFile(t *testing.T) {
	backends(t, func(t *testing.T, s pebblefs.FS) {
		dir := t.TempDir()
		name := filepath.Join(dir, "f")
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		f := create(t, s, name, data)

		if err := f.Preallocate(1<<20, 1<<20); err != nil {
			t.Error("Preallocate:", err)
		}
		if info, err := f.Stat(); err != nil || info.Size() != 1<<20 {
			t.Errorf("Stat after Preallocate: %v, %v", info, err)
		}
		if _, err := f.SyncTo(1 << 19); err != nil {
			t.Error("SyncTo:", err)
		}
		if err := f.SyncData(); err != nil {
			t.Error("SyncData:", err)
		}
		if err := f.Sync(); err != nil {
			t.Error("Sync:", err)
		}
		for _, o := range []vfs.OpenOption{vfs.RandomReadsOption, vfs.SequentialReadsOption} {
			r, err := s.Open(name, o)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := r.Prefetch(0, 1<<20); err != nil {
				t.Error("Prefetch:", err)
			}
			p := make([]byte, len(data))
			if n, err := r.ReadAt(p, 0); n != len(p) || err != nil || !bytes.Equal(p, data) {
				t.Errorf("ReadAt: %d, %v", n, err)
			}
		}

		d, err := s.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		full, err := d.SyncTo(1)
		if err := errors.Join(err, d.Sync(), d.SyncData(), d.Preallocate(0, 1), d.Prefetch(0, 1)); err != nil || full {
			t.Errorf("a directory: %v, full %v", err, full)
		}
	})
}

// TestNewInode: Create and ReuseForWrite do what vfs.FS says to files with two names.
func TestNewInode(t *testing.T) {
	backends(t, func(t *testing.T, s pebblefs.FS) {
		dir := t.TempDir()
		a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
		create(t, s, a, []byte("old"))
		if err := s.Link(a, b); err != nil {
			t.Fatal(err)
		}
		create(t, s, a, []byte("new"))
		f, err := s.ReuseForWrite(b, c, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("O"), 0); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{a: "new", c: "Old"} {
			if got, err := os.ReadFile(name); string(got) != want || err != nil {
				t.Errorf("%s has %q, %v; want %q", name, got, err, want)
			}
		}
		names, err := s.List(dir)
		if slices.Sort(names); !slices.Equal(names, []string{"a", "c"}) || err != nil {
			t.Errorf("List: %q, %v", names, err)
		}
	})
}

// TestLockBesideDefault: a directory that one FS has locked is locked for the other, in this process.
func TestLockBesideDefault(t *testing.T) {
	backends(t, func(t *testing.T, s pebblefs.FS) {
		for _, pair := range [][2]vfs.FS{{s, vfs.Default}, {vfs.Default, s}, {s, s}} {
			name := filepath.Join(t.TempDir(), "LOCK")
			l, err := pair[0].Lock(name)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if l2, err := pair[1].Lock(name); err == nil {
					l2.Close()
					t.Errorf("%T locks what %T has", pair[1], pair[0])
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			l, err = pair[1].Lock(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestDevice: the ID of a device is the one that vfs.Default has, of files without their name, too.
func TestDevice(t *testing.T) {
	backends(t, func(t *testing.T, s pebblefs.FS) {
		name := filepath.Join(t.TempDir(), "f")
		f := create(t, s, name, nil)
		want, err := vfs.Default.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		named, err := s.Stat(name)
		if err != nil || named.DeviceID() != want.DeviceID() {
			t.Errorf("Stat: %v", err)
		}
		for range 2 {
			info, err := f.Stat()
			if err != nil || info.DeviceID() != want.DeviceID() {
				t.Errorf("File.Stat: %v", err)
			}
			if err := s.RemoveAll(name); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestErrors(t *testing.T) {
	backends(t, func(t *testing.T, s pebblefs.FS) {
		name := filepath.Join(t.TempDir(), "none", "f")
		_, create := s.Create(name, vfs.WriteCategoryUnspecified)
		_, open := s.Open(name)
		_, reuse := s.ReuseForWrite(name, name+"2", vfs.WriteCategoryUnspecified)
		_, dir := s.OpenDir(name)
		_, list := s.List(name)
		_, stat := s.Stat(name)
		_, lock := s.Lock(name)
		_, usage := s.GetDiskUsage(name)
		for what, err := range map[string]error{
			"Create": create, "Open": open, "ReuseForWrite": reuse, "OpenDir": dir, "List": list, "Stat": stat, "Lock": lock,
			"GetDiskUsage": usage, "Remove": s.Remove(name), "Rename": s.Rename(name, name+"2"), "Link": s.Link(name, name+"2"),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestEngine: an FS uses its engine for files, names, and what pebble's own FS does.
func TestEngine(t *testing.T) {
	backends(t, func(t *testing.T, s pebblefs.FS) {
		if s == (pebblefs.FS{}) || s.Unwrap() != nil {
			t.Error("an FS is not what it was made from")
		}
	})
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, dir := pebblefs.On(e), t.TempDir()
	calls := func() uint64 { return e.Stats().Blocking }
	for what, fn := range map[string]func() error{
		"Write":        func() error { create(t, s, filepath.Join(dir, "f"), []byte("data")); return nil },
		"Stat":         func() error { _, err := s.Stat(dir); return err },
		"GetDiskUsage": func() error { _, err := s.GetDiskUsage(dir); return err },
		"MkdirAll":     func() error { return s.MkdirAll(filepath.Join(dir, "d"), 0o755) },
	} {
		before := calls()
		if err := fn(); err != nil || calls() == before {
			t.Errorf("%s: %v, %d blocking calls", what, err, calls()-before)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(dir); !errors.Is(err, ringfile.ErrEngineClosed) {
		t.Errorf("Stat on an engine that is closed: %v", err)
	}
}
