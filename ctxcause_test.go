package ringfile_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestCauseOfAnother has contexts end because of what happened elsewhere, as with errgroup.WithContext: no call says
// that its own file has ended, or failed.
func TestCauseOfAnother(t *testing.T) {
	name := testutil.PatternFile(t, 1<<16)
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, cause := range []error{io.EOF, &fs.PathError{Op: "read", Path: "other", Err: syscall.EIO}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			buf := make([]byte, 4096)
			number := func(_ int, err error) error { return err }
			for what, err := range map[string]error{
				"ReadAtContext":      number(f.ReadAtContext(ctx, buf, 0)),
				"WriteAtContext":     number(f.WriteAtContext(ctx, buf, 0)),
				"ReadvAtContext":     number(f.ReadvAtContext(ctx, [][]byte{buf}, 0)),
				"WritevAtContext":    number(f.WritevAtContext(ctx, [][]byte{buf}, 0)),
				"ReadContext":        number(f.ReadContext(ctx, buf)),
				"WriteContext":       number(f.WriteContext(ctx, buf)),
				"ReadAtMultiContext": number(f.ReadAtMultiContext(ctx, [][]byte{buf}, []int64{0})),
				"SyncContext":        f.SyncContext(ctx),
				"Lock":               f.Lock(ctx, 0, 0, ringfile.LockExclusive),
				"Batch.RunContext": func() error {
					var b ringfile.Batch
					b.ReadAt(f, buf, 0)
					return b.RunContext(ctx)
				}(),
			} {
				var path *fs.PathError
				if !errors.As(err, &path) || path.Path != name || !errors.Is(err, context.Canceled) ||
					errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) {
					t.Errorf("%s, cause %v: %v", what, cause, err)
				}
			}
			err := e.Call(ctx, name, func() error { return nil })
			if !errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) {
				t.Errorf("Engine.Call, cause %v: %v", cause, err)
			}
		}
	})
}
