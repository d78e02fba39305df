package stream_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/rangestest"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
)

// measureStreamSize is the length of the streams.
const measureStreamSize = 256 << 20

// checking is a writer that verifies, by samples, that a stream is that of Pattern.
type checking struct {
	off int64
	bad bool
}

func (c *checking) Write(p []byte) (int, error) {
	var sample [64]byte
	k := copy(sample[:], p)
	c.bad = c.bad || testutil.CheckPattern(sample[:k], c.off) >= 0
	c.off += int64(len(p))
	return len(p), nil
}

// readAll reads r through a buffer as a program has it that looks at all that it reads.
func readAll(r io.Reader) (int, error) {
	var c checking
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		c.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if c.bad || c.off != measureStreamSize {
		return 0, fmt.Errorf("%d bytes, wrong ones: %v", c.off, c.bad)
	}
	return measureStreamSize >> 20, nil // an operation is a megabyte
}

// writeAll writes a stream in pieces of 32 KiB.
func writeAll(w io.Writer, pattern []byte) error {
	for off := 0; off < measureStreamSize; off += 32 << 10 {
		if _, err := w.Write(pattern[off : off+32<<10]); err != nil {
			return err
		}
	}
	return nil
}

func TestMeasureStream(t *testing.T) {
	dir := measure.Dir(t)
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	name := filepath.Join(dir, "ringfile-stream")
	pattern := testutil.PatternBytes(measureStreamSize)
	if err := os.WriteFile(name, pattern, 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	evict := func() error { return testutil.Evict(name) }
	warm := func() error { _, err := os.ReadFile(name); return err }
	measure.Header()
	if err := evict(); err != nil {
		t.Fatal(err)
	}
	osRead := func(flag int, wrap func(f *os.File) io.Reader) func() (int, error) {
		return func() (int, error) {
			f, err := os.OpenFile(name, flag, 0)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			return readAll(wrap(f))
		}
	}
	plain := func(f *os.File) io.Reader { return bufio.NewReaderSize(f, 256<<10) }
	ringRead := func(flag int, c stream.Config) func() (int, error) {
		return func() (int, error) {
			f, err := e.OpenFile(name, flag, 0)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			r := stream.NewReader(f, c)
			defer r.Close()
			return readAll(r)
		}
	}
	for _, c := range []struct {
		cell    string
		flag    int
		prepare func() error
		os      func(f *os.File) io.Reader
	}{
		{"sequential read, in the page cache", 0, warm, plain},
		{"sequential read, cold", 0, evict, plain},
		{"sequential read, O_DIRECT", oDirect, evict, func(f *os.File) io.Reader { return &alignedReader{f: f, buf: ringfile.AlignedBuffer(256<<10, 4096)} }},
	} {
		measure.Compare(t, c.cell+" (op: 1 MiB)",
			measure.Side{Name: "bufio over os.File, 256 KiB", Prepare: c.prepare, Run: osRead(c.flag, c.os)},
			enginetest.Side(e, "Reader", c.prepare, ringRead(c.flag, stream.Config{})),
		)
	}

	remove := func() error { os.Remove(name); return nil }
	for _, c := range []struct {
		cell string
		flag int
	}{{"sequential write of a new file + fsync, buffered", 0}, {"sequential write of a new file + fsync, O_DIRECT", oDirect}} {
		flag := os.O_RDWR | os.O_CREATE | os.O_TRUNC | c.flag
		measure.Compare(t, c.cell+" (op: 1 MiB)",
			measure.Side{Name: "bufio over os.File, 256 KiB", Prepare: remove, Run: func() (int, error) {
				f, err := os.OpenFile(name, flag, 0o644)
				if err != nil {
					return 0, err
				}
				defer f.Close()
				if c.flag != 0 {
					w := &alignedWriter{f: f, buf: ringfile.AlignedBuffer(256<<10, 4096)}
					err = writeAll(w, pattern)
				} else {
					w := bufio.NewWriterSize(f, 256<<10)
					if err = writeAll(w, pattern); err == nil {
						err = w.Flush()
					}
				}
				if err == nil {
					err = f.Sync()
				}
				return measureStreamSize >> 20, err
			}},
			enginetest.Side(e, "Writer", remove, func() (int, error) {
				f, err := e.OpenFile(name, flag, 0o644)
				if err != nil {
					return 0, err
				}
				defer f.Close()
				w := stream.NewWriter(f, stream.Config{})
				if err := writeAll(w, pattern); err != nil {
					return 0, err
				}
				if err := w.Close(); err != nil {
					return 0, err
				}
				return measureStreamSize >> 20, f.Sync()
			}),
		)
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, pattern) {
			t.Fatalf("%s: the file is wrong: %d bytes, %v", c.cell, len(got), err)
		}
	}
}

