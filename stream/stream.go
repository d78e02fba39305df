// Package stream reads and writes files sequentially, for programs that use io.Reader and io.Writer,
// and reads ahead over any list of ranges (Ranges).
//
// What a stream does depends on how its file was opened. With O_DIRECT it keeps several large requests
// in flight, using aligned buffers of its own, so that neither offsets nor lengths need be aligned. On
// any other file it makes one call after another, as package bufio does: there the kernel does the
// read-ahead and the write-behind. With Config.Uncached it leaves little in the page cache.
//
// A stream with a context stops when the context ends, and returns on time whatever the device does. A
// deadline of the file (ringfile.File.SetDeadline) ends the calls of a stream too, but with O_DIRECT a
// request on a device that does not answer ends only when the kernel releases its buffer: use a context
// to be on time there.
package stream

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/ctxerr"
)

// Config says where and how a Reader or Writer streams. The zero value streams from the start of the
// file, with settings that suit disks.
type Config struct {
	// Offset is where in the file the stream begins, in bytes. A stream neither uses nor moves the file
	// position, with two exceptions: a file without offsets (a pipe) and, when writing, a file opened
	// with O_APPEND. There the stream continues where the file is, and Offset is ignored.
	Offset int64

	// Length is how many bytes a Reader reads before it returns io.EOF; it reads no further ahead than
	// that. Zero: to the end of the file. A Writer ignores it.
	Length int64

	// BufferSize is the size of a request in bytes, rounded up to whole pages. Zero: 256 KiB.
	BufferSize int

	// Uncached keeps the stream from filling the page cache, on a file without O_DIRECT. A Reader drops
	// the data it brought in as soon as it has been read; a Writer has its data written to the device
	// at once, and then dropped. At most about 16 MiB for a Reader and 32 MiB for a Writer are in the
	// page cache at a time.
	//
	// Data that was cached before stays cached where the kernel can tell it apart (RWF_DONTCACHE, Linux
	// 6.14, on ext4, XFS and btrfs). Elsewhere, and for a Writer whose context can end, the stream
	// drops the part of the file that it has passed, whoever cached it (posix_fadvise(2)), except the
	// last 16 MiB of a Writer.
	//
	// With Uncached, BufferSize is rounded up to a multiple of 2 MiB, up to 8 MiB, no call moves more
	// than that at a time, and a deadline of the file is checked only between calls: use a context to
	// be on time. Uncached has no effect on a file without offsets, when writing with O_APPEND, or on
	// systems other than Linux. See docs/pagecache.md.
	Uncached bool

	// Depth is how many requests are in flight at once, each with its own buffer, on a file opened with
	// O_DIRECT. Zero: 8.
	Depth int
}

const (
	defaultSize  = 256 << 10
	defaultDepth = 8

	// maxSize keeps a request within what one system call transfers.
	maxSize = 1 << 30
)

// pageSize is the alignment, or more if the file requires it, of the memory and the offsets of a
// stream's requests: a page that is partly written with O_DIRECT and partly through the page cache
// would have to be kept consistent by the kernel.
var pageSize = max(os.Getpagesize(), 4096)

// uncachedUnit is the size of which requests that leave nothing in the page cache begin and end at a
// multiple, as far as possible. The page cache has folios of up to this size, which are dropped after a
// read of any part of them: the next read of another part comes from the device again
// (docs/decisions.md).
const uncachedUnit = 2 << 20

// uncachedPool has the buffers of such streams.
var uncachedPool = ringfile.NewBufferPool(uncachedUnit, pageSize)

// defaultPool has the buffers of the usual size; a stream of another size has a pool of its own.
var defaultPool = ringfile.NewBufferPool(defaultSize, pageSize)

// stream is what a Reader and a Writer have in common.
type stream struct {
	file   *ringfile.File
	ctx    context.Context
	config Config
	op     string // Op of errors: "read" or "write"
	closed bool

	// The fields below are set when the stream is prepared, at its first use.
	prepared bool
	// direct means that requests are in flight, with buffers of the stream. Otherwise calls are made:
	// for data in the page cache a call costs less than handing a request to another goroutine.
	direct bool
	// offsets means that the file has offsets; otherwise it is read or written at its position.
	offsets bool
	// uncached means that nothing is to stay in the page cache, refused that RWF_DONTCACHE is
	// unavailable. Then behind is where the part of the file begins that has not been dropped yet.
	uncached, refused bool
	behind            int64

	depth    int
	align    int64 // of the offset and the length of a direct request; a power of two
	size     int   // of a buffer
	pool     *ringfile.BufferPool
	inFlight []*request // the oldest first
}

