package ringfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/race"
)

// newEngine returns an engine that is closed after the test.
func newEngine(t *testing.T, c ringfile.Config) *ringfile.Engine {
	t.Helper()
	e, err := ringfile.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Engine.Close: %v", err)
		}
	})
	return e
}

// TestShortReads reads over the end of files, of which some pages are in the page cache and others are
// not: what is short because a page is not there is not taken for the end.
func TestShortReads(t *testing.T) {
	e := newEngine(t, ringfile.Config{})
	const page = 4096
	for _, size := range []int{1, 100, page - 1, page, page + 1, 3*page - 7, 3 * page, 5*page + 1} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i>>8 + i)
		}
		name := filepath.Join(t.TempDir(), fmt.Sprint(size))
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		plain, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		if err := unix.Fadvise(int(plain.Fd()), 0, 0, unix.FADV_RANDOM); err != nil { // no readahead
			t.Fatal(err)
		}
		for _, cached := range []int64{-1, 0, page, 2 * page} { // one page, or none
			for _, off := range []int64{0, 1, page - 1, page, int64(size) - 1, int64(size), int64(size) + 1} {
				for _, n := range []int{1, 50, page, 2 * page, 8*page + 3} {
					evict(t, name)
					if cached >= 0 {
						plain.ReadAt(make([]byte, 1), cached)
					}
					want, got := make([]byte, n), make([]byte, n)
					wantN, wantErr := copyAt(want, data, off)
					gotN, gotErr := f.ReadAt(got, off)
					if gotN != wantN || !errors.Is(gotErr, wantErr) || (gotErr == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
						t.Fatalf("size %d, page at %d cached, ReadAt of %d at %d: got %d, %v, want %d, %v",
							size, cached, n, off, gotN, gotErr, wantN, wantErr)
					}
				}
			}
		}
	}
}

// copyAt is the ReadAt of data.
func copyAt(p, data []byte, off int64) (int, error) { return bytes.NewReader(data).ReadAt(p, off) }

// TestMemoryFile reads and writes a file in memory, where there is nothing to wait for.
func TestMemoryFile(t *testing.T) {
	const memory = "/dev/shm"
	var st unix.Statfs_t
	if err := unix.Statfs(memory, &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skip("no tmpfs at " + memory)
	}
	dir, err := os.MkdirTemp(memory, "ringfile-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	e := newEngine(t, ringfile.Config{})
	f, err := e.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, 300_001)
	for i := range data {
		data[i] = byte(i>>8 + i)
	}
	if n, err := f.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write: got %d, %v", n, err)
	}
	before := e.Stats()
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for off := int64(0); off < int64(len(data))+5000; off += 1777 {
				for _, n := range []int{1, 4096, 64 << 10, 64<<10 + 1} {
					want, got := make([]byte, n), make([]byte, n)
					wantN, wantErr := copyAt(want, data, off)
					gotN, gotErr := f.ReadAt(got, off)
					if gotN != wantN || gotErr != wantErr || !bytes.Equal(got, want) {
						t.Errorf("ReadAt of %d at %d: got %d, %v, want %d, %v", n, off, gotN, gotErr, wantN, wantErr)
						return
					}
				}
			}
		})
	}
	crowd.Wait()
	if s := e.Stats(); s.Cached+s.Blocking == before.Cached+before.Blocking || s.Ring != before.Ring {
		t.Errorf("reads were no system calls: %+v", s)
	}
	// Errors are those of os.
	f.Close()
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("ReadAt after Close: %v", err)
	}
	if f, err = e.OpenFile(filepath.Join(dir, "file"), os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("ReadAt of a file that is open for writing: %v, want %v", err, syscall.EBADF)
	}
}

