package ringfile_test

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// pester sends SIGURG and SIGPROF to every thread of the process as fast as it can until the
// returned function is called. The runtime handles both: one is its own for preemption, the other
// it ignores unless a profile is being taken.
func pester(t *testing.T) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		pid := os.Getpid()
		for round := 0; ; round++ {
			tasks, err := os.ReadDir("/proc/self/task")
			if err != nil {
				t.Error(err)
				return
			}
			for _, task := range tasks {
				tid, err := strconv.Atoi(task.Name())
				if err != nil {
					continue
				}
				for range 20 {
					unix.Tgkill(pid, tid, syscall.SIGURG)
					unix.Tgkill(pid, tid, syscall.SIGPROF)
				}
			}
			select {
			case <-end:
				return
			default:
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// TestStormSignals has signals interrupt every call that can be interrupted, while data is read and
// written in every way.
func TestStormSignals(t *testing.T) {
	defer pester(t)()
	mixedStorm(t)
}

// TestStormSignalsWhole has signals interrupt what a program does with whole files: opening, engines of
// its own, whose kernel threads must first be made, reading and writing at the position, syncs,
// allocation, copying.
func TestStormSignalsWhole(t *testing.T) {
	defer pester(t)()
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		flags := os.O_RDWR | os.O_CREATE | os.O_TRUNC
		f := open()
		if direct, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err == nil {
			flags |= direct & oDirect
		}
		f.Close()
		dir := t.TempDir()
		storm(t, 8, func(rng *rand.Rand, w int) {
			use := e
			if rng.IntN(4) == 0 {
				own, err := ringfile.New(small)
				if err != nil {
					t.Errorf("New: %v", err)
					return
				}
				defer func() {
					if err := own.Close(); err != nil {
						t.Errorf("Engine.Close: %v", err)
					}
				}()
				use = own
			}
			wholeFile(t, rng, use, filepath.Join(dir, strconv.Itoa(w)), flags)
		})
	})
}

// wholeFile writes a file in pieces and reads it back.
func wholeFile(t *testing.T, rng *rand.Rand, e *ringfile.Engine, name string, flags int) {
	f, err := e.OpenFile(name, flags, 0o600)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	buf := ringfile.AlignedBuffer(32<<10, 4096)
	check := func(what string, n int, err error) {
		if n != len(buf) || err != nil {
			t.Errorf("%s = %d, %v", what, n, err)
		}
	}
	if rng.IntN(2) == 0 {
		if err := f.Allocate(0, 256<<10, 0); err != nil {
			t.Errorf("Allocate: %v", err)
		}
	}
	var off int64
	for range 4 {
		testutil.Pattern(buf, off)
		var n int
		var err error
		switch rng.IntN(4) {
		case 0:
			n, err = f.Write(buf)
		case 1:
			n, err = f.WriteContext(t.Context(), buf)
		case 2:
			n, err = f.StartWriteAt(buf, off).Await()
			f.Seek(int64(len(buf)), io.SeekCurrent)
		default:
			n, err = f.WritevAt([][]byte{buf[:4096], buf[4096:]}, off)
			f.Seek(int64(len(buf)), io.SeekCurrent)
		}
		check("write", n, err)
		off += int64(len(buf))
	}
	switch rng.IntN(4) {
	case 0:
		err = f.Sync()
	case 1:
		_, err = f.StartSync().Await()
	case 2:
		err = f.DatasyncContext(t.Context())
	}
	if err != nil {
		t.Errorf("sync: %v", err)
	}
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	f.Seek(0, io.SeekStart)
	for at := int64(0); at < off; at += int64(len(buf)) {
		clear(buf)
		var n int
		var err error
		switch rng.IntN(4) {
		case 0:
			n, err = f.Read(buf)
		case 1:
			n, err = f.ReadContext(t.Context(), buf)
		case 2:
			n, err = f.StartReadAt(buf, at).Await()
			f.Seek(int64(len(buf)), io.SeekCurrent)
		default:
			n, err = f.ReadvAt([][]byte{buf[:4096], buf[4096:]}, at)
			f.Seek(int64(len(buf)), io.SeekCurrent)
		}
		check("read", n, err)
		if bad := testutil.CheckPattern(buf, at); bad >= 0 {
			t.Errorf("wrong byte at %d", at+int64(bad))
		}
	}
}
