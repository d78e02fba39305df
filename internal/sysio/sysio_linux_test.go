package sysio

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
)

// open opens a file of n bytes of Pattern for reading and writing.
func open(t *testing.T, n, flag int) (Handle, Status) {
	t.Helper()
	h, s, err := Open(testutil.PatternFile(t, n), os.O_RDWR|flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.OS.Close() })
	return h, s
}

// TestStatus opens, and adopts, files of each kind.
func TestStatus(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, make([]byte, 123), 0o644); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	dev := uint64(st.Dev)
	for _, c := range []struct {
		name   string
		flag   int
		adopts bool // what Adopt finds is the same
		want   Status
	}{
		{name, os.O_RDONLY, true, Status{Known: true, Stored: true, Seekable: true, Device: dev, Size: 123}},
		{name, os.O_RDWR | os.O_APPEND, true, Status{Known: true, Stored: true, Seekable: true, Device: dev, Size: 123, Append: true}},
		{dir, os.O_RDONLY, true, Status{Known: true, Stored: true, Device: dev}},
		{fifo, os.O_RDWR, false, Status{Known: true, Nonblock: true}},
		{"/dev/null", os.O_RDWR, true, Status{Known: true}},
	} {
		h, got, err := Open(c.name, c.flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Seekable && c.name != dir {
			got.Device = 0 // of no interest
		}
		if got.mayBlock = false; got != c.want {
			t.Errorf("Open(%s, %#x): %+v, want %+v", c.name, c.flag, got, c.want)
		}
		if h.OS.Name() != c.name || h.FD < 0 || int(h.OS.Fd()) != h.FD {
			t.Errorf("Open(%s): %+v", c.name, h)
		}
		h.OS.Close()
		f, err := os.OpenFile(c.name, c.flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		h, got = Adopt(f)
		if !got.Seekable && c.name != dir {
			got.Device = 0
		}
		if got.mayBlock = false; c.adopts && got != c.want {
			t.Errorf("Adopt(%s, %#x): %+v, want %+v", c.name, c.flag, got, c.want)
		}
		if h.OS != f {
			t.Error("another file is adopted")
		}
		f.Close()
	}
	var pe *fs.PathError
	if _, _, err := Open(filepath.Join(dir, "none"), os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &pe) || pe.Op != "open" {
		t.Errorf("Open of what is not there: %v", err)
	}
	closed, _ := os.Open(name)
	closed.Close()
	if h, s := Adopt(closed); h.FD != -1 || s.Known {
		t.Errorf("a closed file is adopted as %+v, %+v", h, s)
	}
}

// TestMode creates files with all kinds of permissions, as os does.
func TestMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0, 0o600, 0o754, 0o600 | fs.ModeSetuid, 0o700 | fs.ModeSetgid, 0o700 | fs.ModeSticky} {
		dir := t.TempDir()
		h, _, err := Open(filepath.Join(dir, "ours"), os.O_RDWR|os.O_CREATE, mode)
		if err != nil {
			t.Fatal(err)
		}
		h.OS.Close()
		f, err := os.OpenFile(filepath.Join(dir, "theirs"), os.O_RDWR|os.O_CREATE, mode)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		ours, err1 := os.Stat(filepath.Join(dir, "ours"))
		theirs, err2 := os.Stat(filepath.Join(dir, "theirs"))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if ours.Mode() != theirs.Mode() {
			t.Errorf("%v became %v, want %v", mode, ours.Mode(), theirs.Mode())
		}
	}
}

