package ringfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
)

// testAtomic makes atomic writes where there are some (XFS, by itself from Linux 6.16 on, else by grace of the device,
// ext4 by that only), and finds that what is refused has written nothing.
func testAtomic(t *testing.T, e *ringfile.Engine, kind, dir string) {
	const size = 4 * mib
	old := bytes.Repeat([]byte{1}, size)
	name := create(t, e, dir).Name()
	if err := os.WriteFile(name, old, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(flag int) *ringfile.File {
		f, err := e.OpenFile(name, os.O_RDWR|flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	buffered, f := open(0), open(syscall.O_DIRECT)
	fresh := ringfile.AlignedBuffer(size, 4096)
	for i := range fresh {
		fresh[i] = 2
	}
	unchanged := func(what string) {
		t.Helper()
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, old) {
			t.Errorf("%s: the file has changed (%v)", what, err)
		}
	}
	smallest, largest, err := f.AtomicWriteUnits()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("units from %d to %d", smallest, largest)
	checkUnsupported(t, "without O_DIRECT", "write", buffered.WriteAtAtomic(fresh[:4096], 0))
	if err := open(os.O_APPEND).WriteAtAtomic(fresh[:4096], 0); err == nil {
		t.Error("WriteAtAtomic to a file that is appended to")
	}
	unchanged("without O_DIRECT")
	if smallest == 0 {
		if largest != 0 {
			t.Errorf("units from 0 to %d", largest)
		}
		checkUnsupported(t, "no atomic writes", "write", f.WriteAtAtomic(fresh[:4096], 0))
		unchanged("no atomic writes")
		return
	}
	for _, c := range []struct {
		what    string
		n       int
		off     int64
		aligned int
	}{
		{"three blocks", 3 * smallest, 0, 0}, {"half a block", smallest / 2, 0, 0}, {"too large", 2 * largest, 0, 0},
		{"not at a multiple", 2 * smallest, int64(smallest), 0}, {"memory that is not aligned", smallest, 0, 1},
	} {
		if c.n > size/2 {
			continue
		}
		checkErrno(t, c.what, "write", f.WriteAtAtomic(fresh[c.aligned:][:c.n], c.off), syscall.EINVAL)
		unchanged(c.what)
	}
	var pe *fs.PathError
	if err := f.WriteAtAtomic(fresh[:4096], -4096); !errors.As(err, &pe) {
		t.Errorf("a negative offset: %v", err)
	}
	if err := f.WriteAtAtomic(nil, 0); err != nil {
		t.Errorf("nothing: %v", err)
	}
	unchanged("nothing")

	want := bytes.Clone(old)
	off := 0
	for n := smallest; n <= min(largest, mib); n *= 2 {
		off = (off + n - 1) / n * n
		if err := f.WriteAtAtomic(fresh[:n], int64(off)); err != nil {
			t.Fatalf("%d bytes at %d: %v", n, off, err)
		}
		copy(want[off:], fresh[:n])
		if off += n; off+2*n > size {
			break
		}
	}
	// With a deadline the write goes by the memory of the engine, and by a ring where there is one.
	f.ReadAt(fresh[:4096], 0)
	for i := range fresh {
		fresh[i] = 3
	}
	before := e.Stats()
	f.SetDeadline(time.Now().Add(time.Minute))
	const writers = 16
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			if err := f.WriteAtAtomic(fresh[:smallest], int64(i*smallest)); err != nil {
				t.Errorf("with a deadline: %v", err)
			}
		})
	}
	group.Wait()
	copy(want, fresh[:writers*smallest])
	// A caller that comes while the ring is being made makes a system call.
	if e.Backend() == ringfile.BackendURing && e.Stats().Ring == before.Ring {
		t.Error("no write by a ring")
	}
	if 2*mib <= largest {
		checkErrno(t, "long, with a deadline", "write", f.WriteAtAtomic(fresh[:2*mib], 0), syscall.EINVAL)
	}
	f.SetDeadline(time.Now().Add(-time.Second))
	if err := f.WriteAtAtomic(fresh[:smallest], 0); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	f.SetDeadline(time.Time{})
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other data is in the file (%v)", err)
	}
}

// TestAtomicElsewhere: what is no regular file has no atomic writes, and is not written to.
func TestAtomicElsewhere(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.OpenFile("/dev/null", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		checkUnsupported(t, "/dev/null", "write", f.WriteAtAtomic(make([]byte, 4096), 0))
		if smallest, largest, err := f.AtomicWriteUnits(); smallest != 0 || largest != 0 || err != nil {
			t.Errorf("units of /dev/null: %d, %d, %v", smallest, largest, err)
		}
		if err := (*ringfile.File)(nil).WriteAtAtomic(nil, 0); err != fs.ErrInvalid {
			t.Errorf("no file: %v", err)
		}
	})
}
