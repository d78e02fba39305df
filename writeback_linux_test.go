package ringfile_test

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// testWriteback sees the kernel write a range back and leave the rest alone.
func testWriteback(t *testing.T, e *ringfile.Engine, kind, dir string) {
	f := create(t, e, dir)
	checkErrno(t, "a negative offset", "writeback", errorOf(f.Writeback(-1, 1)), syscall.EINVAL)
	checkErrno(t, "a negative length", "writeback", errorOf(f.Writeback(0, -1)), syscall.EINVAL)
	dirty := func(off, length int64) (pages uint64) {
		t.Helper()
		var stat unix.Cachestat_t
		err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: uint64(off), Len: uint64(length)}, &stat, 0)
		if err != nil {
			t.Skipf("needs Linux 6.5: cachestat: %v", err)
		}
		return stat.Dirty
	}
	// The kernel may write everything back at any time of its own accord, though it does not do that three times in
	// a row.
	var kept bool
	for range 3 {
		for _, off := range []int64{0, 16 * mib} {
			if _, err := f.WriteAt(make([]byte, 4*mib), off); err != nil {
				t.Fatal(err)
			}
		}
		synced, err := f.Writeback(16*mib, 4*mib)
		if err != nil || synced != (kind == "tmpfs") {
			t.Fatalf("Writeback = %v, %v", synced, err)
		}
		if synced {
			return
		}
		for end := time.Now().Add(time.Minute); dirty(16*mib, 4*mib) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the range is not written back")
			}
		}
		if kept = dirty(0, 4*mib) > 0; kept {
			break
		}
	}
	if !kept {
		t.Error("more than the range is written back")
	}
	if synced, err := f.Writeback(0, 0); synced || err != nil {
		t.Errorf("Writeback of all = %v, %v", synced, err)
	}
	for end := time.Now().Add(time.Minute); dirty(0, 20*mib) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the file is not written back")
		}
	}
}

func errorOf(_ bool, err error) error { return err }

// TestWritebackRefused: files that are closed, or none.
func TestWritebackRefused(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f := create(t, e, t.TempDir())
		f.Close()
		var pe *fs.PathError
		if synced, err := f.Writeback(0, 0); synced || !errors.Is(err, fs.ErrClosed) || !errors.As(err, &pe) || pe.Op != "writeback" {
			t.Errorf("a closed file: %v, %v", synced, err)
		}
		if synced, err := (*ringfile.File)(nil).Writeback(0, 0); synced || err != fs.ErrInvalid {
			t.Errorf("no file: %v, %v", synced, err)
		}
	})
}
