package faults_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

// vectorCalls write p, in pieces, at off.
var vectorCalls = []call{
	{"WritevAt", func(f *ringfile.File, p []byte, off int64) (int, error) { return f.WritevAt(pieces(p), off) }},
	{"StartWritevAt", func(f *ringfile.File, p []byte, off int64) (int, error) {
		return f.StartWritevAt(pieces(p), off).Await()
	}},
	{"deadline", func(f *ringfile.File, p []byte, off int64) (int, error) {
		return withDeadline(f, func() (int, error) { return f.WritevAt(pieces(p), off) })
	}},
}

// pieces makes a vector of p with buffers of 64 KiB.
func pieces(p []byte) (vec [][]byte) {
	for len(p) > 0 {
		n := min(len(p), 64<<10)
		vec = append(vec, p[:n])
		p = p[n:]
	}
	return vec
}

// TestDiskFull: a write that fills the disk says how much of it was written, and that is there.
//
// The kernel counts only whole steps of its own: Linux 6.18 takes data into the page cache in
// large folios, each whole or not at all, and a direct write that runs out of space fails whole. A direct write in
// one system call may therefore have n = 0.
func TestDiskFull(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		const room = 5<<20 + 12<<10 // ends within a buffer
		p := patterned(t, 8<<20, 0)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			modes(t, func(t *testing.T, flag int) {
				for _, c := range vectorCalls {
					leave(t, d, room)
					f := open(t, e, filepath.Join(d.Mount, "new"), os.O_CREATE|flag)
					fillUp(t, d, f, flag != 0, c, p)
					f.Truncate(0) // unlike a removal, that makes room at once
					f.Close()
				}
			})
		})
	})
}

// leave makes a file that leaves about n bytes of the disk free.
func leave(t *testing.T, d *faults.Disk, n int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(d.Mount, "filler"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		excess := free(t, d) - n
		if excess < 4096 {
			return
		}
		// Metadata takes some of it, so in steps.
		if err := unix.Fallocate(int(f.Fd()), 0, st.Size(), max(excess/2&^4095, 4096)); err != nil {
			t.Fatal(err)
		}
	}
}

func free(t *testing.T, d *faults.Disk) int64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(d.Mount, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// fillUp writes more to f than there is room for, and checks what comes of it.
func fillUp(t *testing.T, d *faults.Disk, f *ringfile.File, direct bool, c call, p []byte) {
	t.Helper()
	n, err := c.do(f, p, 0)
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Op != "write" || pe.Err != unix.ENOSPC {
		t.Errorf("%s: got %d, %v, want ENOSPC in a *fs.PathError", c.name, n, err)
		return
	}
	if n < 0 || n >= len(p) || n == 0 && !direct {
		t.Errorf("%s: n is %d, of %d", c.name, n, len(p))
		return
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() != int64(n) && !(direct && st.Size() > int64(n)) {
		t.Errorf("%s: says it wrote %d bytes, the file has %d", c.name, n, st.Size())
	}
	if err := f.Sync(); err != nil {
		t.Errorf("%s: what was written cannot be synced: %v", c.name, err)
	}
	dropCache(t, f)
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < n {
		t.Errorf("%s: %d bytes to read, not %d", c.name, len(got), n)
	} else if at := testutil.CheckPattern(got[:n], 0); at >= 0 {
		t.Errorf("%s: %d bytes were written, but %d differs", c.name, n, at)
	}
	// The engine works on, and so does the file once there is room.
	os.Truncate(filepath.Join(d.Mount, "filler"), 0)
	if m, err := c.do(f, p[:1<<20], 0); m != 1<<20 || err != nil {
		t.Errorf("%s, with room again: %d, %v", c.name, m, err)
	}
}
