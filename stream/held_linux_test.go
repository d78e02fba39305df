package stream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestWriterTailHeld has another Writer of the file hang with its tail: one with a context does not
// wait for it any longer than that.
func TestWriterTailHeld(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f, err := e.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE|syscall.O_DIRECT, 0o644)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	defer testutil.Watchdog(t, time.Minute)()
	other, err := takeTurn(t.Context(), f) // as the other does
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	w := NewWriterContext(ctx, f, Config{})
	if _, err := w.Write([]byte("a tail")); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, func() { cancel(why) })
	if err := w.Close(); !errors.Is(err, why) {
		t.Errorf("Close = %v, want %v", err, why)
	}
	other.pass()
	checkNoLines(t)
}

// TestWriterTailLeft has the context of a Writer end while all that may make blocking calls do so, before
// its tail has been started: the turn of the file is passed on all the same, and nothing is written.
func TestWriterTailLeft(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{BlockingLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	name := filepath.Join(t.TempDir(), "file")
	f, err := e.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_DIRECT, 0o644)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	defer testutil.Watchdog(t, time.Minute)()
	release := make(chan struct{})
	for range 64 { // far beyond the bound
		go e.Call(context.Background(), name, func() error { <-release; return nil })
	}
	time.Sleep(300 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := writeCached(ctx, f, []byte("a tail"), 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("writeCached = %v, want %v", err, context.DeadlineExceeded)
	}
	checkNoLines(t)
	close(release)
	if err := writeCached(context.Background(), f, []byte("later"), 0); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(name); string(got) != "later" {
		t.Errorf("the file has %q, %v", got, err)
	}
}

// checkNoLines sees to it that files which nobody writes any more are forgotten.
func checkNoLines(t *testing.T) {
	t.Helper()
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if n := len(lines.of); n != 0 {
		t.Errorf("%d files are remembered", n)
	}
}