// TestTransfers reads and writes at offsets and at the position.
func TestTransfers(t *testing.T) {
	const size = 10_000
	h, _ := open(t, size, 0)
	buf := make([]byte, 4096)
	check := func(what string, off int64, want, n int, err, wantErr error) {
		t.Helper()
		if n != want || err != wantErr {
			t.Errorf("%s = %d, %v, want %d, %v", what, n, err, want, wantErr)
		}
		if at := testutil.CheckPattern(buf[:max(n, 0)], off); at >= 0 {
			t.Errorf("%s: wrong byte at %d", what, at)
		}
	}
	n, err := h.Pread(buf, 100, false)
	check("Pread", 100, 4096, n, err, nil)
	n, err = h.Pread(buf, size-100, false)
	check("Pread beyond the end", size-100, 100, n, err, io.EOF)
	n, err = h.Pread(buf, size-100, true)
	check("one read beyond the end", size-100, 100, n, err, nil)
	n, err = h.Pread(buf, size, true)
	check("Pread at the end", 0, 0, n, err, io.EOF)
	for i := range 3 {
		n, err = h.Pread(buf[:1000], OffCurrent, false)
		check("Read", int64(i)*1000, 1000, n, err, nil)
	}
	vec := [][]byte{buf[:100], buf[100:1000]}
	n, err = h.Preadv(vec, 5000)
	check("Preadv", 5000, 1000, n, err, nil)
	n, errno := h.PreadNowait(buf, 0)
	if errno == 0 {
		check("PreadNowait", 0, 4096, n, nil, nil)
		n, errno = h.PreadvNowait(vec, 300)
		check("PreadvNowait", 300, 1000, n, nil, nil)
	}
	if errno != 0 && errno != syscall.EOPNOTSUPP && errno != syscall.EAGAIN {
		t.Errorf("PreadNowait: %v", errno)
	}

	for i, write := range []func(p []byte) (int, error){
		func(p []byte) (int, error) { return h.Pwrite(p, 2000) },
		func(p []byte) (int, error) { return h.Pwritev([][]byte{p[:10], p[10:]}, 2000) },
		func(p []byte) (int, error) {
			h.OS.Seek(2000, io.SeekStart)
			return h.Pwrite(p, OffCurrent)
		},
	} {
		p := make([]byte, 500)
		testutil.Pattern(p, int64(i)*1111)
		if n, err := write(p); n != len(p) || err != nil {
			t.Errorf("write %d = %d, %v", i, n, err)
		}
		if n, err := h.Pread(buf[:500], 2000, false); n != 500 || err != nil || testutil.CheckPattern(buf[:500], int64(i)*1111) >= 0 {
			t.Errorf("write %d: other data is in the file (%d, %v)", i, n, err)
		}
	}
	if size1, ok := h.Length(); size1 != size || !ok {
		t.Errorf("Length = %d, %v", size1, ok)
	}
	for what, err := range map[string]error{
		"Sync": h.Sync(false), "Datasync": h.Sync(true), "Allocate": h.Allocate(0, 0, 2*size), "Advise": h.Advise(0, 0, AdviceWillNeed),
	} {
		if err != nil && err != syscall.EOPNOTSUPP {
			t.Errorf("%s: %v", what, err)
		}
	}
	if h.DirectNow() {
		t.Error("O_DIRECT is on")
	}

	h.FD = -1
	for what, err := range map[string]error{
		"Pread":  func() error { _, err := h.Pread(buf, 0, false); return err }(),
		"Pwrite": func() error { _, err := h.Pwrite(buf, 0); return err }(),
		"Preadv": func() error { _, err := h.Preadv(vec, 0); return err }(),
		"Sync":   h.Sync(false),
	} {
		if err != syscall.EBADF {
			t.Errorf("%s on a bad descriptor: %v", what, err)
		}
	}
}

// TestSyscallHelps tells what a system call may do better from what is as it is.
func TestSyscallHelps(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{
		syscall.EOPNOTSUPP: true, syscall.EINVAL: true, syscall.ENOSYS: true, syscall.EBADF: true, syscall.EAGAIN: true,
		syscall.EINTR: true, syscall.ECANCELED: true, syscall.EFAULT: true,
		syscall.EIO: false, syscall.ENOSPC: false, syscall.EDQUOT: false, syscall.ENOMEM: false, syscall.ESTALE: false,
	} {
		if got := SyscallHelps(errno); got != want {
			t.Errorf("%v: %v", errno, got)
		}
	}
}

// TestFacts reads what explains a refused io_uring.
func TestFacts(t *testing.T) {
	f := ReadFacts()
	if f.Release == "unknown" || f.Memlock == "unknown" || f.UringDisabled < -1 || f.UringDisabled > 2 {
		t.Errorf("%+v", f)
	}
}
