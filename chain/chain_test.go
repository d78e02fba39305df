package chain_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/chain"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestChainAppend appends records durably, as a log does, more than once with one Chain.
func TestChainAppend(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		var c chain.Chain
		for i := range 10 {
			buf := ringfile.AlignedBuffer(8192, 4096)
			off := fileSize + int64(i)*8192
			testutil.Pattern(buf, off)
			if i%2 == 0 {
				c.WriteAt(f, buf, off)
			} else {
				c.WritevAt(f, [][]byte{buf[:4096], buf[4096:]}, off)
			}
			c.Datasync(f)
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
			if r := c.Result(0); r.N != 8192 || r.Err != nil {
				t.Errorf("write: %+v", r)
			}
			if r := c.Result(1); r.N != 0 || r.Err != nil {
				t.Errorf("sync: %+v", r)
			}
			c.Reset()
		}
		got := ringfile.AlignedBuffer(fileSize+10*8192, 4096)
		if n, err := f.ReadAt(got, 0); n != len(got) || err != nil || testutil.CheckPattern(got, 0) >= 0 {
			t.Errorf("read back: %d, %v, wrong byte at %d", n, err, testutil.CheckPattern(got, 0))
		}
	})
}

// TestChainCopy copies a file, each read before the write that wants its data, in a chain that is
// longer than the ring is deep.
func TestChainCopy(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		out, err := e.Create(filepath.Join(t.TempDir(), "copy"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		var c chain.Chain
		buf := ringfile.AlignedBuffer(4096, 4096) // the same for all: the order is all that helps
		for off := int64(0); off < fileSize; off += 4096 {
			c.ReadAt(f, buf, off)
			c.WriteAt(out, buf, off)
		}
		c.Sync(out)
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, fileSize)
		if n, err := out.ReadAt(got, 0); n != fileSize || err != nil {
			t.Fatal(n, err)
		}
		if at := testutil.CheckPattern(got, 0); at >= 0 {
			t.Errorf("wrong byte at %d", at)
		}
	})
}

// TestChainBreaks has chains break, on each route with the same results.
func TestChainBreaks(t *testing.T) {
	type outcome struct {
		n   int
		err error // to match; nil for success
	}
	broken := outcome{0, chain.ErrBroken}
	cases := []struct {
		name string
		add  func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte)
		want []outcome
		run  error
	}{{
		"write to a read-only file",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.Datasync(f)
			c.WriteAt(readOnly, buf, 0)
			c.Datasync(readOnly)
			c.ReadAt(f, buf, 0)
		},
		[]outcome{{}, {0, syscall.EBADF}, broken, broken}, syscall.EBADF,
	}, {
		"end of file in the middle",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.Datasync(f)
			c.ReadAt(f, buf, fileSize-4096)
			c.WriteAt(f, buf, 0)
			c.Sync(f)
		},
		[]outcome{{}, {4096, io.EOF}, broken, broken}, io.EOF,
	}, {
		"end of file, anyway",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.Datasync(f)
			c.ReadAt(f, buf, fileSize-4096)
			c.Anyway()
			c.Datasync(f)
			c.ReadAt(f, buf, fileSize)
			c.Sync(f)
		},
		[]outcome{{}, {4096, io.EOF}, {}, {0, io.EOF}, broken}, io.EOF,
	}, {
		"error, anyway",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.WriteAt(readOnly, buf, 0)
			c.Anyway()
			c.Datasync(f)
		},
		[]outcome{{0, syscall.EBADF}, {}}, nil,
	}, {
		"closed file at the front",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.ReadAt(gone, buf, 0)
			c.Sync(f)
		},
		[]outcome{{0, fs.ErrClosed}, broken}, fs.ErrClosed,
	}, {
		"closed file in the middle",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.ReadAt(f, buf, 0)
			c.Datasync(f)
			c.ReadAt(gone, buf, 0)
			c.Sync(f)
		},
		[]outcome{{8192, nil}, {}, {0, fs.ErrClosed}, broken}, fs.ErrClosed,
	}, {
		"no file",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.Datasync(f)
			c.Sync(nil)
			c.Sync(f)
		},
		[]outcome{{}, {0, fs.ErrInvalid}, broken}, fs.ErrInvalid,
	}, {
		"nothing goes wrong",
		func(c *chain.Chain, f, readOnly, gone *ringfile.File, buf []byte) {
			c.ReadvAt(f, [][]byte{buf[:512], buf[512:4096]}, 4096)
			c.WriteAt(f, buf[:4096], 4096)
			c.Datasync(f)
			c.ReadAt(readOnly, buf, 0)
			c.ReadAt(f, nil, 0)
			c.Sync(f)
		},
		[]outcome{{4096, nil}, {4096, nil}, {}, {8192, nil}, {}, {}}, nil,
	}}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
				readOnly, err := e.Open(f.Name())
				if err != nil {
					t.Fatal(err)
				}
				defer readOnly.Close()
				gone, err := e.Open(f.Name())
				if err != nil {
					t.Fatal(err)
				}
				gone.Close()
				var c chain.Chain
				tc.add(&c, f, readOnly, gone, ringfile.AlignedBuffer(8192, 4096))
				if r := c.Result(0); r.Err != chain.ErrNotRun {
					t.Errorf("before Run: %+v", r)
				}
				if err := c.Run(); tc.run == nil && err != nil || !errors.Is(err, tc.run) {
					t.Errorf("Run: %v, want %v", err, tc.run)
				}
				for i, want := range tc.want {
					r := c.Result(i)
					if r.N != want.n || want.err == nil && r.Err != nil || !errors.Is(r.Err, want.err) {
						t.Errorf("operation %d: %d, %v, want %+v", i, r.N, r.Err, want)
					}
				}
				if c.Len() != len(tc.want) {
					t.Errorf("Len = %d, want %d", c.Len(), len(tc.want))
				}
			})
		})
	}
}

