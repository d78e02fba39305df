package ringfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/ringfile/ringfile"
)

// TestDirectGrowth tells direct writes that make a file longer, which are left to system calls, from
// others, which are not: in every way there is to write, with the file's size changed behind its back.
func TestDirectGrowth(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		const block = 4096
		name := filepath.Join(t.TempDir(), "f")
		open := func(flag int) *ringfile.File {
			f, err := e.OpenFile(name, os.O_RDWR|os.O_CREATE|flag|oDirect, 0o600)
			if err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		}
		f, log := open(0), open(os.O_APPEND)
		onRing := writesOnRing(t, e, f)
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		f = open(0) // it knows nothing of the size before
		size := func(want int64) {
			t.Helper()
			if st, err := os.Stat(name); err != nil || st.Size() != want*block {
				t.Errorf("the file has %d bytes (%v), want %d blocks", st.Size(), err, want)
			}
		}
		buf := ringfile.AlignedBuffer(block, block)
		var want []byte
		for i, c := range []struct {
			what   string
			write  func() (int, error)
			at     int64 // block
			onRing bool
		}{
			{"first", func() (int, error) { return f.WriteAt(buf, 0) }, 0, false},
			{"next", func() (int, error) { return f.StartWriteAt(buf, block).Await() }, 1, false},
			{"over it", func() (int, error) { return f.StartWriteAt(buf, block).Await() }, 1, true},
			{"half over, vectored", func() (int, error) { return f.StartWritevAt([][]byte{buf}, 2*block).Await() }, 2, false},
			{"append", func() (int, error) { return log.Write(buf) }, 3, false},
			{"what another descriptor appended", func() (int, error) { return f.StartWriteAt(buf, 3*block).Await() }, 3, true},
			{"at the position", func() (int, error) {
				if _, err := f.Seek(0, 2); err != nil {
					return 0, err
				}
				return f.Write(buf)
			}, 4, false},
			{"with a context", func() (int, error) { return f.WriteAtContext(t.Context(), buf, 5*block) }, 5, false},
			{"over it with a context", func() (int, error) { return f.WriteAtContext(t.Context(), buf, 5*block) }, 5, true},
		} {
			for j := range buf {
				buf[j] = byte('a' + i)
			}
			before := e.Stats()
			if n, err := c.write(); n != block || err != nil {
				t.Fatalf("%s: %d, %v", c.what, n, err)
			}
			after := e.Stats()
			want = append(want[:min(int64(len(want)), c.at*block)], append(bytes.Clone(buf), want[min(int64(len(want)), (c.at+1)*block):]...)...)
			size(int64(len(want)) / block)
			if onRing && after.Ring > before.Ring != c.onRing {
				t.Errorf("%s: by a ring %v, want %v", c.what, after.Ring > before.Ring, c.onRing)
			}
		}
		// A size that was known and is no longer so costs time, not data.
		if err := os.Truncate(name, block); err != nil {
			t.Fatal(err)
		}
		want = append(want[:block], make([]byte, block)...)
		want = append(want, buf...)
		if n, err := f.StartWriteAt(buf, 2*block).Await(); n != block || err != nil {
			t.Errorf("behind the end: %d, %v", n, err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the file has %d bytes that are not what was written, or %v", len(got), err)
		}
	})
}

// writesOnRing makes the first direct writes to f, which find out about its file system, and reports
// whether one over what is there goes through a ring.
func writesOnRing(t *testing.T, e *ringfile.Engine, f *ringfile.File) bool {
	t.Helper()
	buf := ringfile.AlignedBuffer(4096, 4096)
	if _, err := f.WriteAt(buf, 0); err != nil {
		t.Fatal(err)
	}
	before := e.Stats().Ring
	if _, err := f.StartWriteAt(buf, 0).Await(); err != nil {
		t.Fatal(err)
	}
	return e.Stats().Ring > before
}

// TestDirectWritersAlone has few and many goroutines write over a file: few by system calls, a
// crowd by a ring.
func TestDirectWritersAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // the bound grows with it
	e, err := ringfile.New(ringfile.Config{Backend: ringfile.BackendURing, Rings: 1})
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	const block, blocks = 4096, 64
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, make([]byte, block*blocks), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := e.OpenFile(name, os.O_RDWR|oDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	write := func(goroutines, each int) (ring, blocking uint64) {
		before := e.Stats()
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				buf := ringfile.AlignedBuffer(block, block)
				for i := range each {
					if n, err := f.WriteAt(buf, int64((g+i)%blocks)*block); n != block || err != nil {
						t.Errorf("WriteAt = %d, %v", n, err)
					}
				}
			})
		}
		wg.Wait()
		after := e.Stats()
		return after.Ring - before.Ring, after.Blocking - before.Blocking
	}
	if !writesOnRing(t, e, f) {
		t.Skip("this file system's direct writes stay off the rings")
	}
	if ring, blocking := write(3, 50); ring != 0 || blocking != 150 {
		t.Errorf("3 goroutines: %d writes by a ring, %d by system calls, want 0 and 150", ring, blocking)
	}
	if ring, _ := write(64, 50); ring < 1600 {
		t.Errorf("64 goroutines: %d of 3200 writes by a ring, want most", ring)
	}
	// The crowd is remembered for a while, but after a sync.
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	if ring, blocking := write(1, 8); ring != 0 || blocking != 8 {
		t.Errorf("after a sync: %d writes by a ring, %d by system calls, want 0 and 8", ring, blocking)
	}
}
