package ringfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
)

// hotFile is a file whose short calls have tickets.
func hotFile(t *testing.T) *File {
	t.Helper()
	f, err := OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	for range expressCalls + hotHits + missProbe {
		if _, err := f.ReadAt(buf, 4096); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(buf, 4096); err != nil {
			t.Fatal(err)
		}
	}
	if f.t.shorts.Load() < expressCalls {
		t.Fatalf("%d short calls", f.t.shorts.Load())
	}
	return f
}

// TestShortClose closes files while short calls come and go: each either is made, whole, or finds the file closed, and
// when the last has returned the descriptor is closed.
func TestShortClose(t *testing.T) {
	var e *Engine
	for range 100 {
		f := hotFile(t)
		e = f.Engine()
		var each sync.WaitGroup
		var calls atomic.Int64
		for i, call := range []func(p []byte) (int, error){
			func(p []byte) (int, error) { return f.ReadAt(p, 8192) },
			func(p []byte) (int, error) { return f.WriteAt(p, 8192) },
			f.Read, f.Write,
			func(p []byte) (int, error) { _, err := f.Seek(0, io.SeekStart); return len(p), err },
		} {
			each.Go(func() {
				buf := make([]byte, 512)
				for {
					switch n, err := call(buf); {
					case err == nil && n == len(buf), i == 2 && err == io.EOF:
						calls.Add(1)
					case errors.Is(err, fs.ErrClosed):
						return
					default:
						t.Errorf("call %d: %d, %v", i, n, err)
						return
					}
				}
			})
		}
		eventually(func() bool { return calls.Load() > 50 })
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		each.Wait()
		if _, err := f.t.OS.Stat(); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("the descriptor is still open: %v", err)
		}
	}
	if s := e.Stats(); s.BlockingCalls != 0 {
		t.Errorf("%d blocking calls at the end", s.BlockingCalls)
	}
}

