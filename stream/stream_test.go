package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
)

// streams runs test on both backends, for a file with O_DIRECT and for one without.
func streams(t *testing.T, test func(t *testing.T, e *ringfile.Engine, flag int)) {
	for name, flag := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) { test(t, e, flag) })
		})
	}
}

// openStream opens a file for streaming, and skips the test where O_DIRECT is refused.
func openStream(t *testing.T, e *ringfile.Engine, name string, flag int) *ringfile.File {
	t.Helper()
	f, err := e.OpenFile(name, flag, 0o644)
	if err != nil && flag&oDirect != 0 {
		t.Skipf("the file system refuses O_DIRECT (%v); ext4, XFS and btrfs do not", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// streamConfig is small enough for a small file to take many requests.
var streamConfig = stream.Config{BufferSize: 8 << 10, Depth: 4}

// TestReaderIotest has the standard library look at readers of files of all kinds of lengths.
func TestReaderIotest(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		for _, size := range []int{0, 1, 511, 4096, 8191, 8192, 8193, 4 * 8192, 5*8192 + 4096, 100_003} {
			f := openStream(t, e, testutil.PatternFile(t, size), flag)
			for _, off := range []int{0, 1, 4095, 8192, 9000} {
				if off > size {
					continue
				}
				c := streamConfig
				c.Offset = int64(off)
				r := stream.NewReader(f, c)
				if err := iotest.TestReader(r, testutil.PatternBytes(size)[off:]); err != nil {
					t.Errorf("%d bytes from %d: %v", size, off, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// TestReaderRandom reads in random pieces, in the ways that there are.
func TestReaderRandom(t *testing.T) {
	const size = 300_001
	want := testutil.PatternBytes(size)
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, size), flag)
		for seed := range uint64(60) {
			rng := rand.New(rand.NewPCG(seed, 1))
			off := rng.IntN(size)
			r := stream.NewReader(f, stream.Config{
				Offset: int64(off), BufferSize: 1 + rng.IntN(40_000), Depth: 1 + rng.IntN(9)})
			if seed%2 == 0 {
				r = stream.NewReaderContext(t.Context(), f, stream.Config{Offset: int64(off)})
			}
			var got bytes.Buffer
			for stop := off + rng.IntN(size); got.Len() < stop-off; {
				p := make([]byte, 1+rng.IntN(50_000))
				n, err := r.Read(p)
				got.Write(p[:n])
				if err != nil {
					break
				}
			}
			if _, err := io.Copy(&got, r); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if !bytes.Equal(got.Bytes(), want[off:]) {
				t.Errorf("seed %d: %d bytes from %d, wrong or not all", seed, got.Len(), off)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("seed %d: read at the end = %d, %v", seed, n, err)
			}
			r.Close()
		}
	})
}

// TestReaderLength reads a part of a file: what lies behind it is not read.
func TestReaderLength(t *testing.T) {
	const size = 100_001
	want := testutil.PatternBytes(size)
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, size), flag)
		for _, c := range []struct{ off, length int64 }{
			{0, 1}, {0, 4096}, {1, 4095}, {4095, 2}, {5, 40_000}, {8192, 8192}, {90_000, 10_001}, {90_000, 50_000},
			{size, 10}, {size + 10_000, 10}, {0, math.MaxInt64}, {10, math.MaxInt64},
		} {
			config := streamConfig
			config.Offset, config.Length = c.off, c.length
			r := stream.NewReader(f, config)
			from := min(c.off, size)
			rest := want[from:]
			rest = rest[:min(c.length, int64(len(rest)))]
			if err := iotest.TestReader(r, rest); err != nil {
				t.Errorf("%d bytes from %d: %v", c.length, c.off, err)
			}
			r.Close()

			var got bytes.Buffer
			r = stream.NewReaderContext(t.Context(), f, config)
			if n, err := r.WriteTo(&got); n != int64(len(rest)) || err != nil || !bytes.Equal(got.Bytes(), rest) {
				t.Errorf("WriteTo, %d bytes from %d: %d, %v", c.length, c.off, n, err)
			}
			if n, err := r.Read(make([]byte, 1<<20)); n != 0 || err != io.EOF {
				t.Errorf("read at the end = %d, %v", n, err)
			}
			r.Close()
		}
	})
}

// TestReaderLengthAhead reads the start of a large file: no request goes beyond it.
func TestReaderLengthAhead(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, 1<<20), flag)
		r := stream.NewReader(f, stream.Config{BufferSize: 8 << 10, Depth: 8, Length: 16 << 10})
		moved := func() uint64 { s := e.Stats(); return s.CachedBytes + s.RingBytes + s.BlockingBytes }
		before := moved()
		if _, err := io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if n := moved() - before; n != 16<<10 {
			t.Errorf("%d bytes were read, want %d", n, 16<<10)
		}
	})
}

