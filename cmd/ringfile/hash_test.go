package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ringfile/ringfile"
)

// fakeFile is a file in memory, whose reads can be changed.
type fakeFile struct {
	data   []byte
	readAt func(p []byte, off int64) (int, error) // instead of data, if not nil
	seek   func() (int64, error)
	info   fs.FileInfo
	closed *atomic.Int64
}

func (f *fakeFile) ReadAt(p []byte, off int64) (int, error) {
	if f.readAt != nil {
		return f.readAt(p, off)
	}
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *fakeFile) Read(p []byte) (int, error) {
	n := copy(p, f.data)
	f.data = f.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *fakeFile) Seek(off int64, whence int) (int64, error) {
	if f.seek != nil {
		return f.seek()
	}
	return int64(len(f.data)), nil
}

func (f *fakeFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *fakeFile) Close() error               { f.closed.Add(1); return nil }

const fakeReads = 6

// fakeHasher returns a hasher whose files are f, and a function that checks what a hasher owes when
// it is done: files closed, reads given back.
func fakeHasher(t *testing.T, f *fakeFile) (*hasher, func()) {
	f.closed = new(atomic.Int64)
	opened := int64(0)
	h := &hasher{
		open:    func(string) (file, error) { opened++; g := *f; return &g, nil },
		refused: func(string) {},
		reads:   semaphore.NewWeighted(fakeReads),
		buffers: ringfile.NewBufferPool(chunkSize, bufferAlign),
		count:   func(int) {},
	}
	return h, func() {
		t.Helper()
		if got := f.closed.Load(); got != opened {
			t.Errorf("closed files: got %d, want %d", got, opened)
		}
		if !h.reads.TryAcquire(fakeReads) {
			t.Error("a read was not given back")
		}
	}
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

// lengths are interesting sizes of files.
var lengths = []int{
	0, 1, 511, 512, 4095, 4096, 4097, chunkSize - 1, chunkSize, chunkSize + 1, 2*chunkSize - 1, 2 * chunkSize,
	3*chunkSize + 512, maxAhead * chunkSize, maxAhead*chunkSize + 1, 3*maxAhead*chunkSize + 4321,
}

func TestHasherLengths(t *testing.T) {
	data := randomBytes(lengths[len(lengths)-1])
	for _, n := range lengths {
		h, check := fakeHasher(t, &fakeFile{data: data[:n]})
		got, err := h.sum(t.Context(), &item{name: "x"})
		if want := sha256.Sum256(data[:n]); got != want || err != nil {
			t.Errorf("%d bytes: got %x, %v, want %x", n, got, err, want)
		}
		check()
	}
}

// TestHasherSizeIsWrong covers files that grow, shrink, or tell no size, as those in /proc.
func TestHasherSizeIsWrong(t *testing.T) {
	data := randomBytes(5*chunkSize + 99)
	for _, c := range []struct {
		name string
		seek func() (int64, error)
	}{
		{"says zero", func() (int64, error) { return 0, nil }},
		{"grows", func() (int64, error) { return 2*chunkSize + 7, nil }},
		{"shrinks", func() (int64, error) { return 50 * chunkSize, nil }},
		{"no seek", func() (int64, error) { return 0, syscall.EINVAL }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, check := fakeHasher(t, &fakeFile{data: data, seek: c.seek})
			got, err := h.sum(t.Context(), &item{name: "x"})
			if want := sha256.Sum256(data); got != want || err != nil {
				t.Errorf("got %x, %v, want %x", got, err, want)
			}
			check()
		})
	}
}

// TestHasherReadsAhead checks that a large file has several reads in flight, in bounds, and that
// they may end in any order.
func TestHasherReadsAhead(t *testing.T) {
	data := randomBytes(30*chunkSize + 1)
	var now, most atomic.Int64
	f := &fakeFile{data: data}
	f.readAt = func(p []byte, off int64) (int, error) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		now.Add(-1)
		return bytes.NewReader(data).ReadAt(p, off)
	}
	h, check := fakeHasher(t, f)
	got, err := h.sum(t.Context(), &item{name: "x"})
	if want := sha256.Sum256(data); got != want || err != nil {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	if n := most.Load(); n < 2 || n > fakeReads {
		t.Errorf("reads in flight: got %d at most, want 2 to %d", n, fakeReads)
	}
	check()
}

func TestHasherReadFails(t *testing.T) {
	data := randomBytes(20 * chunkSize)
	for _, at := range []int64{0, chunkSize, 7 * chunkSize} {
		f := &fakeFile{data: data}
		f.readAt = func(p []byte, off int64) (int, error) {
			if off == at {
				return 100, syscall.EIO
			}
			return bytes.NewReader(data).ReadAt(p, off)
		}
		h, check := fakeHasher(t, f)
		if _, err := h.sum(t.Context(), &item{name: "x"}); !errors.Is(err, syscall.EIO) {
			t.Errorf("at %d: got %v, want EIO", at, err)
		}
		check()
	}
}

func TestHasherCancelled(t *testing.T) {
	data := randomBytes(20 * chunkSize)
	ctx, cancel := context.WithCancel(t.Context())
	f := &fakeFile{data: data}
	f.readAt = func(p []byte, off int64) (int, error) {
		if off == 5*chunkSize {
			cancel()
		}
		return bytes.NewReader(data).ReadAt(p, off)
	}
	h, check := fakeHasher(t, f)
	if _, err := h.sum(ctx, &item{name: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	check()
}

func TestHasherNotSeekable(t *testing.T) {
	data := randomBytes(3*chunkSize + 5)
	f := &fakeFile{data: data, readAt: func([]byte, int64) (int, error) { return 0, syscall.ESPIPE }}
	h, check := fakeHasher(t, f)
	got, err := h.sum(t.Context(), &item{name: "x"})
	if want := sha256.Sum256(data); got != want || err != nil {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	check()
}

// TestHasherLeavesDirect covers file systems that refuse a direct read that is not aligned, or all.
func TestHasherLeavesDirect(t *testing.T) {
	data := randomBytes(9*chunkSize + 777)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		readAt  func(p []byte, off int64) (int, error)
		refused bool
	}{
		{"all", func([]byte, int64) (int, error) { return 0, syscall.EINVAL }, true},
		{"tail", func(p []byte, off int64) (int, error) {
			n, err := bytes.NewReader(data).ReadAt(p, off)
			if err == io.EOF {
				return n &^ 511, syscall.EINVAL
			}
			return n, err
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeFile{data: data, info: info}
			h, check := fakeHasher(t, f)
			h.openDirect = func(string) (file, error) {
				f.closed.Add(-1) // one more to be closed
				return &fakeFile{data: data, readAt: c.readAt, info: info, closed: f.closed}, nil
			}
			refused := false
			h.refused = func(string) { refused = true }
			got, err := h.sum(t.Context(), &item{name: "x"})
			if want := sha256.Sum256(data); got != want || err != nil {
				t.Errorf("got %x, %v, want %x", got, err, want)
			}
			if refused != c.refused {
				t.Errorf("refused: got %v, want %v", refused, c.refused)
			}
			check()
		})
	}
}