// TestShortHang has a short call take its time: Close returns, the descriptor stays
// open, Stats shows the call, and the call closes the descriptor when it returns.
func TestShortHang(t *testing.T) {
	for name, here := range map[string]bool{"at an offset": false, "at the position": true} {
		t.Run(name, func(t *testing.T) {
			f := hotFile(t)
			enter := func() pass {
				if here {
					p, ok := f.t.enterHere(&f.t.dev.plain)
					if !ok {
						t.Fatal("no ticket")
					}
					return p
				}
				p, err := f.t.enter(&f.t.dev.plain, "write")
				if err != nil || !p.ticket.OK() {
					t.Fatal("no ticket", err)
				}
				return p
			}
			p := enter()
			f.t.engine.Stats()
			time.Sleep(10 * time.Millisecond)
			if s := f.t.engine.Stats(); s.BlockingCalls != 1 || s.OldestInFlight < 10*time.Millisecond {
				t.Errorf("%d blocking calls, the oldest for %v", s.BlockingCalls, s.OldestInFlight)
			}
			if got := f.t.lockPosition(nil, closedChan()); got == here {
				t.Errorf("the position was taken: %v", got)
			} else if got {
				f.t.position.Unlock()
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if _, err := f.t.OS.Stat(); err != nil {
				t.Errorf("the descriptor was closed under a call: %v", err)
			}
			for what, call := range map[string]func([]byte) (int, error){"Read": f.Read, "Write": f.Write} {
				if _, err := call(make([]byte, 64)); !errors.Is(err, fs.ErrClosed) { // or hangs
					t.Errorf("%s of a closed file: %v", what, err)
				}
			}
			f.t.exit(&f.t.dev.plain, &p, 64, true)
			if _, err := f.t.OS.Stat(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("the descriptor is still open: %v", err)
			}
		})
	}
}

func closedChan() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// TestShortPosition takes the position while short calls come and go there: none is in progress then.
func TestShortPosition(t *testing.T) {
	f := hotFile(t)
	defer f.Close()
	var stop atomic.Bool
	var inside, admitted atomic.Int64
	var each sync.WaitGroup
	for i := range 6 {
		s := &f.t.dev.hits
		if i%2 == 0 {
			s = &f.t.dev.plain
		}
		each.Go(func() {
			for k := 0; !stop.Load(); k++ {
				if p, ok := f.t.enterHere(s); ok {
					inside.Add(1)
					admitted.Add(1)
					if i == 0 {
						runtime.Gosched()
					}
					inside.Add(-1)
					f.t.exit(s, &p, 0, false)
				}
				if k%8 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	eventually(func() bool { return admitted.Load() > 0 })
	for range 2000 {
		f.t.lockPosition(nil, nil)
		if n := inside.Load(); n != 0 {
			t.Errorf("%d short calls at a position that was taken", n)
		}
		f.t.position.Unlock()
		runtime.Gosched()
	}
	stop.Store(true)
	each.Wait()
}

// TestShortRecords has goroutines read records at one position, through every kind of read that there is for it: each
// record comes once.
func TestShortRecords(t *testing.T) {
	const record, records = 512, 20000
	name := filepath.Join(t.TempDir(), "records")
	all := make([]byte, record*records)
	for i := range records {
		all[i*record], all[i*record+1], all[i*record+2] = byte(i), byte(i>>8), byte(i>>16)
	}
	if err := os.WriteFile(name, all, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := make([]atomic.Int32, records)
	var each sync.WaitGroup
	for g := range 8 {
		each.Go(func() {
			buf := make([]byte, record)
			for k := 0; ; k++ {
				read := f.Read
				if g == 0 && k%7 == 0 {
					read = func(p []byte) (int, error) { return f.ReadContext(t.Context(), p) } // at an offset, with a lock
				}
				if g == 1 && k%50 == 0 {
					unix.Fadvise(f.t.FD, 0, 0, unix.FADV_DONTNEED)
				}
				n, err := read(buf)
				if err == io.EOF {
					return
				}
				if err != nil || n != record {
					t.Errorf("%d, %v", n, err)
					return
				}
				seen[int(buf[0])|int(buf[1])<<8|int(buf[2])<<16].Add(1)
			}
		})
	}
	each.Wait()
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Fatalf("record %d was read %d times", i, n)
		}
	}
	if f.t.shorts.Load() < expressCalls && f.t.cached {
		t.Error("no short calls")
	}
}

// TestShortGivenUp has calls with a deadline give up waiting for the position that a short call has: nothing is left of
// them.
func TestShortGivenUp(t *testing.T) {
	f := hotFile(t)
	defer f.Close()
	p, ok := f.t.enterHere(&f.t.dev.plain)
	if !ok {
		t.Fatal("no ticket")
	}
	for range 100 {
		f.SetReadDeadline(time.Now().Add(100 * time.Microsecond))
		if _, err := f.Read(make([]byte, 64)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
	}
	f.SetReadDeadline(time.Time{})
	if n := f.t.dev.plain.Waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	f.t.exit(&f.t.dev.plain, &p, 0, false)
	if _, err := f.Read(make([]byte, 64)); err != nil {
		t.Error(err)
	}
}

// TestHotProbes reads hot files in turns: each of them is looked at now and then, and found out when it is no longer in
// the page cache.
func TestHotProbes(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		var files []*File
		for range n {
			f := hotFile(t)
			defer f.Close()
			if !f.t.cached || f.t.hits.Load() < hotHits {
				t.Skip("no RWF_NOWAIT here")
			}
			if err := f.Sync(); err != nil { // what is not on the device is not dropped
				t.Fatal(err)
			}
			files = append(files, f)
		}
		// A probe starts the read-ahead of what is missing, which may be over before the probe asks: on a device that
		// is quicker than the way to it (an emulated one), many find the file cached. So they get many tries.
		buf := make([]byte, 64)
		cold := make([]bool, n)
		found := 0
		rounds := 0
		for ; found < n && rounds < 20_000; rounds++ {
			for i, f := range files {
				unix.Fadvise(f.t.FD, 0, 0, unix.FADV_DONTNEED)
				f.Seek(512<<10, io.SeekStart)
				if _, err := f.Read(buf); err != nil {
					t.Fatal(err)
				}
				if f.t.hits.Load() < hotHits && !cold[i] {
					cold[i] = true
					found++
				}
			}
		}
		if found < n {
			t.Errorf("%d files: %v were found out to be cold in %d reads of each", n, cold, rounds)
		}
	}
}