// alignedReader is what a program needs for O_DIRECT on an os.File: bufio with an aligned buffer.
type alignedReader struct {
	f    *os.File
	buf  []byte
	rest []byte
}

func (r *alignedReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		n, err := r.f.Read(r.buf)
		if n == 0 {
			return 0, err
		}
		r.rest = r.buf[:n]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// alignedWriter is its counterpart, for streams of whole buffers.
type alignedWriter struct {
	f   *os.File
	buf []byte
	n   int
}

func (w *alignedWriter) Write(p []byte) (int, error) {
	for total := len(p); ; {
		k := copy(w.buf[w.n:], p)
		w.n += k
		if p = p[k:]; w.n == len(w.buf) {
			if _, err := w.f.Write(w.buf); err != nil {
				return 0, err
			}
			w.n = 0
		}
		if len(p) == 0 {
			return total, nil
		}
	}
}

// TestMeasureRanges reads scattered blocks, and a file from front to back, of the disk.
func TestMeasureRanges(t *testing.T) {
	const size = 64 << 20
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	name := filepath.Join(measure.Dir(t), "ringfile-ranges")
	if err := os.WriteFile(name, testutil.PatternBytes(size), 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	evict := func() error { return testutil.Evict(name) }
	if err := evict(); err != nil {
		t.Fatal(err)
	}
	measure.Header()
	for _, c := range []struct {
		cell    string
		flag    int
		prepare func() error
		loop    int
	}{{"cached", 0, nil, 0}, {"cold", 0, evict, 512}, {"O_DIRECT", oDirect, nil, 512}} {
		for _, length := range []int{4096, 64 << 10} {
			plain, err := os.OpenFile(name, c.flag, 0)
			if err != nil {
				t.Fatal(err)
			}
			f, err := e.OpenFile(name, c.flag, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.ReadFile(name); err != nil { // for the cells that do not evict it
				t.Fatal(err)
			}
			b := rangestest.Blocks{Plain: plain, File: f, Size: size, Length: length, N: min(16384, size/length), Loop: c.loop, Prepare: c.prepare}
			measure.Compare(t, fmt.Sprintf("scattered, %s, %d KiB", c.cell, length>>10), b.Sides(e)...)

			one := func(read func(use func([]byte)) error) func() (int, error) {
				return func() (int, error) {
					var c checking
					err := read(func(p []byte) { c.Write(p) })
					if c.bad || c.off != size {
						return 0, fmt.Errorf("%d bytes, wrong ones: %v, %v", c.off, c.bad, err)
					}
					return size / length, err
				}
			}
			measure.Compare(t, fmt.Sprintf("front to back, %s, %d KiB", c.cell, length>>10),
				enginetest.Side(e, "Reader", c.prepare, one(func(use func([]byte)) error {
					r := stream.NewReader(f, stream.Config{})
					defer r.Close()
					buf := make([]byte, length)
					for {
						n, err := io.ReadFull(r, buf)
						use(buf[:n])
						if err == io.EOF {
							return nil
						} else if err != nil {
							return err
						}
					}
				})),
				enginetest.Side(e, "Ranges", c.prepare, one(func(use func([]byte)) error {
					for b, err := range stream.Ranges(context.Background(), func(yield func(stream.Range) bool) {
						for off := int64(0); off < size; off += int64(length) {
							if !yield(stream.Range{File: f, Off: off, Len: length}) {
								return
							}
						}
					}, stream.RangesConfig{}) {
						if err != nil {
							return err
						}
						use(b.Data)
					}
					return nil
				})),
			)
			plain.Close()
			f.Close()
		}
	}
}
