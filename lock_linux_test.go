package ringfile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
)

const (
	exclusive = ringfile.LockExclusive
	shared    = ringfile.LockShared
)

// testLock locks ranges of one file by two Files.
func testLock(t *testing.T, e *ringfile.Engine, kind, dir string) {
	f := create(t, e, dir)
	g, err := e.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	try := func(what string, f *ringfile.File, off, length int64, mode ringfile.LockMode, want bool) {
		t.Helper()
		if ok, err := f.Lockable(off, length, mode); ok != want || err != nil {
			t.Errorf("%s: Lockable = %v, %v, want %v", what, ok, err, want)
		}
		if ok, err := f.TryLock(off, length, mode); ok != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", what, ok, err, want)
		}
	}
	unlock := func(f *ringfile.File, off, length int64) {
		t.Helper()
		if err := f.Unlock(off, length); err != nil {
			t.Error(err)
		}
	}
	unlock(f, 0, 0)
	try("exclusive", f, 0, 0, exclusive, true)
	try("again", f, 0, 0, exclusive, true)
	try("beside an exclusive one", g, 0, 0, exclusive, false)
	try("shared beside an exclusive one", g, 1<<40, 1, shared, false)
	try("made shared", f, 0, 0, shared, true)
	try("shared beside a shared one", g, 0, 0, shared, true)
	try("made exclusive beside a shared one", f, 0, 0, exclusive, false)
	unlock(g, 0, 0)
	try("made exclusive", f, 0, 0, exclusive, true)
	unlock(f, 100, 100)
	try("what was unlocked", g, 100, 100, exclusive, true)
	try("one more", g, 100, 101, exclusive, false)
	unlock(f, 0, 0)
	try("others' are still there", f, 199, 1, shared, false)
	try("another range", f, 200, 0, exclusive, true)

	// A wait ends when the other gives up, by Unlock or Close, and at once when nobody is in the way.
	waits := func(what string, release func()) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- f.Lock(t.Context(), 0, 0, exclusive) }()
		select {
		case err := <-done:
			t.Fatalf("%s: Lock beside a lock returns %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
		release()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", what, err)
		}
		try(what, g, 0, 0, shared, false)
		unlock(f, 0, 0)
	}
	waits("Unlock", func() { unlock(g, 0, 0) })
	if err := g.Lock(context.Background(), 0, 10, shared); err != nil {
		t.Error(err)
	}
	h, err := e.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	unlock(g, 0, 0)
	try("a third", h, 0, 0, exclusive, true)
	waits("Close", func() { h.Close() })
}

// TestLockEnds: a wait ends with its context, with Close and with Engine.Close, and holds no thread.
func TestLockEnds(t *testing.T) {
	const waiting = 500
	routes(t, ringfile.Config{BlockingLimit: 8}, func(t *testing.T, e *ringfile.Engine) {
		f := create(t, e, t.TempDir())
		if ok, err := f.TryLock(0, 0, exclusive); !ok || err != nil {
			t.Fatalf("TryLock = %v, %v", ok, err)
		}
		open := func() *ringfile.File {
			g, err := e.OpenFile(f.Name(), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { g.Close() })
			return g
		}
		byContext, byClose := open(), open()
		mine := errors.New("mine")
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error, 3*waiting)
		var group sync.WaitGroup
		before := threads()
		for range waiting {
			group.Go(func() { errs <- byContext.Lock(ctx, 0, 0, exclusive) })
			group.Go(func() { errs <- byClose.Lock(context.Background(), 0, 0, shared) })
		}
		time.Sleep(100 * time.Millisecond)
		if n := threads() - before; n > 64 {
			t.Errorf("%d who wait for a lock have %d more threads", 2*waiting, n)
		}
		if len(errs) > 0 {
			t.Errorf("a wait has ended: %v", <-errs)
		}
		cancel(mine)
		byClose.Close()
		group.Wait()
		counts := map[string]int{}
		for range 2 * waiting {
			err := <-errs
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Op != "lock" || pe.Path != f.Name() {
				t.Fatalf("%v", err)
			}
			counts[pe.Err.Error()]++
		}
		if counts["context canceled: mine"] != waiting || counts[fs.ErrClosed.Error()] != waiting {
			t.Errorf("waits end with %v", counts)
		}
		if err := byContext.Lock(ctx, 0, 0, shared); !errors.Is(err, mine) {
			t.Errorf("Lock with a context that has ended: %v", err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer stop()
		if err := byContext.Lock(ctx, 0, 0, shared); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Lock with a timeout: %v", err)
		}
		go func() { errs <- byContext.Lock(context.Background(), 0, 0, shared) }()
		time.Sleep(5 * time.Millisecond)
		e.Close()
		if err := <-errs; !errors.Is(err, ringfile.ErrEngineClosed) {
			t.Errorf("Lock on a closed engine: %v", err)
		}
	})
}

// TestLockFails: a Lock that fails, as its context ends at any moment, has not taken the lock.
func TestLockFails(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f := create(t, e, t.TempDir())
		other, err := e.OpenFile(f.Name(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		var failed int
		for i := range 2000 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for range i % 500 {
					ctx.Err()
				}
				cancel()
			}()
			if err := f.Lock(ctx, 0, 0, exclusive); err != nil {
				failed++
			} else if err := f.Unlock(0, 0); err != nil {
				t.Fatal(err)
			}
			if ok, err := other.TryLock(0, 0, exclusive); !ok || err != nil {
				t.Fatalf("after %d: %v, %v", i, ok, err)
			}
			other.Unlock(0, 0)
		}
		t.Logf("%d of 2000 have failed", failed)
	})
}

// TestLockRefused checks errors.
func TestLockRefused(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		checkErrno(t, "exclusive, open for reading", "lock", errorOf(r.TryLock(0, 0, exclusive)), syscall.EBADF)
		checkErrno(t, "exclusive, open for reading", "lock", r.Lock(t.Context(), 0, 0, exclusive), syscall.EBADF)
		if ok, err := r.TryLock(0, 0, shared); !ok || err != nil {
			t.Errorf("shared, open for reading: %v, %v", ok, err)
		}
		checkErrno(t, "a negative offset", "lock", errorOf(r.TryLock(-1, 1, shared)), syscall.EINVAL)
		checkErrno(t, "an unknown mode", "lock", errorOf(r.TryLock(0, 0, 2)), syscall.EINVAL)
		checkErrno(t, "an unknown mode", "lock", errorOf(r.Lockable(0, 0, 2)), syscall.EINVAL)
		checkErrno(t, "a negative length", "unlock", r.Unlock(1, -1), syscall.EINVAL)
		r.Close()
		if err := r.Unlock(0, 0); !errors.Is(err, fs.ErrClosed) || !strings.HasPrefix(err.Error(), "unlock ") {
			t.Errorf("a closed file: %v", err)
		}
		if err := (*ringfile.File)(nil).Lock(t.Context(), 0, 0, shared); err != fs.ErrInvalid {
			t.Errorf("no file: %v", err)
		}
	})
}
