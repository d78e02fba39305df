package clients_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/ringfile/ringfile"
)

// library is what a program does with files, by os or by ringfile.
type library struct {
	name  string
	read  func(name string) ([]byte, error)
	write func(name string, data []byte, perm os.FileMode) error
	open  func(name string, flag int, perm os.FileMode) (file, error)
}

// file is what both kinds of files can do.
type file interface {
	ReadAt(p []byte, off int64) (int, error)
	Write(p []byte) (int, error)
	Sync() error
	Close() error
}

var libraries = []library{
	{"os", os.ReadFile, os.WriteFile, func(name string, flag int, perm os.FileMode) (file, error) {
		return os.OpenFile(name, flag, perm)
	}},
	{"ringfile", ringfile.ReadFile, ringfile.WriteFile, func(name string, flag int, perm os.FileMode) (file, error) {
		return ringfile.OpenFile(name, flag, perm)
	}},
}

// readOnce writes and reads a small file.
func readOnce(t *testing.T, l library) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := l.write(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := l.read(name); err != nil || string(p) != "x" {
		t.Fatalf("%q, %v", p, err)
	}
}

// readDirect reads past the page cache, which takes a ring where there is one. File systems without O_DIRECT
// have it read through the cache.
func readDirect(t *testing.T, l library) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := l.write(name, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := l.open(name, os.O_RDONLY|direct, 0)
	if err != nil {
		f, err = l.open(name, os.O_RDONLY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	done := make(chan error)
	const readers = 8
	for i := range readers {
		p := ringfile.AlignedBuffer(4096, 4096)
		go func() {
			_, err := f.ReadAt(p, int64(i)*4096)
			done <- err
		}()
	}
	for range readers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// writeSynced writes and syncs, and has ringfile start a write, too.
func writeSynced(t *testing.T, l library) {
	t.Helper()
	f, err := l.open(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 10 {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if r, ok := f.(*ringfile.File); ok {
			if _, err := r.StartWriteAt([]byte("y"), 0).Await(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.WriteAtContext(t.Context(), []byte("z"), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var works = []struct {
	name string
	do   func(t *testing.T, l library)
}{
	{"ReadFile", readOnce},
	{"direct reads", readDirect},
	{"writes and syncs", writeSynced},
}

// TestLeak: a leak detector finds nothing after files have been used: an idle engine has no goroutine. It
// gives goroutines less than half a second to end. Each of the tests from here on is a process of its own.
func TestLeak(t *testing.T) {
	eachWork(t, func(t *testing.T, do func(t *testing.T)) {
		defer goleak.VerifyNone(t)
		do(t)
	})
}

// TestBubble: the first use of the package may be in a bubble of testing/synctest.
func TestBubble(t *testing.T) {
	eachWork(t, func(t *testing.T, do func(t *testing.T)) { synctest.Test(t, do) })
}

// TestBubbleAfterUse: the package is in use before the bubble begins, and after it has ended.
func TestBubbleAfterUse(t *testing.T) {
	eachWork(t, func(t *testing.T, do func(t *testing.T)) {
		do(t)
		synctest.Test(t, do)
		do(t)
		synctest.Test(t, do)
	})
}

// TestBubbleBeforeUse: the package is first used in a bubble, and again when that has ended.
func TestBubbleBeforeUse(t *testing.T) {
	eachWork(t, func(t *testing.T, do func(t *testing.T)) {
		synctest.Test(t, do)
		do(t)
	})
}

// eachWork runs test with each of works, by os and by ringfile, in a process of its own.
func eachWork(t *testing.T, test func(t *testing.T, do func(t *testing.T))) {
	for _, w := range works {
		for _, l := range libraries {
			t.Run(w.name+"/"+l.name, func(t *testing.T) {
				inProcess(t, func() { test(t, func(t *testing.T) { w.do(t, l) }) })
			})
		}
	}
}