// TestPlainErrors makes system calls fail that File makes itself, where os made them before: the errors
// are those of os.
func TestPlainErrors(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("abc"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, backend := range []ringfile.Backend{ringfile.BackendAuto, ringfile.BackendBlocking} {
		e := newEngine(t, ringfile.Config{Backend: backend})
		f, err := e.Open(name) // for reading only
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		plain, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		for _, call := range []struct {
			what      string
			got, want func() (int, error)
		}{
			{"WriteAt", func() (int, error) { return f.WriteAt([]byte("x"), 1) }, func() (int, error) { return plain.WriteAt([]byte("x"), 1) }},
			{"Write", func() (int, error) { return f.Write([]byte("x")) }, func() (int, error) { return plain.Write([]byte("x")) }},
			{"ReadAt the end", func() (int, error) { return f.ReadAt(make([]byte, 1), 3) }, func() (int, error) { return plain.ReadAt(make([]byte, 1), 3) }},
			{"ReadAt over the end", func() (int, error) { return f.ReadAt(make([]byte, 9), 1) }, func() (int, error) { return plain.ReadAt(make([]byte, 9), 1) }},
			{"ReadAt far off", func() (int, error) { return f.ReadAt(make([]byte, 9), 1<<62) }, func() (int, error) { return plain.ReadAt(make([]byte, 9), 1<<62) }},
		} {
			n, err := call.got()
			wantN, wantErr := call.want()
			if n != wantN || fmt.Sprint(err) != fmt.Sprint(wantErr) || (err == io.EOF) != (wantErr == io.EOF) {
				t.Errorf("%v, %s: got %d, %v, want %d, %v", backend, call.what, n, err, wantN, wantErr)
			}
		}
	}
}

// TestShortReadReasons makes reads from the page cache short for other reasons than the end of the file.
func TestShortReadReasons(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		file, err := os.CreateTemp(dir, "ringfile-")
		if err != nil {
			t.Skip(err)
		}
		defer os.Remove(file.Name())
		defer file.Close()
		if _, err := file.Write(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
		e := newEngine(t, ringfile.Config{})
		f, err := e.Open(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range 3 { // so that all is known of the file system
			if _, err := f.ReadAt(make([]byte, 4096), 0); err != nil {
				t.Fatal(err)
			}
		}
		page := os.Getpagesize()
		mem, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(mem)
		if err := unix.Mprotect(mem[page:], unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
		for _, p := range [][]byte{mem, mem[10:], mem[page-1:], mem[page-300:]} {
			for _, off := range []int64{0, 100, 4095} {
				n, err := f.ReadAt(p, off)
				wantN, wantErr := file.ReadAt(p, off)
				if n != wantN || !errors.Is(err, syscall.EFAULT) || !errors.Is(wantErr, syscall.EFAULT) {
					t.Errorf("%s: ReadAt of %d at %d into memory that ends before: got %d, %v, want %d, %v",
						dir, len(p), off, n, err, wantN, wantErr)
				}
			}
		}
	}
}

// TestLargerThanTransfers reads more than the kernel moves at a time, from an offset within a page.
func TestLargerThanTransfers(t *testing.T) {
	var system unix.Sysinfo_t
	if testing.Short() || race.Enabled || unix.Sysinfo(&system) != nil || uint64(system.Freeram)*uint64(system.Unit) < 8<<30 || math.MaxInt == math.MaxInt32 {
		t.Skip("needs 8 GiB of free memory, and time")
	}
	size := math.MaxInt32 // not a constant, as it does not fit smaller ints
	size += 1 << 20
	name := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(name, []byte("ab"), 0o644), os.Truncate(name, int64(size))); err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Munmap(mem)
	unix.Madvise(mem, unix.MADV_HUGEPAGE)
	e := newEngine(t, ringfile.Config{})
	f, err := e.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 { // the second time from the page cache
		if n, err := f.ReadAt(mem[:size-1], 1); n != size-1 || err != nil || mem[0] != 'b' {
			t.Fatalf("got %d, %v, want %d", n, err, size-1)
		}
	}
}
