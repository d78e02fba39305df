package faults_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// TestHazardGivenUpWrite: a write that was given up may land later, but not after a newer one to the same
// place has been acknowledged.
func TestHazardGivenUpWrite(t *testing.T) {
	const older, rounds = 8, 3
	at := func(f *ringfile.File, p []byte) error { _, err := f.WriteAt(p, 0); return err }
	atCtx := func(ctx context.Context, f *ringfile.File, p []byte) error {
		_, err := f.WriteAtContext(ctx, p, 0)
		return err
	}
	on := func(f *ringfile.File, p []byte) error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := f.Write(p)
		return err
	}
	onCtx := func(ctx context.Context, f *ringfile.File, p []byte) error {
		_, err := f.WriteContext(ctx, p)
		return err
	}
	// An acknowledged write, by each of the ways to make one.
	newerCtx := func(f *ringfile.File, p []byte) error {
		return inTime(func(ctx context.Context) error { return atCtx(ctx, f, p) })
	}
	newerStart := func(f *ringfile.File, p []byte) error { _, err := f.StartWriteAt(p, 0).Await(); return err }
	newerBatch := func(f *ringfile.File, p []byte) error {
		var b ringfile.Batch
		b.WriteAt(f, p, 0)
		return b.Run()
	}
	writes := []struct {
		name  string
		flag  int
		size  int // of buffered writes: less than a page, which must first be read, and so hangs
		older func(ctx context.Context, f *ringfile.File, p []byte) error
		newer func(f *ringfile.File, p []byte) error
	}{
		{"direct, at an offset", unix.O_DIRECT, blockSize, atCtx, at},
		{"direct, at the position", unix.O_DIRECT, blockSize, onCtx, on},
		{"buffered, at an offset", 0, small, atCtx, at},
		{"buffered, at the position", 0, small, onCtx, on},
		{"direct, then with a context", unix.O_DIRECT, blockSize, atCtx, newerCtx},
		{"direct, then started", unix.O_DIRECT, blockSize, atCtx, newerStart},
		{"direct, then in a batch", unix.O_DIRECT, blockSize, atCtx, newerBatch},
		{"buffered, then with a context", 0, small, atCtx, newerCtx},
		{"buffered, then started", 0, small, atCtx, newerStart},
		{"buffered, then in a batch", 0, small, atCtx, newerBatch},
	}
	d := narrowDisk(t)
	engines(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		s := newScene(t, e, d)
		defer s.close()
		check := func(what string, want []byte) {
			t.Helper()
			got := make([]byte, len(want))
			f, err := os.Open(s.name)
			if err == nil {
				_, err = f.ReadAt(got, 0)
				f.Close()
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d is in the file, want %d; %v", what, got[0], want[0], err)
			}
		}
		for _, w := range writes {
			for range rounds {
				f := s.file(w.flag)
				f.Sync()
				chill(t, f)
				release := fill(t, d, hungFor)
				atOnce(older, release, func(i int) {
					p := aligned(t, w.size)
					copy(p, bytes.Repeat([]byte{byte(i)}, w.size))
					within(func(ctx context.Context) error { return w.older(ctx, f, p) })
				})
				p := aligned(t, w.size)
				copy(p, bytes.Repeat([]byte{older}, w.size))
				acknowledged := make(chan error, 1)
				go func() { acknowledged <- w.newer(f, p) }()
				time.Sleep(20 * time.Millisecond)
				release()
				if err := <-acknowledged; err != nil {
					t.Errorf("%s: the newer write: %v", w.name, err)
				}
				check(w.name+", right after it was acknowledged", p)
				settle(t, e)
				time.Sleep(5 * time.Millisecond)
				check(w.name+", when nothing is in flight any more", p)
			}
		}
	})
}
