package stream_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
)

// TestWriterTailIOPoll streams less than a block on an engine that polls devices. That goes through the
// page cache and so is none of the transfers that are polled or refused.
func TestWriterTailIOPoll(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "")
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	e, err := ringfile.New(ringfile.Config{IOPoll: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	defer testutil.Watchdog(t, time.Minute)()
	for name, ctx := range map[string]context.Context{"plain": context.Background(), "context": t.Context()} {
		path := filepath.Join(t.TempDir(), name)
		w := stream.NewWriterContext(ctx, openStream(t, e, path, os.O_RDWR|os.O_CREATE|oDirect), streamConfig)
		w.Write(testutil.PatternBytes(100))
		if err := w.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, testutil.PatternBytes(100)) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
