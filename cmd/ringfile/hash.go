package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/stream"
)

const (
	// chunkSize is what one read asks for. A file that ends within the first chunk takes the short
	// way: one read and one call of the hash.
	chunkSize = 256 << 10

	// maxReads bounds the reads in flight, and with them the memory: each has one chunk, and one that
	// leaves nothing in the page cache a buffer of 2 MiB beside it.
	maxReads = (64 << 20) / chunkSize

	// maxAhead bounds the reads in flight for one file.
	maxAhead = 8

	// bufferAlign is the alignment of the buffers; what needs a larger one for O_DIRECT is read
	// through the page cache.
	bufferAlign = 4096
)

// file is what a hasher needs of *ringfile.File.
type file interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
	Stat() (fs.FileInfo, error)
}

var _ file = (*ringfile.File)(nil)

// hasher computes sums. A large file is read by several reads at a time and hashed in order, as
// SHA-256 is sequential. It is safe for concurrent use.
type hasher struct {
	open       func(name string) (file, error)
	openDirect func(name string) (file, error) // nil to read through the page cache
	refused    func(name string)               // takes the names of files that O_DIRECT is not possible for
	stdin      io.Reader
	reads      *semaphore.Weighted // one for each read in flight, and the buffer that goes with it
	buffers    *ringfile.BufferPool
	count      func(bytes int) // takes what has been hashed
	uncached   bool            // nothing is to stay in the page cache
}

// sum returns the SHA-256 sum of what it says in it.
func (h *hasher) sum(ctx context.Context, it *item) (sum [32]byte, err error) {
	if it.after != nil {
		select {
		case <-it.after:
		case <-ctx.Done():
			return sum, ctx.Err()
		}
	}
	if err := h.reads.Acquire(ctx, 1); err != nil {
		return sum, err
	}
	defer h.reads.Release(1)
	buf := h.buffers.Get()
	defer h.buffers.Put(buf)

	if it.kind == stdin {
		return h.sequential(ctx, h.stdin, buf)
	}
	f, direct, err := h.openFor(it)
	if err != nil {
		return sum, err
	}
	if it.kind == serial {
		defer f.Close()
		return h.sequential(ctx, f, buf)
	}
	if f, ok := f.(*ringfile.File); ok && h.uncached {
		defer f.Close()
		r := stream.NewReader(f, stream.Config{Uncached: true})
		defer r.Close()
		return h.sequential(ctx, r, buf)
	}
	n, err := f.ReadAt(buf, 0)
	switch {
	case err == io.EOF:
		f.Close()
		h.count(n)
		return sha256.Sum256(buf[:n]), nil
	case n == 0 && errors.Is(err, syscall.ESPIPE):
		// Some files in /proc and the like can only be read from their front to their end.
		defer f.Close()
		return h.sequential(ctx, f, buf)
	}
	c := chunked{hasher: h, file: f, direct: direct, name: it.name}
	defer c.close()
	return c.sum(ctx, buf, n, err)
}

// openFor opens the file of an item, with O_DIRECT if that is asked for and possible.
func (h *hasher) openFor(it *item) (f file, direct bool, err error) {
	if h.openDirect != nil && it.kind != serial {
		f, err = h.openDirect(it.name)
		if !errors.Is(err, errNotDirect) {
			return f, err == nil, err
		}
		h.refused(it.name)
	}
	f, err = h.open(it.name)
	return f, false, err
}

// errNotDirect is the error of hasher.openDirect for files that cannot be read so.
var errNotDirect = errors.New("no O_DIRECT")

// sequential returns the sum of what r yields.
func (h *hasher) sequential(ctx context.Context, r io.Reader, buf []byte) (sum [32]byte, err error) {
	hash := sha256.New()
	for {
		n, err := r.Read(buf)
		hash.Write(buf[:n])
		h.count(n)
		if err == io.EOF {
			return [32]byte(hash.Sum(nil)), nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return sum, err
		}
	}
}

// chunked is a file of more than one chunk on its way into the hash.
type chunked struct {
	*hasher
	name   string
	file   file
	direct bool
	size   int64 // as far as is known; the file is read to its end, wherever that turns out to be

	group errgroup.Group // the reads in flight
	queue []*chunk       // they, in the order of their offsets
	free  []*chunk       // chunks at rest
	off   int64          // of the next read
}

