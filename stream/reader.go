package stream

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/ringfile/ringfile"
)

// Reader reads a file sequentially from an offset on, ahead of its user. It is an io.Reader. On a file
// opened with O_DIRECT it keeps several large requests in flight, using aligned buffers of its own, so
// that Offset, the sizes of reads and the end of the file need no alignment. On any other file it reads
// in the caller's goroutine, as bufio.Reader does: the kernel does the read-ahead.
//
// An error is returned once, after all data that was read before it: a *fs.PathError, or io.EOF, bare.
// The next read tries again from there, so a reader continues when a deadline has been moved or a file
// has grown. If the file changes while it is read, up to BufferSize times Depth bytes ahead may be old
// or new data.
//
// The file's read deadline applies. A Reader is not safe for concurrent use. Several Readers on one
// File are independent of each other. Wrap a Reader in a bufio.Reader to read lines or bytes.
type Reader struct {
	stream
	off  int64  // of the first byte of rest
	rest []byte // has been read, and not been asked for
	buf  []byte // that rest lies in; nil if there is none
	err  error  // comes behind rest

	next int64 // where the next request starts
	end  int64 // where the file ends, as far as is known: only one request goes beyond
	stop int64 // where the stream ends at the latest: no request goes beyond
}

var _ interface {
	io.ReadCloser
	io.WriterTo
} = (*Reader)(nil)

// NewReader returns a Reader of f. The caller closes f, after the Reader.
func NewReader(f *ringfile.File, c Config) *Reader {
	return NewReaderContext(context.Background(), f, c)
}

// NewReaderContext is NewReader with a context for all reads: when ctx ends they fail with the error of
// ctx in a *fs.PathError.
func NewReaderContext(ctx context.Context, f *ringfile.File, c Config) *Reader {
	r := &Reader{stream: stream{file: f, ctx: ctx, config: c, op: "read"}, off: c.Offset, stop: math.MaxInt64}
	if c.Length > 0 && c.Offset <= math.MaxInt64-c.Length {
		r.stop = c.Offset + c.Length
	}
	return r
}

// ready returns why nothing can be read, or nil.
func (r *Reader) ready() error {
	if err := r.usable(); err != nil || r.prepared {
		return err
	}
	d, err := r.prepare()
	if err != nil {
		return err
	}
	r.end = d.size
	if r.direct {
		r.seek()
	}
	return nil
}

// seek makes the next request start where rest ends.
func (r *Reader) seek() { r.next = alignDown(r.off+int64(len(r.rest)), r.align) }

// Read reads up to len(p) bytes into p. At the end of the file it returns 0, io.EOF. p belongs to the
// caller again when it returns.
func (r *Reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !r.prepared {
		if err := r.ready(); err != nil {
			return 0, err
		}
	}
	if len(r.rest) == 0 {
		if r.passes() && len(p) >= r.size && r.err == nil {
			return r.pass(p)
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n = copy(p, r.rest)
	r.take(n)
	return n, nil
}

// passes reports whether reads may go straight into the caller's memory: not if they could be abandoned
// to the kernel.
func (r *Reader) passes() bool { return !r.direct && !(r.uncached && r.ctx.Done() != nil) }

// pass reads straight into p, which is no smaller than the buffer.
func (r *Reader) pass(p []byte) (n int, err error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	if r.off >= r.stop {
		return 0, io.EOF
	}
	n, err = r.call(p)
	if n > 0 {
		r.err, err = err, nil
	}
	r.off += int64(n)
	return n, err
}

// WriteTo writes the rest of the file to w from the Reader's buffers, without a copy. Reaching the end
// is not an error. If w is a connection and the file is in the page cache, File.WriteTo is faster,
// because the data is then moved inside the kernel.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if len(r.rest) == 0 {
			if err := r.fill(); err == io.EOF {
				return n, nil
			} else if err != nil {
				return n, err
			}
		}
		m, err := w.Write(r.rest)
		if m < 0 || m > len(r.rest) {
			return n, errInvalidWrite
		}
		short := m < len(r.rest)
		r.take(m)
		n += int64(m)
		if err == nil && short {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, err
		}
	}
}

var errInvalidWrite = errors.New("stream: writer returned an impossible count from Write")

// Close ends the requests in flight and waits for the kernel to release their buffers, unless the
// context has ended. It does not close the file. Later reads fail with an error that matches
// fs.ErrClosed. Close returns nil; closing twice is not an error.
func (r *Reader) Close() error {
	r.abandonFor(nil)
	if end := r.off + int64(len(r.rest)); r.refused && end > r.behind {
		r.drop(end)
	}
	r.rest = nil
	r.recycle()
	r.closed = true
	return nil
}

// take counts the first n bytes of rest as read.
func (r *Reader) take(n int) {
	r.rest = r.rest[n:]
	r.off += int64(n)
}

