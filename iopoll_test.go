package ringfile_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// pollTargets returns what RINGFILE_POLL_DIR names, separated by colons: directories, and block
// devices that may only be read, on devices with poll queues. In the guests of the kernel matrix it
// must be set.
func pollTargets(t *testing.T) []string {
	t.Helper()
	dirs := os.Getenv("RINGFILE_POLL_DIR")
	if dirs == "" {
		if os.Getenv("KM_GUEST") != "" {
			t.Fatal("RINGFILE_POLL_DIR is not set in a guest, which has devices that can be polled")
		}
		t.Skip("set RINGFILE_POLL_DIR to directories or block devices with poll queues (nvme.poll_queues=1)")
	}
	return strings.Split(dirs, ":")
}

// pollEngines runs test on engines in IOPOLL mode, one in each directory and for each way to poll.
func pollEngines(t *testing.T, test func(t *testing.T, e *ringfile.Engine, dir string)) {
	for _, dir := range pollTargets(t) {
		st, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !st.IsDir() {
			continue
		}
		for name, c := range map[string]ringfile.Config{
			"plain": {}, "two rings": {Rings: 2, Depth: 16}, "sqpoll": withSQPoll(ringfile.Config{}),
		} {
			t.Run(filepath.Base(dir)+"/"+name, func(t *testing.T) {
				own, err := os.MkdirTemp(dir, "iopoll")
				if err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(own)
				e := newIOPoll(t, c)
				test(t, e, own)
				if err := e.Close(); err != nil {
					t.Error(err)
				}
				if s := e.Stats(); s.Broken != 0 || s.Unknown != 0 || s.InFlight != 0 {
					t.Errorf("stats: %+v", s)
				}
			})
		}
	}
}

// pollFile makes a file of Pattern in dir. It is written with O_DIRECT: Linux 7.1 never ends a polled
// write to an ext4 file with pages in the page cache.
func pollFile(t *testing.T, e *ringfile.Engine, dir string) *ringfile.File {
	t.Helper()
	f, err := e.OpenFile(filepath.Join(dir, "f"), os.O_RDWR|os.O_CREATE|oDirect, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	buf := ringfile.AlignedBuffer(fileSize, 4096)
	testutil.Pattern(buf, 0)
	if n, err := f.WriteAt(buf, 0); n != fileSize || err != nil {
		t.Fatalf("WriteAt = %d, %v", n, err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestIOPoll reads and writes in every way on devices that can be polled.
func TestIOPoll(t *testing.T) {
	pollEngines(t, func(t *testing.T, e *ringfile.Engine, dir string) {
		f := pollFile(t, e, dir)
		defer f.Close()
		storm(t, fileSize/(64<<10), func(rng *rand.Rand, w int) {
			buf := ringfile.AlignedBuffer(4096, 4096)
			off := int64(w)*64<<10 + rng.Int64N(16)*4096
			if w%4 == 0 {
				testutil.Pattern(buf, off)
				if n, err := f.WriteAt(buf, off); n != 4096 || err != nil {
					t.Errorf("WriteAt = %d, %v", n, err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(20))*time.Millisecond)
			n, err := anyRead(ctx, rng, f, buf, off)
			cancel()
			checkRead(t, n, err, buf, off)
		})
		if n, err := f.ReadAt(ringfile.AlignedBuffer(4096, 4096), fileSize); n != 0 || err == nil {
			t.Errorf("read behind the end = %d, %v", n, err)
		}
		if s := e.Stats(); s.Ring == 0 {
			t.Errorf("nothing went to the ring: %+v", s)
		}
	})
}

// TestIOPollRaw reads block devices.
func TestIOPollRaw(t *testing.T) {
	for _, dev := range pollTargets(t) {
		if st, err := os.Stat(dev); err != nil || st.IsDir() {
			continue
		}
		t.Run(filepath.Base(dev), func(t *testing.T) {
			want := make([]byte, 64<<10)
			if plain, err := os.Open(dev); err != nil {
				t.Fatal(err)
			} else if _, err := plain.ReadAt(want, 0); err != nil {
				t.Fatal(err)
			} else {
				plain.Close()
			}
			e := newIOPoll(t, ringfile.Config{})
			f, err := e.OpenFile(dev, os.O_RDONLY|oDirect, 0)
			if err != nil {
				t.Fatal(err)
			}
			before := interrupts("nvme")
			buf := ringfile.AlignedBuffer(4096, 4096)
			for i := range 200 {
				off := i % 16 * 4096
				clear(buf)
				if n, err := f.ReadAt(buf, int64(off)); n != 4096 || err != nil || string(buf) != string(want[off:off+4096]) {
					t.Fatalf("ReadAt(%d) = %d, %v, or wrong data", off, n, err)
				}
			}
			if n := interrupts("nvme") - before; n > 20 {
				t.Errorf("%d interrupts for 200 reads: they were not polled", n)
			}
			f.Close()
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// interrupts counts those of devices whose line in /proc/interrupts contains name.
func interrupts(name string) (n int) {
	all, _ := os.ReadFile("/proc/interrupts")
	for line := range strings.Lines(string(all)) {
		if !strings.Contains(line, name) {
			continue
		}
		for _, field := range strings.Fields(line) {
			if k, err := strconv.Atoi(field); err == nil {
				n += k
			}
		}
	}
	return n
}

// TestIOPollUnpolled does on a device that can be polled what an engine that polls leaves to system
// calls, beside a file that is polled.
func TestIOPollUnpolled(t *testing.T) {
	pollEngines(t, func(t *testing.T, e *ringfile.Engine, dir string) {
		f := pollFile(t, e, dir)
		readDirect(t, f, 0)
		unpolled(t, e)
		readDirect(t, f, 4096)
		f.Close()
	})
}

// TestIOPollClose closes files and engines while polled reads are in flight. Those that the device
// has begun end by themselves.
func TestIOPollClose(t *testing.T) {
	pollEngines(t, func(t *testing.T, e *ringfile.Engine, dir string) {
		f := pollFile(t, e, dir)
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				buf := ringfile.AlignedBuffer(4096, 4096)
				for i := 0; ; i++ {
					off := int64(g*16+i%16) * 4096
					n, err := f.ReadAt(buf, off)
					checkRead(t, n, err, buf, off)
					if err != nil || n < len(buf) {
						return
					}
				}
			})
		}
		for e.Stats().Ring < 100 {
			time.Sleep(time.Millisecond)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		g, err := e.OpenFile(filepath.Join(dir, "f"), os.O_RDONLY|oDirect, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		var futures []*ringfile.Future[int]
		bufs := ringfile.AlignedBuffer(32*4096, 4096)
		for i := range 32 {
			futures = append(futures, g.StartReadAt(bufs[i*4096:][:4096], int64(i)*4096))
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		for i, future := range futures {
			n, err := future.Await()
			checkRead(t, n, err, bufs[i*4096:][:4096], int64(i)*4096)
		}
	})
}

// TestIOPollAlign makes transfers that O_DIRECT refuses: the error is that of a system call.
func TestIOPollAlign(t *testing.T) {
	pollEngines(t, func(t *testing.T, e *ringfile.Engine, dir string) {
		f := pollFile(t, e, dir)
		defer f.Close()
		if n, err := f.ReadAt(ringfile.AlignedBuffer(4096, 4096), 1); n != 0 || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("ReadAt(1) = %d, %v, want EINVAL", n, err)
		}
	})
}