// TestStreamUnopened has streams of a File that was never opened, and of one that was closed before.
func TestStreamUnopened(t *testing.T) {
	for _, closed := range []bool{false, true} {
		f, want := new(ringfile.File), fs.ErrInvalid
		if closed {
			e, err := ringfile.New(ringfile.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if f, err = e.Open(testutil.PatternFile(t, 10)); err != nil {
				t.Fatal(err)
			}
			f.Close()
			want = fs.ErrClosed
		}
		for name, ctx := range map[string]context.Context{"plain": context.Background(), "context": t.Context()} {
			r, w := stream.NewReaderContext(ctx, f, streamConfig), stream.NewWriterContext(ctx, f, streamConfig)
			if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
				t.Errorf("%s: Read = %d, %v, want %v", name, n, err, want)
			}
			if n, err := w.Write(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
				t.Errorf("%s: Write = %d, %v, want %v", name, n, err, want)
			}
			r.Close()
			w.Close()
			if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) && !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s: Read after Close = %d, %v", name, n, err)
			}
		}
	}
}

// TestWriterRandom writes random pieces over an existing file, from any offset, flushing now and
// then, and compares the file with the same done in memory.
func TestWriterRandom(t *testing.T) {
	const size = 200_000
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		name := filepath.Join(t.TempDir(), "f")
		for seed := range uint64(60) {
			rng := rand.New(rand.NewPCG(seed, 2))
			old := bytes.Repeat([]byte{0xee}, rng.IntN(size))
			if err := os.WriteFile(name, old, 0o644); err != nil {
				t.Fatal(err)
			}
			f := openStream(t, e, name, os.O_RDWR|flag)
			off := rng.IntN(size)
			c := stream.Config{Offset: int64(off), BufferSize: 1 + rng.IntN(40_000), Depth: 1 + rng.IntN(9)}
			w := stream.NewWriter(f, c)
			if seed%2 == 0 {
				w = stream.NewWriterContext(t.Context(), f, c)
			}
			data := testutil.PatternBytes(rng.IntN(size))
			for rest := data; len(rest) > 0; {
				k := min(len(rest), 1+rng.IntN(30_000))
				if rng.IntN(4) == 0 {
					k = min(k, 1+rng.IntN(100))
				}
				var n int64
				var err error
				if rng.IntN(3) == 0 {
					n, err = w.ReadFrom(iotest.HalfReader(bytes.NewReader(rest[:k])))
				} else {
					var m int
					m, err = w.Write(rest[:k])
					n = int64(m)
				}
				if int(n) != k || err != nil {
					t.Fatalf("seed %d: write of %d = %d, %v", seed, k, n, err)
				}
				if rest = rest[k:]; rng.IntN(5) == 0 {
					if err := w.Flush(); err != nil {
						t.Fatal(err)
					}
					st, err := f.Stat()
					if end := int64(off + len(data) - len(rest)); err != nil || st.Size() < end {
						t.Fatalf("seed %d: after Flush the file has %d bytes, want %d", seed, st.Size(), end)
					}
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			f.Close()
			checkOverwritten(t, seed, name, old, data, off)
		}
	})
}

// checkOverwritten compares a file with old, onto which data has been written at off.
func checkOverwritten(t *testing.T, seed uint64, name string, old, data []byte, off int) {
	t.Helper()
	want := bytes.Clone(old)
	if end := off + len(data); len(data) > 0 && end > len(want) {
		want = append(want, make([]byte, end-len(want))...)
	}
	if len(data) > 0 {
		copy(want[off:], data)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("seed %d: %d bytes, want %d", seed, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("seed %d: wrong byte at %d", seed, i)
		}
	}
}

// TestWriterTailFirst has the first transfer on a file system be a tail, which goes through the page
// cache: that the file system refuses RWF_NOWAIT there says nothing about direct transfers.
func TestWriterTailFirst(t *testing.T) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openStream(t, e, filepath.Join(t.TempDir(), "short"), os.O_RDWR|os.O_CREATE|oDirect)
		w := stream.NewWriter(f, streamConfig)
		w.Write(testutil.PatternBytes(100))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		p := ringfile.AlignedBuffer(4096, 4096)
		if n, err := f.ReadAt(p, 0); n != 100 || err != io.EOF {
			t.Errorf("ReadAt = %d, %v", n, err)
		}
		if n := e.Stats().NoNowait; n != 0 {
			t.Errorf("%d file systems taken for ones without RWF_NOWAIT", n)
		}
	})
}