// recycle returns an empty buffer.
func (r *Reader) recycle() {
	if r.buf != nil {
		r.pool.Put(r.buf)
		r.buf = nil
	}
}

// fill reads more into rest, which is empty, or returns the error that is next.
func (r *Reader) fill() error {
	if err := r.err; err != nil {
		r.err = nil
		return err
	}
	if err := r.ready(); err != nil {
		return err
	}
	if r.off >= r.stop {
		return io.EOF
	}
	if r.direct {
		return r.fillDirect()
	}
	if r.buf == nil {
		r.buf = r.pool.Get()
	}
	n, err := r.call(r.buf)
	if n == 0 {
		return err
	}
	r.rest, r.err = r.buf[:n], err
	return nil
}

// maxTries limits how often the end of a growing file is read again.
const maxTries = 8

// fillDirect is fill for a file with O_DIRECT.
func (r *Reader) fillDirect() error {
	err := r.awaitDirect()
	// A file that grows while its end is read: the kernel refuses to go on in the middle of a block.
	// What was read is right; the next request takes the block again.
	for tries := 0; tries < maxTries && err == errGrown; tries++ {
		err = r.awaitDirect()
	}
	switch {
	case err == errGrown:
		return r.wrap(syscall.EINVAL)
	case errors.Is(err, syscall.ESPIPE):
		r.direct, r.offsets = false, false // some servers' files take none
		return r.fill()
	}
	return err
}

var errGrown = errors.New("file has grown")

// awaitDirect starts as many requests as may be in flight and waits for the oldest. It may leave rest
// empty only if it returns an error.
func (r *Reader) awaitDirect() error {
	r.recycle()
	for len(r.inFlight) < r.depth && (len(r.inFlight) == 0 || r.next < min(r.end, r.stop)) {
		buf := r.pool.Get()
		r.inFlight = append(r.inFlight, &request{future: r.file.StartReadAt(buf, r.next), buf: buf, off: r.next})
		r.next += int64(len(buf))
	}
	req, n, left, err := r.await()
	if !left {
		r.buf = req.buf
		end := int(min(int64(n), r.stop-req.off))
		r.rest = req.buf[min(end, int(r.off-req.off)):end]
	}
	if err == nil {
		return nil
	}
	// What is in flight lies behind a gap.
	r.abandonFor(err)
	r.seek()
	if n > 0 && int64(n)%r.align != 0 && errors.Is(err, syscall.EINVAL) {
		err = errGrown
	}
	if len(r.rest) == 0 {
		return err
	}
	if err != errGrown {
		r.err = err
	}
	return nil
}

// call reads in this goroutine.
func (r *Reader) call(p []byte) (n int, err error) {
	p = p[:min(int64(len(p)), r.stop-r.off)]
	if !r.uncached {
		return r.callCached(p)
	}
	p = p[:min(len(p), r.size)]
	if end := alignDown(r.off+int64(len(p)), uncachedUnit); end > r.off {
		p = p[:end-r.off]
	}
	if !r.refused {
		var left bool
		if err := r.expired(); err != nil {
			return 0, err
		}
		n, left, err = readUncached(r.ctx, r.file, p, r.off)
		if left {
			r.buf = nil // the kernel may use it still
		}
		// Some files in /proc take no offsets: callCached knows what to do.
		r.refused = n == 0 && (errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ESPIPE))
		if !r.refused {
			return n, r.wrap(err)
		}
	}
	n, err = r.callCached(p)
	if end := r.off + int64(n); end-r.behind >= dropAfter {
		r.drop(end)
	}
	return n, err
}

// drop drops what has been read before end, and once more what came just before that, for folios that
// were dropped only in part.
func (r *Reader) drop(end int64) {
	drop(r.ctx, r.file, max(r.behind-dropAfter, r.config.Offset), end)
	r.behind = end
}

// expired returns why the file accepts no more reads: it is closed, or its read deadline has passed. A
// File has no method to ask, but a read fails for that reason, and otherwise, if it would end beyond
// the largest offset, at once.
func (r *Reader) expired() error {
	_, err := r.file.ReadAtContext(r.ctx, make([]byte, 1), math.MaxInt64)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// callCached reads in this goroutine, through the page cache.
func (r *Reader) callCached(p []byte) (n int, err error) {
	if !r.offsets {
		return r.file.ReadContext(r.ctx, p)
	}
	if r.ctx.Done() == nil {
		n, err = r.file.ReadAt(p, r.off)
	} else {
		n, err = r.file.ReadAtContext(r.ctx, p, r.off)
	}
	if n == 0 && errors.Is(err, syscall.ESPIPE) {
		r.offsets = false // some files in /proc take none
		return r.file.ReadContext(r.ctx, p)
	}
	return n, err
}
