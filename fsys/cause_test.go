package fsys_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestReadFileCauseEOF ends the context of ReadFile because something else has come to its end: the file is there whole,
// or there is an error.
func TestReadFileCauseEOF(t *testing.T) {
	const size = 16 << 20
	name := testutil.PatternFile(t, size)
	failed := 0
	for i := range 40 {
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(time.Duration(i)*200*time.Microsecond, func() { cancel(io.EOF) })
		data, err := fsys.ReadFile(ctx, name)
		if err == nil && len(data) != size || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes, %v", len(data), err)
		}
		if err != nil {
			failed++
		}
		timer.Stop()
		cancel(nil)
	}
	if failed == 0 {
		t.Error("the context never ended")
	}
}
