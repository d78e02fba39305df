package ringfile

import (
	"context"
	"io/fs"
	"math"
	"os"
)

// StreamConfig says where and how a Reader or Writer streams. The zero value streams from the start
// of the file, in a way that suits disks.
type StreamConfig struct {
	// Offset is where in the file the stream begins, in bytes. A stream neither uses nor moves the
	// file position, except that of a file without offsets (a pipe) or, in writing, one opened with
	// O_APPEND: there the stream goes on where the file is, and Offset is ignored.
	Offset int64

	// BufferSize is the size of a request in bytes, rounded up to whole pages. Zero: 256 KiB.
	BufferSize int

	// Depth is how many requests are in flight at once, each with a buffer of its own, on a file
	// that is opened with O_DIRECT. Zero: 8.
	Depth int
}

const (
	streamBuffer = 256 << 10
	streamDepth  = 8
)

// streamPool has the buffers of the usual size; a stream of another size has a pool of its own.
var streamPool = NewBufferPool(streamBuffer, pageSize)

// pageSize is what the memory and the offsets of a stream's requests are aligned to, or more if the
// file asks for that: a page that is in part written past the page cache and in part through it
// would have to be kept consistent by the kernel.
var pageSize = max(os.Getpagesize(), 4096)

// stream is what a Reader and a Writer have in common.
type stream struct {
	file  *File
	ctx   context.Context
	depth int
	// direct has requests in flight, with buffers of the stream. Otherwise calls are made: what is
	// in the page cache, or goes there, is had for less than the hand-over of a request costs.
	direct bool
	// offsets tells that the file has offsets; otherwise it is read or written where it is.
	offsets bool
	closed  bool
	align   int64 // of the offset and the length of a direct request; a power of two
	size    int   // of a buffer
	pool    *BufferPool
	flying  queue[*flight] // the requests in flight, the oldest first
}

// flight is a request in flight.
type flight struct {
	future *Future[int]
	buf    []byte // the whole buffer, for the pool
	off    int64
}

func newStream(ctx context.Context, f *File, c StreamConfig, code opcode) stream {
	s := stream{file: f, ctx: ctx, depth: c.Depth, size: c.BufferSize, align: int64(pageSize)}
	if s.depth <= 0 {
		s.depth = streamDepth
	}
	if f != nil && f.os != nil {
		s.offsets = f.class == classDisk && !(code.writes() && f.append)
		s.direct = s.offsets && f.direct && c.Offset >= 0
	}
	if s.size <= 0 {
		s.size = streamBuffer
	}
	if s.direct {
		if a, err := f.DirectAlign(); err == nil {
			s.align = int64(max(pageSize, a.Offset, a.Memory))
		}
	}
	s.size = int(alignUp(int64(min(s.size, maxStreamBuffer)), s.align))
	s.pool = streamPool
	if s.size != streamPool.size || s.align != int64(streamPool.align) {
		s.pool = NewBufferPool(s.size, int(s.align))
	}
	return s
}

// maxStreamBuffer keeps a request within what one system call moves.
const maxStreamBuffer = 1 << 30

// alignUp and alignDown return the next or the last multiple of align, a power of two.
func alignUp(n, align int64) int64 {
	if n > math.MaxInt64-align {
		return alignDown(n, align)
	}
	return (n + align - 1) &^ (align - 1)
}

func alignDown(n, align int64) int64 { return n &^ (align - 1) }

// over returns the reason, for an error, why the stream must not wait any longer, nil if it may.
func (s *stream) over(code opcode, word string) error {
	if s.file == nil || s.file.os == nil {
		return fs.ErrInvalid
	}
	if s.closed {
		return s.file.wrap(word, fs.ErrClosed)
	}
	u := s.file.until(s.ctx, code)
	if _, err := u.err(); err != nil {
		return s.file.wrap(word, err)
	}
	return nil
}

// land waits for the oldest request in flight and returns it with its result. If the context or the
// deadline ends first, left is true: the request and its buffer are the kernel's still.
func (s *stream) land(code opcode, word string) (fl *flight, n int, left bool, err error) {
	fl = s.flying.pop()
	u := s.file.until(s.ctx, code)
	if u.stop != nil || u.late != nil {
		select {
		case <-fl.future.Done():
		case <-u.stop:
			left = true
		case <-u.late:
			left = true
		}
		if left {
			fl.future.Cancel()
			_, err = u.err()
			return fl, 0, true, s.file.wrap(word, err)
		}
	}
	n, err = fl.future.Await()
	return fl, n, false, err
}

// abandon cancels what is in flight. It waits for it unless left is true: then buffers that the
// kernel has not let go of are left to the collector, which finds them once the kernel has.
func (s *stream) abandon(left bool) {
	for i := range s.flying.len() {
		(*s.flying.at(i)).future.Cancel()
	}
	for s.flying.len() > 0 {
		fl := s.flying.pop()
		if !left || closed(fl.future.Done()) {
			fl.future.Await()
			if fl.buf != nil {
				s.pool.Put(fl.buf)
			}
		}
	}
}

// writeCached writes p, at most bounceMax bytes, through the page cache, with O_DIRECT switched off in
// that moment: so p needs no alignment. It is a blocking call, as all buffered writes are; a ring that
// polls devices would refuse it.
func (f *File) writeCached(ctx context.Context, p []byte, off int64) (n int, err error) {
	err = f.withoutDirect(ctx, func() (err error) {
		op := operation{code: opWrite, file: f, buf: p, off: off}
		u := f.until(ctx, opWrite)
		if u.stop == nil && u.late == nil {
			n, err = f.block(&op, 0, "write")
			return err
		}
		b := newBounce(len(p))
		copy(b.buf, p)
		op.buf = b.buf
		var left bool
		if n, left, err = f.ownedBlocking(&u, &op, 0, b, "write"); !left {
			b.release()
		}
		return err
	})
	return n, err
}
