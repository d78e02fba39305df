package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
)

// unknownFlag is no flag of preadv2(2): file systems refuse it as they refuse RWF_DONTCACHE.
const unknownFlag = 1 << 30

// uncached runs test on both backends, with a file system that knows RWF_DONTCACHE, if this one does, and with one
// that does not, for streams with and without a context.
func uncached(t *testing.T, test func(t *testing.T, ctx context.Context, e *ringfile.Engine)) {
	for _, flag := range []int{unix.RWF_DONTCACHE, unknownFlag} {
		t.Run(map[int]string{unix.RWF_DONTCACHE: "known", unknownFlag: "refused"}[flag], func(t *testing.T) {
			swap(t, &dontCache, flag)
			enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
				for name, ctx := range map[string]context.Context{"plain": context.Background(), "context": t.Context()} {
					t.Run(name, func(t *testing.T) { test(t, ctx, e) })
				}
			})
		})
	}
}

// swap sets a variable for the time of the test.
func swap[T any](t *testing.T, p *T, v T) {
	old := *p
	*p = v
	t.Cleanup(func() { *p = old })
}

func openFile(t *testing.T, e *ringfile.Engine, name string, flag int) *ringfile.File {
	t.Helper()
	f, err := e.OpenFile(name, flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// cachedOf returns how much of a file on a device is in the page cache; ok is false if nothing can tell.
func cachedOf(t *testing.T, f *ringfile.File) (n int64, ok bool) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Type == unix.TMPFS_MAGIC {
		return 0, false
	}
	n, err := f.Cached(0, 0)
	return n, err == nil
}

const uncachedSize = 34<<20 + 123

// uncachedBytes are the contents of the file: Pattern takes long to be made, with the race detector.
var uncachedBytes = sync.OnceValue(func() []byte {
	p := make([]byte, uncachedSize)
	rand.NewChaCha8([32]byte{}).Read(p)
	return p
})

// uncachedFile makes a file of them and returns its name.
func uncachedFile(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, uncachedBytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestUncachedReader reads parts of a file, in all kinds of pieces, and sees to it that the page cache is left alone.
func TestUncachedReader(t *testing.T) {
	name, want := uncachedFile(t), uncachedBytes()
	uncached(t, func(t *testing.T, ctx context.Context, e *ringfile.Engine) {
		for i, c := range []Config{{}, {Offset: 4097}, {Offset: 3 << 20, Length: 5<<20 + 1}, {BufferSize: 5 << 20}, {Offset: uncachedSize + 5}} {
			if err := testutil.Evict(name); err != nil {
				t.Fatal(err)
			}
			f := openFile(t, e, name, os.O_RDONLY)
			c.Uncached = true
			r := NewReaderContext(ctx, f, c)
			rest := want[min(c.Offset, uncachedSize):]
			if c.Length > 0 {
				rest = rest[:c.Length]
			}
			buf := make([]byte, 6<<20)
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for err := error(nil); err == nil; {
				var n int
				n, err = r.Read(buf[:1+rng.IntN(len(buf))])
				if n > len(rest) || !bytes.Equal(buf[:n], rest[:n]) {
					t.Fatalf("%+v: other bytes, %d before the end", c, len(rest))
				}
				rest = rest[n:]
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
			if len(rest) > 0 {
				t.Errorf("%+v: ends %d bytes too early", c, len(rest))
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			// Read-ahead may have gone on behind the end of a part.
			if n, ok := cachedOf(t, f); ok && (n > 16<<20 || c.Length == 0 && n > 4<<20) {
				t.Errorf("%+v: %d bytes are in the page cache", c, n)
			}
		}
	})
}

// TestUncachedReaderSpares reads a file that is in the page cache: it stays there, where the kernel can tell.
func TestUncachedReaderSpares(t *testing.T) {
	name := uncachedFile(t)
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openFile(t, e, name, os.O_RDWR)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if _, err := e.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		before, _ := cachedOf(t, f)
		r := NewReader(f, Config{Uncached: true})
		if n, err := r.WriteTo(io.Discard); n != uncachedSize || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if r.refused {
			t.Skip("needs Linux 6.14: RWF_DONTCACHE is refused")
		}
		if after, ok := cachedOf(t, f); ok && after < before {
			t.Errorf("%d bytes of %d are still in the page cache", after, before)
		}
		r.Close()
	})
}

// TestUncachedWriter writes parts of a file in all kinds of pieces.
func TestUncachedWriter(t *testing.T) {
	want := uncachedBytes()
	uncached(t, func(t *testing.T, ctx context.Context, e *ringfile.Engine) {
		for i, c := range []Config{{}, {Offset: 4097}, {BufferSize: 5 << 20}} {
			f := openFile(t, e, filepath.Join(t.TempDir(), fmt.Sprint(i)), os.O_RDWR|os.O_CREATE)
			c.Uncached = true
			w := NewWriterContext(ctx, f, c)
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			for rest := want; len(rest) > 0; {
				n := min(1+rng.IntN(6<<20), len(rest))
				if m, err := w.Write(rest[:n]); m != n || err != nil {
					t.Fatalf("Write = %d of %d, %v", m, n, err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			// What was written last is still on its way.
			if n, ok := cachedOf(t, f); ok && n > 24<<20 {
				t.Errorf("%d bytes are in the page cache", n)
			}
			got := make([]byte, uncachedSize)
			if n, err := f.ReadAt(got, c.Offset); n != uncachedSize || err != nil || !bytes.Equal(got, want) {
				t.Errorf("%+v: read back %d, %v, or other bytes", c, n, err)
			}
		}
	})
}

// TestUncachedInjected has the calls move less than they were asked for, be interrupted, and fail in the middle.
func TestUncachedInjected(t *testing.T) {
	const size = 5 << 20
	want := uncachedBytes()[:size]
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		for _, c := range []struct {
			name string
			at   int64 // from where on it is err
			err  error
			want error
		}{{"short", size + 1, nil, nil}, {"EIO", 3<<20 + 100, unix.EIO, unix.EIO}, {"at once", 0, unix.ENOSPC, unix.ENOSPC}, {"nothing", 1 << 20, nil, io.ErrUnexpectedEOF}} {
			t.Run(c.name, func(t *testing.T) {
				calls := 0
				trouble := func(move func(int, [][]byte, int64, int) (int, error)) func(int, [][]byte, int64, int) (int, error) {
					return func(fd int, vec [][]byte, off int64, flags int) (int, error) {
						switch calls++; {
						case calls%5 == 0:
							return -1, unix.EINTR
						case off >= c.at && c.err != nil:
							return -1, c.err
						case off >= c.at:
							return 0, nil
						}
						p := vec[0]
						return move(fd, [][]byte{p[:min(int64(len(p)), 100_001, c.at-off)]}, off, 0)
					}
				}
				swap(t, &preadv2, trouble(unix.Preadv2))
				swap(t, &pwritev2, trouble(unix.Pwritev2))
				f := openFile(t, e, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE)
				w := NewWriter(f, Config{Uncached: true})
				n, err := w.ReadFrom(bytes.NewReader(want))
				if err1 := w.Close(); err == nil {
					err = err1
				}
				if !errors.Is(err, c.want) || err == nil && n != size {
					t.Errorf("written %d, %v, want %v", n, err, c.want)
				}
				if _, err := f.WriteAt(want, 0); err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				r := NewReader(f, Config{Uncached: true})
				_, err = r.WriteTo(&got)
				if there := min(c.at, size); got.Len() != int(there) || !bytes.Equal(got.Bytes(), want[:there]) {
					t.Errorf("read %d bytes of %d, or others", got.Len(), there)
				}
				if c.err != nil && !errors.Is(err, c.err) || c.err == nil && err != nil {
					t.Errorf("read: %v, want %v", err, c.err)
				}
				r.Close()
			})
		}
	})
}

// TestUncachedLeft has a call hang: a Reader with a context returns all the same, and its buffer is used by nobody else.
func TestUncachedLeft(t *testing.T) {
	const size = 3 << 20
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openFile(t, e, uncachedFile(t), os.O_RDWR)
		hang := make(chan struct{})
		hangs := func(int, [][]byte, int64, int) (int, error) { <-hang; return 0, nil }
		swap(t, &preadv2, hangs)
		why := errors.New("enough")
		begin := func() (context.Context, time.Time) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
			return ctx, time.Now()
		}
		inTime := func(what string, start time.Time, err error) {
			if late := time.Since(start); !errors.Is(err, why) || late > 5*time.Second {
				t.Errorf("%s: %v after %v", what, err, late)
			}
		}
		ctx, start := begin()
		r := NewReaderContext(ctx, f, Config{Uncached: true})
		_, err := r.Read(make([]byte, size))
		inTime("Read", start, err)
		if r.Close(); r.buf != nil {
			t.Error("the Reader has kept the buffer")
		}
		close(hang)
	})
}