// TestStreamPipe streams through what has no offsets.
func TestStreamPipe(t *testing.T) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		from, to := e.Adopt(in), e.Adopt(out)
		defer from.Close()
		want := testutil.PatternBytes(500_000)
		go func() {
			w := stream.NewWriter(to, streamConfig)
			w.Write(want)
			w.Close()
			to.Close()
		}()
		got, err := io.ReadAll(stream.NewReader(from, streamConfig))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// TestWriterAppend has a Writer go on at the end of a file opened with O_APPEND.
func TestWriterAppend(t *testing.T) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, 1000)
		f := openStream(t, e, name, os.O_WRONLY|os.O_APPEND)
		w := stream.NewWriter(f, streamConfig)
		if _, err := w.ReadFrom(bytes.NewReader(testutil.PatternBytes(101_000)[1000:])); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(name)
		if len(got) != 101_000 || testutil.CheckPattern(got, 0) >= 0 {
			t.Errorf("%d bytes, first wrong one at %d", len(got), testutil.CheckPattern(got, 0))
		}
	})
}

// TestReaderProc reads a file that says it is empty.
func TestReaderProc(t *testing.T) {
	want, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Skip("there is no /proc")
	}
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openStream(t, e, "/proc/version", 0)
		if got, err := io.ReadAll(stream.NewReader(f, streamConfig)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// TestReaderGoesOn has a file grow behind the end that a Reader has seen.
func TestReaderGoesOn(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		name := testutil.PatternFile(t, 50_000)
		f := openStream(t, e, name, flag)
		r := stream.NewReader(f, streamConfig)
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil || len(got) != 50_000 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if err := os.WriteFile(name, testutil.PatternBytes(120_000), 0o644); err != nil {
			t.Fatal(err)
		}
		more, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(append(got, more...), testutil.PatternBytes(120_000)) {
			t.Errorf("%d more bytes, %v", len(more), err)
		}
	})
}

// TestStreamErrors has what a stream needs go away under it: each error comes behind the data that
// was there before, matches, and leaves nothing in flight (see enginetest.Backends).
func TestStreamErrors(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		for _, c := range []struct {
			name string
			end  func(f *ringfile.File, cancel func())
			want error
		}{
			{"file closed", func(f *ringfile.File, cancel func()) { f.Close() }, fs.ErrClosed},
			{"context", func(f *ringfile.File, cancel func()) { cancel() }, context.Canceled},
			{"deadline", func(f *ringfile.File, cancel func()) { f.SetDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		} {
			t.Run(c.name, func(t *testing.T) {
				f := openStream(t, e, testutil.PatternFile(t, 200_000), os.O_RDWR|flag)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, w := stream.NewReaderContext(ctx, f, streamConfig), stream.NewWriterContext(ctx, f, streamConfig)
				start := make([]byte, 20_000)
				if _, err := io.ReadFull(r, start); err != nil || testutil.CheckPattern(start, 0) >= 0 {
					t.Fatal(err)
				}
				for range 2 { // the second one is not written yet
					if n, err := w.Write(start[:5000]); n != 5000 || err != nil {
						t.Fatal(n, err)
					}
				}
				c.end(f, cancel)
				rest, err := io.ReadAll(r)
				if !errors.Is(err, c.want) || testutil.CheckPattern(rest, 20_000) >= 0 {
					t.Errorf("ReadAll = %d bytes, %v, want %v", len(rest), err, c.want)
				}
				var pathErr *fs.PathError
				if !errors.As(err, &pathErr) || pathErr.Op != "read" {
					t.Errorf("error is %#v, want a *fs.PathError of a read", err)
				}
				if err := w.Close(); !errors.Is(err, c.want) {
					t.Errorf("Writer.Close = %v, want %v", err, c.want)
				}
				if err := w.Close(); !errors.Is(err, c.want) {
					t.Errorf("second Writer.Close = %v, want %v", err, c.want)
				}
				if n, err := w.Write(start); n != 0 || !errors.Is(err, fs.ErrClosed) {
					t.Errorf("Write after Close = %d, %v", n, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if n, err := r.Read(start); n != 0 || !errors.Is(err, fs.ErrClosed) {
					t.Errorf("Read after Close = %d, %v", n, err)
				}
			})
		}
	})
}

// TestReaderDeadlineMoved goes on where a deadline has interrupted a Reader: no byte is lost or
// doubled.
func TestReaderDeadlineMoved(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, 400_000), flag)
		r := stream.NewReader(f, streamConfig)
		defer r.Close()
		var got []byte
		interrupted := 0
		p := make([]byte, 10_000)
		for call := 0; ; call++ {
			if call%3 == 1 {
				f.SetReadDeadline(time.Now())
			}
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				interrupted++
				f.SetReadDeadline(time.Time{})
			} else if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != 400_000 || testutil.CheckPattern(got, 0) >= 0 || interrupted == 0 {
			t.Errorf("%d bytes, interrupted %d times, first wrong byte at %d", len(got), interrupted, testutil.CheckPattern(got, 0))
		}
	})
}

