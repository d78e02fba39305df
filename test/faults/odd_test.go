package faults_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	nodes "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

// oddRoot is a file system of one file whose server opens it with flags.
type oddRoot struct {
	nodes.Inode
	flags uint32
	short uint64
}

func (r *oddRoot) OnAdd(ctx context.Context) {
	r.AddChild("file", r.NewPersistentInode(ctx, &oddFile{flags: r.flags, short: r.short}, nodes.StableAttr{}), false)
}

type oddFile struct {
	nodes.Inode
	flags uint32
	short uint64 // by how much it is longer than it says
}

const oddContents = "hello"

func (f *oddFile) Getattr(_ context.Context, _ nodes.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Size, out.Mode = uint64(len(oddContents))-f.short, 0o644
	return 0
}

func (f *oddFile) Open(context.Context, uint32) (nodes.FileHandle, uint32, syscall.Errno) {
	return nil, f.flags, 0
}

func (f *oddFile) Read(_ context.Context, _ nodes.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := copy(p, oddContents[min(off, int64(len(oddContents))):])
	return fuse.ReadResultData(p[:n]), 0
}

// mountOdd mounts the file system at dir.
func mountOdd(t *testing.T, dir string, flags uint32) {
	t.Helper()
	mountOddShort(t, dir, flags, 0)
}

// mountOddShort is mountOdd for a file that says it is shorter than it is.
func mountOddShort(t *testing.T, dir string, flags uint32, short uint64) {
	t.Helper()
	options := &nodes.Options{}
	options.DirectMountStrict = true
	server, err := nodes.Mount(dir, &oddRoot{flags: flags, short: short}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

// TestNoOffsets reads a regular file that takes no offsets, as servers of streams have them.
func TestNoOffsets(t *testing.T) {
	if err := faults.Possible(); err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	dir := t.TempDir()
	mountOdd(t, dir, fuse.FOPEN_NONSEEKABLE|fuse.FOPEN_DIRECT_IO)
	name := filepath.Join(dir, "file")
	if got, err := os.ReadFile(name); string(got) != oddContents || err != nil {
		t.Fatalf("os.ReadFile: got %q, %v", got, err)
	}
	for _, backend := range []ringfile.Backend{ringfile.BackendAuto, ringfile.BackendBlocking} {
		e, err := ringfile.New(ringfile.Config{Backend: backend})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if got, err := e.ReadFile(name); string(got) != oddContents || err != nil {
			t.Errorf("%v, ReadFile: got %q, %v, want %q", backend, got, err, oddContents)
		}
		p := make([]byte, 100)
		if n, err := ringfile.ReadFileInto(name, p); string(p[:n]) != oddContents || err != nil {
			t.Errorf("%v, ReadFileInto: got %q, %v, want %q", backend, p[:n], err, oddContents)
		}
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.ReadAt(p, 0); !errors.Is(err, syscall.ESPIPE) {
			t.Errorf("%v, ReadAt: %v, want %v", backend, err, syscall.ESPIPE)
		}
	}
}

// TestCopyOdd copies a file that takes no offsets, and one that is longer than it says, as servers have them.
func TestCopyOdd(t *testing.T) {
	if err := faults.Possible(); err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	for what, c := range map[string]struct {
		flags uint32
		short uint64
	}{
		"no offsets": {fuse.FOPEN_NONSEEKABLE | fuse.FOPEN_DIRECT_IO, 0},
		"longer":     {fuse.FOPEN_DIRECT_IO, 2},
		"both":       {fuse.FOPEN_NONSEEKABLE | fuse.FOPEN_DIRECT_IO, 2},
	} {
		dir := t.TempDir()
		mountOddShort(t, dir, c.flags, c.short)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			for _, direct := range []bool{false, true} {
				dst := filepath.Join(t.TempDir(), "copy")
				n, err := copyfile.Copy(t.Context(), dst, filepath.Join(dir, "file"), copyfile.Config{Direct: direct, Engine: e})
				got, _ := os.ReadFile(dst)
				if string(got) != oddContents || int(n) != len(oddContents) || err != nil {
					t.Errorf("%s, direct %v: Copy = %d, %v; dst has %q, want %q", what, direct, n, err, got, oddContents)
				}
			}
		})
	}
}

// TestNumberOfMemory puts a file server where a file system in memory was, with the same device number:
// its files are not taken for memory, which is read without telling the scheduler.
func TestNumberOfMemory(t *testing.T) {
	if err := faults.Possible(); err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := make([]byte, 100)
	// read reads the file a few times, and returns how many of the reads told the scheduler.
	read := func(name, want string) uint64 {
		t.Helper()
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		before := e.Stats().Blocking
		for range 5 {
			if n, _ := f.ReadAt(p, 0); string(p[:n]) != want {
				t.Errorf("got %q, want %q", p[:n], want)
			}
		}
		return e.Stats().Blocking - before
	}
	device := func(dir string) uint64 {
		var st syscall.Stat_t
		if err := syscall.Stat(dir, &st); err != nil {
			t.Fatal(err)
		}
		return st.Dev
	}
	for range 20 {
		dir := t.TempDir()
		if err := syscall.Mount("ringfile-test", dir, "tmpfs", 0, ""); err != nil {
			t.Skip(err)
		}
		number := device(dir)
		name := filepath.Join(dir, "file")
		err := os.WriteFile(name, []byte("memory"), 0o644)
		if n := read(name, "memory"); e.Backend() == ringfile.BackendURing && (n == 0 || n > 3) {
			t.Logf("%d of 5 reads in memory told the scheduler; is there swap?", n)
		}
		if err := errors.Join(err, syscall.Unmount(dir, 0)); err != nil {
			t.Fatal(err)
		}
		mountOdd(t, dir, fuse.FOPEN_DIRECT_IO)
		if n := read(name, oddContents); n != 5 {
			t.Errorf("%d of 5 reads from a server told the scheduler, want all", n)
		}
		if device(dir) == number {
			return // as hoped for
		}
	}
	t.Skip("device numbers are not used again here")
}