// request is a request in flight.
type request struct {
	future *ringfile.Future[int]
	buf    []byte // the whole buffer, for the pool; nil if the Writer keeps it
	off    int64
}

// description is what a stream needs to know about its file.
type description struct {
	direct bool  // O_DIRECT is on
	append bool  // O_APPEND is on
	seeks  bool  // a regular file or a block device: it has offsets, and waits for a device only
	size   int64 // of a regular file; of anything else math.MaxInt64
	align  int64 // what direct transfers ask for, if that is known

	// serialGrowth means that the file system serializes direct writes that extend a file, serialWrites
	// that it serializes all direct writes to a file.
	serialGrowth, serialWrites bool
}

// prepare finds out how to stream. It may wait for a device, but not for longer than the context.
func (s *stream) prepare() (description, error) {
	d, err := describe(s.ctx, s.file)
	if err != nil && s.noFile() {
		return d, fs.ErrInvalid
	}
	if err != nil {
		return d, s.wrap(err)
	}
	s.offsets = d.seeks && !(s.op == "write" && d.append)
	s.direct = s.offsets && d.direct && s.config.Offset >= 0
	s.depth, s.size, s.align = s.config.Depth, s.config.BufferSize, int64(pageSize)
	if s.depth <= 0 {
		s.depth = defaultDepth
	}
	if s.size <= 0 {
		s.size = defaultSize
	}
	if s.direct {
		s.align = max(s.align, d.align)
	}
	s.uncached = s.config.Uncached && uncachedSupported && s.offsets && !s.direct && s.config.Offset >= 0
	s.behind = s.config.Offset
	unit := s.align
	if s.uncached {
		unit = uncachedUnit
	}
	s.size = int(alignUp(int64(min(s.size, maxSize)), unit))
	if s.uncached {
		s.size = min(s.size, dropAfter) // no more than that passes in one call
	}
	s.pool = defaultPool
	if s.uncached && s.size == uncachedUnit {
		s.pool = uncachedPool
	} else if s.size != defaultSize || s.align != int64(pageSize) {
		s.pool = ringfile.NewBufferPool(s.size, int(s.align))
	}
	s.prepared = true
	return d, nil
}

// alignUp and alignDown return the next or the last multiple of align, a power of two.
func alignUp(n, align int64) int64 {
	if n > math.MaxInt64-align {
		return alignDown(n, align)
	}
	return (n + align - 1) &^ (align - 1)
}

func alignDown(n, align int64) int64 { return n &^ (align - 1) }

// wrap makes err what a File would return.
func (s *stream) wrap(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if _, ok := err.(*fs.PathError); ok {
		return err
	}
	return &fs.PathError{Op: s.op, Path: s.file.Name(), Err: err}
}

// usable returns why the stream cannot be used any more, or nil.
func (s *stream) usable() error {
	err := ctxerr.Of(s.ctx)
	if s.closed {
		err = fs.ErrClosed
	}
	if s.file == nil || err != nil && s.noFile() {
		return fs.ErrInvalid
	}
	return s.wrap(err)
}

// noFile reports whether the stream's File is one that was never opened.
func (s *stream) noFile() bool {
	_, err := s.file.SyscallConn()
	return err == fs.ErrInvalid
}

// await waits for the oldest request in flight and returns it with its result. If the context ends
// first, left is true: the request and its buffer still belong to the kernel.
func (s *stream) await() (r *request, n int, left bool, err error) {
	r = s.inFlight[0]
	s.inFlight = slices.Delete(s.inFlight, 0, 1)
	if s.ctx.Done() != nil {
		select {
		case <-r.future.Done():
		case <-s.ctx.Done():
			r.future.Cancel()
			return r, 0, true, s.wrap(ctxerr.Of(s.ctx))
		}
	}
	n, err = r.future.Await()
	return r, n, false, err
}

// abandon cancels what is in flight. It waits for it unless left is true: then buffers that the kernel
// has not released are left to the garbage collector, which frees them once the kernel has.
func (s *stream) abandon(left bool) {
	for _, r := range s.inFlight {
		r.future.Cancel()
	}
	for _, r := range s.inFlight {
		if left && !finished(r.future) {
			continue
		}
		r.future.Await()
		if r.buf != nil {
			s.pool.Put(r.buf)
		}
	}
	s.inFlight = nil
}

// abandonFor is abandon after err: it does not wait if the context or a deadline has ended.
func (s *stream) abandonFor(err error) {
	s.abandon(s.ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded))
}

// finished reports whether a future has its result.
func finished(f *ringfile.Future[int]) bool {
	select {
	case <-f.Done():
		return true
	default:
		return false
	}
}
