package ringfile

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// TestLanes meets more devices than there are lanes, and more than are remembered: each device keeps its
// lane, and those beyond share one.
func TestLanes(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking")
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ds := &e.devices
	known := make(map[uint64]*device)
	lanes := make(map[*lane]int)
	for n := range uint64(maxDevices) {
		known[n] = ds.at(n)
		lanes[known[n].lane]++
	}
	if len(lanes) != maxLanes || len(ds.everyLane()) != maxLanes {
		t.Errorf("%d lanes are in use, %d are there, want %d", len(lanes), len(ds.everyLane()), maxLanes)
	}
	for n, d := range known {
		if ds.at(n) != d {
			t.Fatalf("device %d is another one when it is met again", n)
		}
	}
	if n := e.Stats().Devices; n != maxDevices {
		t.Errorf("%d devices, want %d", n, maxDevices)
	}
	ds.at(maxDevices) // one too many
	if n := e.Stats().Devices; n < 1 || n > maxDevices {
		t.Errorf("%d devices are remembered, want %d at most", n, maxDevices)
	}
	for n := range uint64(3 * maxLanes) {
		if lanes[ds.at(n).lane] == 0 {
			t.Fatal("a lane is made beyond those that there may be")
		}
	}
}

// TestDevicesAtOnce has many goroutines meet devices, and use a file first, at the same time.
func TestDevicesAtOnce(t *testing.T) {
	eachBackend(t, Config{Rings: 2, Depth: 16}, func(t *testing.T, e *Engine) {
		name := testutil.PatternFile(t, 1<<20)
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				f, err := e.OpenFile(name, os.O_RDONLY|testDirect, 0)
				if err != nil {
					return
				}
				defer f.Close()
				for n := range uint64(200) {
					if first := e.devices.at(n); first != e.devices.at(n) {
						t.Error("a device is another one when it is met again")
					}
				}
				buf := AlignedBuffer(4096, 4096)
				for i := range 20 {
					off := int64((g*20+i)%256) * 4096
					if n, err := f.StartReadAt(buf, off).Await(); n != 4096 || err != nil || testutil.CheckPattern(buf, off) >= 0 {
						t.Errorf("%d, %v", n, err)
					}
				}
			})
		}
		wg.Wait()
		if s := e.Stats(); e.Available() == nil && s.Rings > 4 { // of the files' device, of the directory of tests at most
			t.Errorf("stats: %+v", s)
		}
	})
}

// TestNoRingToBeHad has a device whose rings cannot be made: system calls serve it.
func TestNoRingToBeHad(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := New(Config{Rings: 2})
	if err != nil {
		t.Skip(err)
	}
	defer testutil.Watchdog(t, time.Minute)()
	defer e.Close()
	e.devices.rings.end()
	e.devices.rings.config.Depth = 1 << 30 // which no kernel has
	f, err := e.Open(testutil.PatternFile(t, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.t.dev.queue() != nil {
		t.Skip("this kernel makes such a ring")
	}
	buf := make([]byte, 4096)
	for what, call := range map[string]func() error{
		"ReadAt":        func() error { _, err := f.ReadAt(buf, 0); return err },
		"StartReadAt":   func() error { _, err := f.StartReadAt(buf, 0).Await(); return err },
		"ReadAtContext": func() error { _, err := f.ReadAtContext(t.Context(), buf, 0); return err },
		"SyncContext":   func() error { return f.SyncContext(t.Context()) },
		"Advise":        func() error { return f.Advise(0, 4096, AdviceWillNeed) },
		"ReadAtMulti": func() error {
			_, err := f.ReadAtMulti([][]byte{buf, make([]byte, 4096)}, []int64{0, 4096})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s := e.Stats(); s.Rings != 0 || s.Ring != 0 || s.Broken != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestCloseWhileOpening closes engines while their devices' rings are made: nothing stays open.
func TestCloseWhileOpening(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	name := testutil.PatternFile(t, 1<<20)
	for i := range 50 {
		e, err := New(Config{Rings: 2, Depth: 16})
		if err != nil {
			t.Skip(err)
		}
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		opened := make(chan struct{})
		go func() {
			defer close(opened)
			if _, err := f.StartReadAt(make([]byte, 10), 0).Await(); err != nil && !errors.Is(err, ErrEngineClosed) {
				t.Error(err)
			}
			f.t.dev.queue()
		}()
		time.Sleep(time.Duration(i%10) * 20 * time.Microsecond)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		<-opened
		for q := range f.t.dev.everyQueue {
			<-q.finished
			if _, err := q.u.Enter(0, 0, 0); err != syscall.EBADF {
				t.Errorf("a ring is still open: %v", err)
			}
		}
		f.Close()
	}
}

// TestWhere opens files in every way: by then it is known on what device their directory is.
func TestWhere(t *testing.T) {
	for how, open := range map[string]func(e *Engine, name string) (*File, error){
		"OpenFile":   func(e *Engine, name string) (*File, error) { return e.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) },
		"CreateTemp": func(e *Engine, name string) (*File, error) { return e.CreateTemp(filepath.Dir(name), "") },
		"Adopt": func(e *Engine, name string) (*File, error) {
			f, err := os.Create(name)
			return e.Adopt(f), err
		},
	} {
		t.Run(how, func(t *testing.T) {
			eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
				name := filepath.Join(t.TempDir(), "file")
				f, err := open(e, name)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, d := e.devices.where(name); d != f.t.dev {
					t.Errorf("the directory is on %v, want that of the file", d)
				}
			})
		})
	}
}
