package ringfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// TestWriterTailHeld has another Writer of the file hang with its tail: one with a context does not
// wait for it any longer than that.
func TestWriterTailHeld(t *testing.T) {
	e, err := New(Config{})
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
	f.writing.Lock() // as the other does
	defer f.writing.Unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	w := NewWriterContext(ctx, f, StreamConfig{})
	if _, err := w.Write([]byte("a tail")); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, func() { cancel(why) })
	if err := w.Close(); !errors.Is(err, why) {
		t.Errorf("Close = %v, want %v", err, why)
	}
}