// chunk is one read: a buffer, and what came of it.
type chunk struct {
	buf   []byte
	off   int64
	n     int
	err   error
	extra bool
	ready chan struct{} // one element: n and err are there
}

// sum returns the sum of the file, whose first read, into buf, gave n bytes and err.
func (c *chunked) sum(ctx context.Context, buf []byte, n int, err error) (sum [32]byte, _ error) {
	first := &chunk{buf: buf, n: n, err: err, ready: make(chan struct{}, 1)}
	first.ready <- struct{}{}
	c.queue = append(c.queue, first)
	c.off = int64(n)
	defer c.drain()
	if err == nil {
		if c.size, err = c.file.Seek(0, io.SeekEnd); err != nil {
			c.size = 0 // a file without a size is read one chunk at a time
		}
	}
	hash := sha256.New()
	for {
		c.start()
		next := c.queue[0]
		<-next.ready
		c.queue = c.queue[1:]
		hash.Write(next.buf[:next.n])
		c.count(next.n)
		end, err := next.off+int64(next.n), next.err
		c.rest(next)
		switch {
		case err == io.EOF:
			return [32]byte(hash.Sum(nil)), nil
		case c.direct && errors.Is(err, syscall.EINVAL):
			// A file system may refuse what is not aligned, such as the end of the file.
			if err := c.leaveDirect(end); err != nil {
				return sum, err
			}
		case err != nil:
			return sum, err
		case ctx.Err() != nil:
			return sum, ctx.Err()
		}
	}
}

// start starts as many reads as are allowed: one always, more while others leave room for them and
// the file is known to go on.
func (c *chunked) start() {
	for len(c.queue) == 0 || c.off < c.size && len(c.queue) < maxAhead {
		next := c.take()
		if next == nil {
			return
		}
		next.off = c.off
		c.off += int64(len(next.buf))
		c.queue = append(c.queue, next)
		f := c.file
		c.group.Go(func() error {
			next.n, next.err = f.ReadAt(next.buf, next.off)
			next.ready <- struct{}{}
			return nil
		})
	}
}

// take returns a chunk for the next read, nil if there is none to be had.
func (c *chunked) take() *chunk {
	if n := len(c.free); n > 0 {
		next := c.free[n-1]
		c.free = c.free[:n-1]
		return next
	}
	if !c.reads.TryAcquire(1) {
		return nil
	}
	return &chunk{buf: c.buffers.Get(), extra: true, ready: make(chan struct{}, 1)}
}

// rest takes back a chunk that has been hashed. An extra one is offered to the other files first:
// the semaphore lets those that wait go ahead.
func (c *chunked) rest(done *chunk) {
	if done.extra {
		c.reads.Release(1)
		if !c.reads.TryAcquire(1) {
			c.buffers.Put(done.buf)
			return
		}
	}
	c.free = append(c.free, done)
}

// drain waits for the reads in flight and gives the extra chunks back.
func (c *chunked) drain() {
	c.group.Wait()
	for _, chunk := range append(c.queue, c.free...) {
		if chunk.extra {
			c.buffers.Put(chunk.buf)
			c.reads.Release(1)
		}
	}
	c.queue, c.free = nil, nil
}

// leaveDirect goes on at off without O_DIRECT.
func (c *chunked) leaveDirect(off int64) error {
	c.group.Wait()
	for _, chunk := range c.queue {
		<-chunk.ready
		c.free = append(c.free, chunk)
	}
	c.queue = nil
	f, err := c.open(c.name)
	if err != nil {
		return err
	}
	var was, is fs.FileInfo
	if was, err = c.file.Stat(); err == nil {
		if is, err = f.Stat(); err == nil && !os.SameFile(was, is) {
			err = errReplaced
		}
	}
	if err != nil {
		f.Close()
		return err
	}
	c.file.Close()
	c.file, c.direct, c.off, c.size = f, false, off, is.Size()
	if off == 0 {
		c.refused(c.name)
	}
	return nil
}

var errReplaced = errors.New("file was replaced while it was read")

func (c *chunked) close() { c.file.Close() }