// TestUncachedDeadline ends streams by deadlines of the file.
func TestUncachedDeadline(t *testing.T) {
	uncached(t, func(t *testing.T, ctx context.Context, e *ringfile.Engine) {
		f := openFile(t, e, uncachedFile(t), os.O_RDWR)
		r := NewReaderContext(ctx, f, Config{Uncached: true})
		w := NewWriterContext(ctx, f, Config{Uncached: true})
		f.SetDeadline(time.Unix(1, 0))
		p := make([]byte, 4<<20)
		if _, err := r.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		if _, err := w.Write(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %v", err)
		}
		f.SetDeadline(time.Time{})
		if _, err := io.ReadFull(r, p); err != nil || !bytes.Equal(p, uncachedBytes()[:len(p)]) {
			t.Errorf("Read after the deadline: %v, or other bytes", err)
		}
		r.Close()
		w.Close()
	})
}

// TestUncachedGivenUp has the kernel's uncached write hang: a Writer with a context, which may give its writes up, makes
// none that the File does not know of. It could land on what is written later.
func TestUncachedGivenUp(t *testing.T) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		hang, ended := make(chan struct{}), make(chan struct{}, 1)
		swap(t, &pwritev2, func(fd int, vec [][]byte, off int64, flags int) (int, error) {
			<-hang
			n, err := unix.Pwritev2(fd, vec, off, 0)
			ended <- struct{}{}
			return n, err
		})
		f := openFile(t, e, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		w := NewWriterContext(ctx, f, Config{Uncached: true})
		w.Write(make([]byte, 3<<20))
		werr := w.Close()
		newer := bytes.Repeat([]byte("new"), 1<<20)
		if _, err := f.WriteAt(newer, 0); err != nil {
			t.Fatal(err)
		}
		close(hang)
		if errors.Is(werr, context.DeadlineExceeded) {
			select {
			case <-ended:
			case <-time.After(time.Second): // the write was another one
			}
		}
		got := make([]byte, len(newer))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, newer) {
			t.Errorf("a write that was given up has overtaken a newer one; %v", err)
		}
	})
}

