package faults_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/mapped"
	"github.com/ringfile/ringfile/stream"
	"github.com/ringfile/ringfile/test/faults"
)

// timely fails the test if do takes too long, and ends it: whatever do does goes on.
func timely(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(onTime):
		t.Fatalf("%s waits for the disk", what)
	}
}

// TestStreamOnHangingDisk: a stream, or a mapping, with a context returns on time from a disk that hangs, and so does
// its Close.
func TestStreamOnHangingDisk(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4"})
	name, _ := onDisk(t, d)
	whole := patterned(t, 4*blockSize, 0) // what is written is what is there
	reader := func(c stream.Config) func(ctx context.Context, f *ringfile.File) (io.Closer, error) {
		return func(ctx context.Context, f *ringfile.File) (io.Closer, error) {
			r := stream.NewReaderContext(ctx, f, c)
			_, err := r.Read(make([]byte, 100))
			return r, err
		}
	}
	reads := reader(stream.Config{BufferSize: blockSize})
	maps := func(ctx context.Context, f *ringfile.File) (io.Closer, error) {
		m, err := mapped.Map(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Bytes(ctx, 0, 100)
		return m, err
	}
	writes := func(n int) func(ctx context.Context, f *ringfile.File) (io.Closer, error) {
		return func(ctx context.Context, f *ringfile.File) (io.Closer, error) {
			w := stream.NewWriterContext(ctx, f, stream.Config{BufferSize: blockSize})
			_, err := w.Write(whole[:n])
			if err == nil {
				err = w.Flush()
			}
			return w, err
		}
	}
	for _, c := range []struct {
		name string
		flag int
		do   func(ctx context.Context, f *ringfile.File) (io.Closer, error)
	}{
		{"buffered Reader", 0, reads},
		{"uncached Reader", 0, reader(stream.Config{Uncached: true})},
		{"direct Reader", unix.O_DIRECT, reads},
		{"Mapping", 0, maps},
		{"direct Writer", unix.O_DIRECT, writes(len(whole))},
		{"direct Writer, less than a block", unix.O_DIRECT, writes(100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				f := open(t, e, name, c.flag)
				defer f.Close()
				dropCache(t, f)
				defer set(t, d)
				set(t, d, faults.Rule{Effect: faults.Hang})
				timely(t, c.name, func() {
					err := within(func(ctx context.Context) error {
						s, err := c.do(ctx, f)
						s.Close()
						return err
					})
					var pe *fs.PathError
					if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &pe) {
						t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
					}
				})
				set(t, d)
				awaitQuiet(e)
				p := make([]byte, len(whole))
				if n, err := f.ReadAt(aligned(t, len(p)), 0); n != len(p) || err != nil {
					t.Errorf("a read later: %d, %v", n, err)
				}
			})
		})
	}
}

// TestCopyOnHangingDisk: a copy with a context returns on time from a disk that hangs, and cleans up when
// the disk lets go.
func TestCopyOnHangingDisk(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4"})
	name, _ := onDisk(t, d)
	for _, c := range []copyfile.Config{{}, {Direct: true}, {Uncached: true}} {
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			c.Engine = e
			f := open(t, e, name, 0)
			dropCache(t, f)
			f.Close()
			dst := filepath.Join(t.TempDir(), "copy")
			defer set(t, d)
			set(t, d, faults.Rule{Effect: faults.Hang})
			timely(t, "Copy", func() {
				err := within(func(ctx context.Context) error {
					_, err := copyfile.Copy(ctx, dst, name, c)
					return err
				})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%+v: got %v, want %v", c, err, context.DeadlineExceeded)
				}
			})
			set(t, d)
			awaitQuiet(e)
			await(func() bool {
				_, err := os.Lstat(dst)
				return errors.Is(err, fs.ErrNotExist)
			})
			n, err := copyfile.Copy(t.Context(), dst, name, c)
			got, _ := os.ReadFile(dst)
			if int(n) != len(got) || err != nil || testutil.CheckPattern(got, 0) >= 0 {
				t.Errorf("%+v: a copy later: %d of %d bytes, %v", c, len(got), n, err)
			}
		})
	}
}
