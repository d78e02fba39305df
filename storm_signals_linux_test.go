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
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/enginetest"
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

// TestStormSignalsFIFO has signals interrupt the opening of a FIFO, which waits for the other end, and copies from it
// and to it.
func TestStormSignalsFIFO(t *testing.T) {
	defer pester(t)()
	enginetest.Backends(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		const size = 1 << 20
		src, err := e.Open(testutil.PatternFile(t, size))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		dir := t.TempDir()
		fifo := filepath.Join(dir, "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, open := range []func(name string, flag int) (*ringfile.File, error){
			func(name string, flag int) (*ringfile.File, error) { return e.OpenFile(name, flag, 0) },
			func(name string, flag int) (*ringfile.File, error) {
				return fsys.On(e).OpenFile(t.Context(), name, flag, 0)
			},
		} {
			for _, readerFirst := range []bool{true, false} {
				wait := func(me bool) { // so that who is first does wait for the other
					if !me {
						time.Sleep(10 * time.Millisecond)
					}
				}
				var group sync.WaitGroup
				group.Go(func() {
					wait(!readerFirst)
					w, err := open(fifo, os.O_WRONLY)
					if err != nil {
						t.Errorf("open to write: %v", err)
						return
					}
					defer w.Close()
					src.Seek(0, io.SeekStart)
					if n, err := io.Copy(w, src); n != size || err != nil {
						t.Errorf("copy to the FIFO: %d, %v", n, err)
					}
				})
				group.Go(func() {
					wait(readerFirst)
					r, err := open(fifo, os.O_RDONLY)
					if err != nil {
						t.Errorf("open to read: %v", err)
						return
					}
					defer r.Close()
					dst, err := e.Create(filepath.Join(dir, "copy"))
					if err != nil {
						t.Error(err)
						return
					}
					defer dst.Close()
					n, err := io.Copy(dst, r)
					if got, err1 := os.ReadFile(dst.Name()); n != size || err != nil || err1 != nil || testutil.CheckPattern(got, 0) >= 0 {
						t.Errorf("copy from the FIFO: %d, %v, %v", n, err, err1)
					}
				})
				group.Wait()
				if t.Failed() {
					return
				}
			}
		}
	})
}