// TestStreamEngineClosed closes the engine while streams have requests in flight.
func TestStreamEngineClosed(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, 2<<20), os.O_RDWR|flag)
		done := make(chan error, 2)
		reading := make(chan struct{})
		go func() {
			c := streamConfig
			for first := true; ; first = false {
				r := stream.NewReader(f, c)
				_, err := io.Copy(io.Discard, r)
				r.Close()
				if first {
					close(reading)
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
		go func() {
			p := testutil.PatternBytes(2 << 20)
			for {
				w := stream.NewWriter(f, streamConfig)
				w.Write(p)
				if err := w.Close(); err != nil {
					done <- err
					return
				}
			}
		}()
		<-reading
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-done; !errors.Is(err, ringfile.ErrEngineClosed) {
				t.Errorf("stream on a closed engine: %v", err)
			}
		}
	})
}

// TestStreamCloseInFlight closes a Reader in the middle, again and again: its buffers come back to
// the pool, from which the next takes them, so a kernel that still writes to one would be seen.
func TestStreamCloseInFlight(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, 4<<20), flag)
		for i := range 30 {
			c := stream.Config{Offset: int64(i%8) * 100_000}
			r := stream.NewReader(f, c)
			p := make([]byte, 1+i*10_000)
			if _, err := io.ReadFull(r, p); err != nil {
				t.Fatal(err)
			}
			if at := testutil.CheckPattern(p, c.Offset); at >= 0 {
				t.Fatalf("wrong byte at %d", at)
			}
			r.Close()
		}
	})
}

// TestStreamNil has streams of no file say so.
func TestStreamNil(t *testing.T) {
	r, w := stream.NewReader(nil, streamConfig), stream.NewWriter(nil, streamConfig)
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Read = %d, %v", n, err)
	}
	if n, err := w.Write(make([]byte, 1)); n != 0 || !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Write = %d, %v", n, err)
	}
	r.Close()
	if err := w.Close(); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Close = %v", err)
	}
}

// badReader and badWriter answer what they must not.
type badReader struct{ n int }

func (b badReader) Read(p []byte) (int, error) { return b.n, nil }

type badWriter struct{ n int }

func (b badWriter) Write(p []byte) (int, error) { return len(p) + b.n, nil }

// TestStreamBadPeers has impossible counts and short writes be errors, not panics or endless loops.
func TestStreamBadPeers(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, 100_000), os.O_RDWR|flag)
		for _, n := range []int{-1, 1 << 30} {
			w := stream.NewWriter(f, streamConfig)
			if _, err := w.ReadFrom(badReader{n}); err == nil || !strings.Contains(err.Error(), "impossible count") {
				t.Errorf("ReadFrom a reader that returns %d: %v", n, err)
			}
			w.Close()
		}
		w := stream.NewWriter(f, streamConfig)
		if _, err := w.ReadFrom(badReader{0}); err != io.ErrNoProgress {
			t.Errorf("ReadFrom a reader without progress: %v", err)
		}
		w.Close()
		for n, want := range map[int]string{-1 << 30: "impossible count", 1: "impossible count", -1: io.ErrShortWrite.Error()} {
			r := stream.NewReader(f, streamConfig)
			if _, err := r.WriteTo(badWriter{n}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("WriteTo a writer that returns %+d: %v", n, err)
			}
			r.Close()
		}
	})
}

// FuzzStream writes and reads a file in pieces whose sizes the fuzzer chooses.
func FuzzStream(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint16(0), uint16(4096), uint8(4))
	f.Add([]byte{0, 255, 128, 0, 7}, uint16(4095), uint16(1), uint8(1))
	f.Setenv("RINGFILE_BACKEND", "auto")
	e, err := ringfile.New(ringfile.Config{Rings: 1, Depth: 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	f.Fuzz(func(t *testing.T, pieces []byte, off, size uint16, depth uint8) {
		pieces = pieces[:min(len(pieces), 64)]
		c := stream.Config{Offset: int64(off), BufferSize: int(size), Depth: int(depth % 16)}
		for _, flag := range []int{0, oDirect} {
			file, err := e.OpenFile(filepath.Join(t.TempDir(), fmt.Sprint(flag)), os.O_RDWR|os.O_CREATE|flag, 0o644)
			if err != nil {
				t.Skip(err)
			}
			w := stream.NewWriter(file, c)
			var want []byte
			for _, k := range pieces {
				p := make([]byte, int(k)*97)
				testutil.Pattern(p, int64(len(want)))
				if n, err := w.Write(p); n != len(p) || err != nil {
					t.Fatalf("write = %d, %v", n, err)
				}
				if want = append(want, p...); k%8 == 0 {
					w.Flush()
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r := stream.NewReader(file, c)
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
			}
			r.Close()
			file.Close()
		}
	})
}