// TestUncachedLargePieces writes and reads more in one call, or with a larger buffer, than may be in the page cache.
func TestUncachedLargePieces(t *testing.T) {
	const size = 96 << 20
	p := make([]byte, size)
	uncached(t, func(t *testing.T, ctx context.Context, e *ringfile.Engine) {
		for _, c := range []Config{{}, {BufferSize: 64 << 20}} {
			c.Uncached = true
			f := openFile(t, e, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
			w := NewWriterContext(ctx, f, c)
			if n, err := w.Write(p); n != size || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
			if n, ok := cachedOf(t, f); ok && n > 32<<20 {
				t.Errorf("%+v: %d bytes are in the page cache after Write", c, n)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := f.Advise(0, 0, ringfile.AdviceDontNeed); err != nil {
				t.Fatal(err)
			}
			r := NewReaderContext(ctx, f, c)
			if n, err := r.Read(p); n > dropAfter || n == 0 || err != nil {
				t.Errorf("%+v: Read of %d bytes at a time, %v", c, n, err)
			}
			r.Close()
		}
	})
}

// TestUncachedNoOffsets reads a file that takes no offsets, as some in /proc.
func TestUncachedNoOffsets(t *testing.T) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		swap(t, &preadv2, func(int, [][]byte, int64, int) (int, error) { return -1, unix.ESPIPE })
		f := openFile(t, e, uncachedFile(t), os.O_RDONLY)
		r := NewReader(f, Config{Uncached: true})
		defer r.Close()
		p := make([]byte, 3<<20)
		if _, err := io.ReadFull(r, p); err != nil || !bytes.Equal(p, uncachedBytes()[:len(p)]) {
			t.Errorf("%v, or other bytes", err)
		}
	})
}

// TestUncachedSkip writes small parts with holes between them: how much is in the page cache does not depend on that.
func TestUncachedSkip(t *testing.T) {
	const part, parts = 1<<20 + 100, 96
	p := uncachedBytes()[:part]
	uncached(t, func(t *testing.T, ctx context.Context, e *ringfile.Engine) {
		f := openFile(t, e, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE)
		w := NewWriterContext(ctx, f, Config{Uncached: true})
		for i := range parts {
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			if err := w.Skip(part); err != nil {
				t.Fatalf("Skip %d: %v", i, err)
			}
		}
		if err := w.Skip(-1); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Skip(-1): %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if n, ok := cachedOf(t, f); ok && n > 40<<20 {
			t.Errorf("%d bytes are in the page cache", n)
		}
		got := make([]byte, part)
		for i := range int64(2*parts - 1) {
			want := p
			if i%2 == 1 {
				want = make([]byte, part)
			}
			if _, err := f.ReadAt(got, i*part); err != nil || !bytes.Equal(got, want) {
				t.Errorf("part %d: %v, or other bytes", i, err)
			}
		}
		if err := w.Skip(1); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Skip after Close: %v", err)
		}
	})
}
