package billy_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-billy/v5"

	"github.com/ringfile/ringfile"
	ring "github.com/ringfile/ringfile/adapters/billy"
	"github.com/ringfile/ringfile/internal/upstream"
)

// TestLock: who locks a file waits until another who has locked it gives that up. go-billy has no test of that.
func TestLock(t *testing.T) {
	upstream.Backends(t, func(t *testing.T) {
		e, err := ringfile.New(ringfile.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		fs := ring.On(e, t.TempDir())
		var files [2]billy.File
		for i := range files {
			if files[i], err = fs.Create("dir/file"); err != nil {
				t.Fatal(err)
			}
			defer files[i].Close()
		}
		if err := files[0].Lock(); err != nil {
			t.Fatal(err)
		}
		locked := make(chan error, 1)
		go func() { locked <- files[1].Lock() }()
		select {
		case err := <-locked:
			t.Fatalf("both have locked it: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		if err := files[0].Unlock(); err != nil {
			t.Fatal(err)
		}
		if err := <-locked; err != nil {
			t.Fatal(err)
		}
	})
}

// TestOn: files are those of the engine, and ringfile's.
func TestOn(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	fs := ring.On(e, dir)
	f, err := fs.TempFile("tmp", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// What the names of the file system are relative to wraps its files, too.
	if _, err := f.Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	if infos, err := fs.ReadDir("tmp"); err != nil || len(infos) != 1 || infos[0].Size() != 5 {
		t.Errorf("ReadDir: %v, %v", infos, err)
	}
	all := new(ring.OS)
	g, err := all.Open(filepath.Join(dir, f.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := g.(*ring.File); !ok {
		t.Errorf("a %T", g)
	}
	g.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := fs.Open("tmp/none"); err == nil {
		t.Error("opened on an engine that is closed")
	}
}