// TestChainAgain mends what broke a chain and runs it again: it goes on where it stopped.
func TestChainAgain(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		out, err := e.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		buf := ringfile.AlignedBuffer(8192, 4096)
		var c chain.Chain
		c.Datasync(f)
		c.ReadAt(f, buf, fileSize-4096)
		c.WriteAt(out, buf, 0)
		c.Datasync(out)
		for range 2 { // nothing has changed the second time
			if err := c.Run(); err != io.EOF {
				t.Fatalf("Run: %v, want EOF", err)
			}
		}
		more := ringfile.AlignedBuffer(4096, 4096)
		testutil.Pattern(more, fileSize)
		if _, err := f.WriteAt(more, fileSize); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to do
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
		}
		if r := c.Result(1); r.N != 8192 || r.Err != nil {
			t.Errorf("read: %+v", r)
		}
		got := make([]byte, 8192)
		if n, err := out.ReadAt(got, 0); n != 8192 || err != nil || testutil.CheckPattern(got, fileSize-4096) >= 0 {
			t.Errorf("copied: %d, %v", n, err)
		}
	})
}

// TestChainContext runs chains whose context has ended.
func TestChainContext(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		var c chain.Chain
		c.ReadAt(f, ringfile.AlignedBuffer(4096, 4096), 0)
		c.Sync(f)
		if err := c.RunContext(ctx); !errors.Is(err, why) {
			t.Errorf("RunContext: %v", err)
		}
		if r := c.Result(1); !errors.Is(r.Err, chain.ErrBroken) {
			t.Errorf("the link behind: %+v", r)
		}
		if err := c.Run(); err != nil || c.Result(0).N != 4096 {
			t.Errorf("without the context: %v, %+v", err, c.Result(0))
		}
	})
}

// TestStormChain has contexts and deadlines end and files be closed while chains are carried out:
// what is behind a failure has not been done, and buffers are free at the return.
func TestStormChain(t *testing.T) {
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		var mu sync.Mutex
		shared := open()
		defer func() { shared.Close() }()
		storm(t, 8, func(rng *rand.Rand, w int) {
			mu.Lock()
			f := shared
			mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(2000))*time.Microsecond)
			defer cancel()
			var c chain.Chain
			var bufs [][]byte
			off := int64(w) * (fileSize / 8)
			for range 1 + rng.IntN(5) {
				buf := ringfile.AlignedBuffer(4096, 4096)
				bufs = append(bufs, buf)
				c.ReadAt(f, buf, off)
				c.WriteAt(f, buf, off)
				c.Datasync(f)
			}
			c.RunContext(ctx)
			failed := false
			for i := range c.Len() {
				r := c.Result(i)
				switch {
				case failed && !errors.Is(r.Err, chain.ErrBroken):
					t.Errorf("operation %d behind a failure: %+v", i, r)
				case !failed && r.Err != nil && !expected(r.Err):
					t.Errorf("operation %d: %+v", i, r)
				case !failed && r.Err == nil && i%3 == 0:
					checkRead(t, r.N, r.Err, bufs[i/3], off)
				}
				failed = failed || r.Err != nil
			}
			for _, buf := range bufs {
				clear(buf) // ours again
			}
			if w == 0 && rng.IntN(4) == 0 {
				f.SetDeadline(time.Now().Add(time.Duration(rng.IntN(500)) * time.Microsecond))
				time.Sleep(300 * time.Microsecond)
				f.SetDeadline(time.Time{})
			}
			if w == 1 && rng.IntN(8) == 0 {
				fresh := open()
				mu.Lock()
				old := shared
				shared = fresh
				mu.Unlock()
				if err := old.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		})
	})
}

// TestStormChainEngineClose closes engines while chains run, and while their ring is made.
func TestStormChainEngineClose(t *testing.T) {
	stormEngines(t, 6, func(t *testing.T, rng *rand.Rand, e *ringfile.Engine, f *ringfile.File, w int) {
		buf := ringfile.AlignedBuffer(4096, 4096)
		var c chain.Chain
		for range 5 {
			c.Reset()
			c.ReadAt(f, buf, int64(w)*4096)
			c.WriteAt(f, buf, int64(w)*4096)
			c.Datasync(f)
			if err := c.Run(); err != nil && !expected(err) {
				t.Errorf("Run: %v", err)
			}
		}
	})
}
