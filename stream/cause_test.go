package stream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
)

// TestCauseEOF has the context of a Reader end because something else has come to its end, as with errgroup.WithContext:
// who reads to the end of the file learns that he has not.
func TestCauseEOF(t *testing.T) {
	f, err := ringfile.Open(testutil.PatternFile(t, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, read := range map[string]func(r io.Reader) error{
		"ReadAll": func(r io.Reader) error { _, err := io.ReadAll(r); return err },
		"Copy":    func(r io.Reader) error { _, err := io.Copy(new(bytes.Buffer), r); return err },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		r := stream.NewReaderContext(ctx, f, stream.Config{})
		if _, err := io.ReadFull(r, make([]byte, 1<<16)); err != nil {
			t.Fatal(err)
		}
		cancel(io.EOF)
		if err := read(r); !errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		r.Close()
	}
}
