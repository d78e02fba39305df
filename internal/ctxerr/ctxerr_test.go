package ctxerr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestOf(t *testing.T) {
	if err := Of(t.Context()); err != nil {
		t.Errorf("a context that has not ended: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Of(ctx); err != context.Canceled {
		t.Errorf("a context without a cause: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	if err := Of(ctx); err != context.DeadlineExceeded || !os.IsTimeout(err) {
		t.Errorf("a deadline: %v", err)
	}

	own := errors.New("shutting down")
	other := &fs.PathError{Op: "read", Path: "other", Err: syscall.EIO}
	for _, c := range []struct {
		cause   error
		matches bool
		not     []error
	}{
		{own, true, nil},
		{io.EOF, false, nil},
		{other, true, []error{syscall.EIO}},
		{fmt.Errorf("copy: %w", io.EOF), true, []error{io.EOF}},
		{fmt.Errorf("open: %w", fs.ErrNotExist), true, []error{fs.ErrNotExist}},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(c.cause)
		err := error(&fs.PathError{Op: "read", Path: "f", Err: Of(ctx)})
		if !errors.Is(err, context.Canceled) || errors.Is(err, c.cause) != c.matches || os.IsTimeout(err) {
			t.Errorf("%v: %v", c.cause, err)
		}
		if want := "read f: context canceled: " + c.cause.Error(); err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		for _, target := range c.not {
			if errors.Is(err, target) {
				t.Errorf("%v is %v", err, target)
			}
		}
	}
	ctx, cancel = context.WithTimeoutCause(t.Context(), 0, own)
	defer cancel()
	if err := Of(ctx); !errors.Is(err, own) || !errors.Is(err, context.DeadlineExceeded) || !os.IsTimeout(err) {
		t.Errorf("a deadline with a cause: %v", err)
	}
}
