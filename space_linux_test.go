package ringfile_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile"
)

// create makes an empty file until the test ends.
func create(t *testing.T, e *ringfile.Engine, dir string) *ringfile.File {
	t.Helper()
	f, err := e.CreateTemp(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		os.Remove(f.Name())
	})
	return f
}

// checkSpace compares the size of f, and how much space it takes, within 64 KiB.
func checkSpace(t *testing.T, what string, f *ringfile.File, size, space int64) {
	t.Helper()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	got := st.Sys().(*syscall.Stat_t).Blocks * 512
	if st.Size() != size || got < space || got > space+64<<10 {
		t.Errorf("%s: %d bytes that take %d, want %d that take %d", what, st.Size(), got, size, space)
	}
}

const mib = 1 << 20

// testAllocate reserves, zeroes and gives back space.
func testAllocate(t *testing.T, e *ringfile.Engine, kind, dir string) {
	f := create(t, e, dir)
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("keep the size", f.Allocate(0, 2*mib, ringfile.AllocateKeepSize))
	checkSpace(t, "keep the size", f, 0, 2*mib)
	check("extend", f.Allocate(0, mib, ringfile.AllocateExtend))
	checkSpace(t, "extend", f, mib, 2*mib)

	ones := bytes.Repeat([]byte{1}, mib)
	if _, err := f.WriteAt(ones, 0); err != nil {
		t.Fatal(err)
	}
	check("over data", f.Allocate(0, mib, 0))
	content := func(what string, zeroFrom, zeroTo int) {
		t.Helper()
		want := bytes.Clone(ones)
		clear(want[zeroFrom:zeroTo])
		got := make([]byte, mib)
		if n, err := f.ReadAt(got, 0); n != mib || err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other contents (%d, %v)", what, n, err)
		}
	}
	content("over data", 0, 0)
	// Not at the ends of blocks.
	check("punch", f.PunchHole(100_000, 500_000))
	content("punch", 100_000, 600_000)
	check("Sync", f.Sync())
	if st, err := f.Stat(); err != nil || st.Size() != mib || st.Sys().(*syscall.Stat_t).Blocks*512 > 2*mib-400_000 {
		t.Errorf("a hole takes its space: %+v, %v", st.Sys(), err)
	}
	switch err := f.Allocate(500_000, 200_000, ringfile.AllocateZero|ringfile.AllocateKeepSize); {
	case kind == "tmpfs":
		checkUnsupported(t, "zero", "allocate", err)
		content("zero", 100_000, 600_000)
	case err != nil:
		t.Errorf("zero: %v", err)
	default:
		content("zero", 100_000, 700_000)
		check("zero behind the end", f.Allocate(mib, mib, ringfile.AllocateZero|ringfile.AllocateKeepSize))
		if st, err := f.Stat(); err != nil || st.Size() != mib {
			t.Errorf("zero behind the end: %d, %v", st.Size(), err)
		}
		check("zero and extend", f.Allocate(mib, mib, ringfile.AllocateZero))
		if st, err := f.Stat(); err != nil || st.Size() != 2*mib {
			t.Errorf("zero and extend: %d, %v", st.Size(), err)
		}
	}

	for _, mode := range []ringfile.AllocateMode{4, 0x80, 0xff} {
		checkErrno(t, "an unknown mode", "allocate", f.Allocate(0, mib, mode), syscall.EINVAL)
	}
	checkErrno(t, "a negative offset", "punchhole", f.PunchHole(-1, mib), syscall.EINVAL)
	checkErrno(t, "no length", "punchhole", f.PunchHole(0, 0), syscall.EINVAL)
	r, err := e.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checkErrno(t, "open for reading", "punchhole", r.PunchHole(0, mib), syscall.EBADF)
	checkErrno(t, "open for reading", "allocate", r.Allocate(0, mib, ringfile.AllocateKeepSize), syscall.EBADF)
}

// checkErrno checks an error in the form of os.
func checkErrno(t *testing.T, what, op string, err error, want syscall.Errno) {
	t.Helper()
	var pe *os.PathError
	if !errors.As(err, &pe) || pe.Op != op || !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v from %s", what, err, want, op)
	}
}

// checkUnsupported checks the error of what cannot be done here.
func checkUnsupported(t *testing.T, what, op string, err error) {
	t.Helper()
	var pe *os.PathError
	if !errors.As(err, &pe) || pe.Op != op || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%s: %v, want a *fs.PathError of %s that matches ErrUnsupported", what, err, op)
	}
}

// testNextData finds the data of a file with holes.
func testNextData(t *testing.T, e *ringfile.Engine, kind, dir string) {
	f := create(t, e, dir)
	type extent struct{ start, end int64 }
	extents := func(f *ringfile.File, off int64) (found []extent) {
		t.Helper()
		for {
			start, end, err := f.NextData(off)
			if err == io.EOF {
				return found
			}
			if err != nil || start < off || end <= start {
				t.Fatalf("NextData(%d) = %d, %d, %v", off, start, end, err)
			}
			found = append(found, extent{start, end})
			off = end
		}
	}
	check := func(what string, f *ringfile.File, off int64, want ...extent) {
		t.Helper()
		got := extents(f, off)
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	}
	check("empty", f, 0)
	if err := f.Truncate(8 * mib); err != nil {
		t.Fatal(err)
	}
	check("a hole", f, 0)
	for _, off := range []int64{mib, 5 * mib} {
		if _, err := f.WriteAt(make([]byte, mib), off); err != nil {
			t.Fatal(err)
		}
	}
	const pos = 12345
	if _, err := f.Seek(pos, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	want := []extent{{mib, 2 * mib}, {5 * mib, 6 * mib}}
	check("data", f, 0, want...)
	check("within data", f, 5*mib+1, extent{5*mib + 1, 6 * mib})
	check("behind data", f, 6*mib)
	check("behind the end", f, 9*mib)
	if at, err := f.Seek(0, io.SeekCurrent); at != pos || err != nil {
		t.Errorf("the position has moved to %d, %v", at, err)
	}
	checkErrno(t, "a negative offset", "seek", second(f.NextData(-1)), syscall.EINVAL)

	// Beside those who use the position: each byte is read once.
	content := make([]byte, 8*mib)
	for i := range content {
		content[i] = byte(i >> 9)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if _, _, err := f.NextData(4 * mib); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	got, buf := []byte(nil), make([]byte, 20000)
	for {
		n, err := f.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			break
		}
	}
	close(stop)
	<-stopped
	if !bytes.Equal(got, content) {
		t.Error("reads beside NextData have read something else")
	}

	// Where others have the position, too, nobody moves it.
	if err := f.PunchHole(0, 4*mib); err != nil {
		t.Fatal(err)
	}
	check("punched", f, 0, extent{4 * mib, 8 * mib})
	o, err := f.Dup()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	check("duplicated", f, 0, extent{0, 8 * mib})
	check("duplicated, behind the end", f, 8*mib)
}

func second(_, _ int64, err error) error { return err }

// TestNextDataElsewhere: what is no regular file has no holes.
func TestNextDataElsewhere(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{fifo, t.TempDir()} {
			f, err := e.OpenFile(name, syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			checkErrno(t, name, "seek", second(f.NextData(0)), syscall.ESPIPE)
			f.Close()
			checkErrno(t, name, "seek", second(f.NextData(-1)), syscall.EINVAL)
		}
		f := create(t, e, t.TempDir())
		f.Close()
		if err := second(f.NextData(0)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a closed file: %v", err)
		}
		if err := second((*ringfile.File)(nil).NextData(0)); err != os.ErrInvalid {
			t.Errorf("no file: %v", err)
		}
	})
}
