package stream

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/ringfile/ringfile"
)

// Writer writes a file sequentially from an offset on, in the background. It is an io.Writer. On a file
// opened with O_DIRECT it keeps several large requests in flight, using aligned buffers of its own;
// only one while the file is being extended, because file systems serialize such writes. On any other
// file it writes in the caller's goroutine, as bufio.Writer does, because the page cache takes data at
// the speed of memory.
//
// Neither Offset nor the length of the stream need be aligned on a file with O_DIRECT: data that does
// not fill a block is written through the page cache, by Flush or Close, with O_DIRECT switched off for
// that moment (fcntl(2), F_SETFL). The other bytes of the block keep their contents, and the file never
// becomes longer than the stream. A Flush in the middle of a block therefore costs two such writes.
//
// When Flush or Close has returned nil, the data is in the file, in the order of the stream; after
// File.Sync it is on the device. The first error is permanent: every later call returns it, and data
// after the position of the last successful Flush may have been written in full, in part, or not at
// all.
//
// The file's write deadline applies. A Writer is not safe for concurrent use.
type Writer struct {
	stream
	buf   []byte // being filled; nil if there is none
	off   int64  // of buf[0]
	start int    // where in buf the data begins: behind 0 if the stream is not at the start of a block
	fill  int    // where the data ends
	err   error

	end          int64 // where the file ends, as far as is known
	serialGrowth bool  // see description
	serialWrites bool

	before int64 // if uncached, what behind was before it was last moved
	ahead  int64 // how much has been written since
}

var _ interface {
	io.WriteCloser
	io.ReaderFrom
} = (*Writer)(nil)

// NewWriter returns a Writer of f. The caller closes f, after the Writer.
func NewWriter(f *ringfile.File, c Config) *Writer {
	return NewWriterContext(context.Background(), f, c)
}

// NewWriterContext is NewWriter with a context for all writes: when ctx ends they fail with the cause
// of ctx in a *fs.PathError, and writes that were in flight may reach the file even later.
func NewWriterContext(ctx context.Context, f *ringfile.File, c Config) *Writer {
	return &Writer{stream: stream{file: f, ctx: ctx, config: c, op: "write"}}
}

// seek makes the stream continue at off. buf is empty.
func (w *Writer) seek(off int64) {
	w.off = off
	w.start, w.fill = 0, 0
	if w.direct {
		w.off = alignDown(off, w.align)
		w.start = int(off - w.off)
		w.fill = w.start
	}
}

// Write accepts p, which belongs to the caller again when it returns. If it accepts less than all of p,
// the error says why; the error may be that of an earlier part of the stream.
func (w *Writer) Write(p []byte) (n int, err error) {
	if err := w.ready(); err != nil {
		return 0, err
	}
	for len(p) > 0 && w.err == nil {
		var m int
		if !w.direct && w.fill == 0 && len(p) >= w.size {
			piece := p
			if w.uncached {
				piece = p[:w.size]
			}
			m = w.call(piece)
		} else {
			m = copy(w.room(), p)
			w.took(m)
		}
		n += m
		p = p[m:]
	}
	return n, w.err
}

// ReadFrom writes all that r returns, up to its end, reading straight into the Writer's buffers without
// a copy.
func (w *Writer) ReadFrom(r io.Reader) (n int64, err error) {
	if err := w.ready(); err != nil {
		return 0, err
	}
	for empty := 0; w.err == nil; {
		room := w.room()
		m, err := r.Read(room)
		if m < 0 || m > len(room) {
			return n, errInvalidRead
		}
		w.took(m)
		n += int64(m)
		switch {
		case w.err != nil:
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case m > 0:
			empty = 0
		default:
			if empty++; empty == 100 {
				return n, io.ErrNoProgress
			}
		}
	}
	return n, w.err
}

var errInvalidRead = errors.New("stream: reader returned an impossible count from Read")

// Flush writes what the Writer has accepted and waits until that is done.
func (w *Writer) Flush() error {
	if err := w.ready(); err != nil {
		return err
	}
	w.send()
	w.settle(0)
	return w.err
}

// Skip is Flush, after which the stream continues n bytes further on: the bytes in between keep their
// contents, or become a hole. It fails with errors.ErrUnsupported if the file has no offsets or was
// opened with O_APPEND.
func (w *Writer) Skip(n int64) error {
	if err := w.Flush(); err != nil {
		return err
	}
	off := w.off + int64(w.fill)
	switch {
	case !w.offsets:
		return w.wrap(errors.ErrUnsupported)
	case n < 0 || off > math.MaxInt64-n:
		return w.wrap(fs.ErrInvalid)
	}
	w.seek(off + n)
	return nil
}

// Close is Flush, after which the Writer accepts no more data; it does not close the file. Whatever the
// outcome, it waits for the requests in flight, unless the context or a deadline has ended. Closing
// again returns the Writer's error again, or nil.
func (w *Writer) Close() error {
	if w.closed {
		return w.err
	}
	err := w.Flush()
	if w.err == nil {
		w.err = err // the end of a context or a deadline: what was taken is not written
	}
	w.abandonFor(err)
	if w.buf != nil {
		w.pool.Put(w.buf)
		w.buf = nil
	}
	if w.refused && w.err == nil {
		writeOut(w.ctx, w.file, w.behind, w.off)
	}
	w.closed = true
	return err
}

// ready returns why nothing can be written, or nil.
func (w *Writer) ready() error {
	if w.err != nil && !w.closed {
		return w.err
	}
	if err := w.usable(); err != nil || w.prepared {
		return err
	}
	d, err := w.prepare()
	if err != nil {
		return err
	}
	w.end, w.serialGrowth, w.serialWrites = d.size, d.serialGrowth, d.serialWrites
	// A write that is given up must be one of the File's: newer ones to the same place wait for it then.
	w.refused = w.uncached && w.ctx.Done() != nil
	w.before = w.behind
	w.seek(w.config.Offset)
	return nil
}

// room returns where in the buffer the next bytes go; it is never full.
func (w *Writer) room() []byte {
	if w.buf == nil {
		w.buf = w.pool.Get()
	}
	return w.buf[w.fill:]
}

// took counts n bytes that have been put into room, and sends a full buffer.
func (w *Writer) took(n int) {
	w.fill += n
	if w.fill == w.size {
		w.send()
	}
}

// send writes what is in the buffer: whole blocks are started, the rest is written at once.
func (w *Writer) send() {
	if w.fill == w.start || w.err != nil {
		return
	}
	if !w.direct {
		w.fill -= w.call(w.buf[:w.fill])
		return
	}
	// The blocks are those from head to tail.
	head := min(int(alignUp(int64(w.start), w.align)), w.fill)
	tail := max(int(alignDown(int64(w.fill), w.align)), head)
	w.unaligned(w.start, head)
	if head < tail {
		w.begin(head, tail)
	}
	w.unaligned(tail, w.fill)
	w.seek(w.off + int64(w.fill))
}

// begin starts writing the blocks of the buffer from head to tail.
func (w *Writer) begin(head, tail int) {
	r := &request{off: w.off + int64(head)}
	end := w.off + int64(tail)
	most := w.depth - 1
	if w.serialWrites || w.serialGrowth && end > w.end {
		most = 0
	}
	if w.settle(most); w.err != nil {
		return
	}
	r.future = w.file.StartWriteAt(w.buf[head:tail], r.off)
	if w.fill == w.size {
		r.buf, w.buf = w.buf, nil
	} // else the Writer keeps the buffer, as Flush waits for the request
	w.inFlight = append(w.inFlight, r)
	w.end = max(w.end, end)
}

// unaligned writes a part of the buffer that is not a whole block, after everything that has been
// started.
func (w *Writer) unaligned(from, to int) {
	if from == to || w.err != nil {
		return
	}
	if w.settle(0); w.err != nil {
		return
	}
	off := w.off + int64(from)
	if w.err = w.forbidden(w.buf); w.err == nil {
		w.err = w.wrap(writeCached(w.ctx, w.file, w.buf[from:to], off))
	}
	w.end = max(w.end, off+int64(to-from))
}

// forbidden returns why the file accepts no more writes: it is closed, or its write deadline has
// passed. A File has no method to ask, but a write fails for that reason, and otherwise, if it would
// end beyond the largest offset, at once and with EINVAL. p is any memory.
func (w *Writer) forbidden(p []byte) error {
	_, err := w.file.WriteAtContext(w.ctx, p[:1], math.MaxInt64)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// settle waits until no more than most requests are in flight; after an error, for all.
func (w *Writer) settle(most int) {
	for w.err == nil && len(w.inFlight) > most {
		r, _, left, err := w.await()
		if !left && r.buf != nil {
			w.pool.Put(r.buf)
		}
		if err != nil {
			w.err = err
			w.abandonFor(err)
			w.buf = nil // a request that was left behind may use it
		}
	}
}

// call writes p in this goroutine, at the end of what has been written.
func (w *Writer) call(p []byte) (n int) {
	if w.err = w.usable(); w.err == nil {
		if w.uncached {
			n, w.err = w.writeUncached(p)
		} else {
			n, w.err = w.write(p, w.off)
		}
		w.off += int64(n)
	}
	return n
}

// writeUncached is write for data that must not stay in the page cache.
func (w *Writer) writeUncached(p []byte) (n int, err error) {
	if !w.refused {
		if err := w.forbidden(p); err != nil {
			return 0, err
		}
		n, err = writeUncached(w.file, p, w.off)
		if w.refused = n == 0 && errors.Is(err, errors.ErrUnsupported); !w.refused {
			return n, w.passed(n, w.wrap(err))
		}
	}
	n, err = w.write(p, w.off)
	return n, w.passed(n, err)
}

// passed is called when n more bytes have been written. It waits for the device if the stream has got
// too far ahead of it: no call does that, as long as there is memory. Errors of the writeback are left
// for Sync to report.
func (w *Writer) passed(n int, err error) error {
	w.ahead += int64(n)
	if w.ahead < dropAfter || err != nil {
		return err
	}
	end := w.off + int64(n)
	if w.refused {
		writeOut(w.ctx, w.file, w.behind, end)
	}
	for pause := time.Millisecond; beingWritten(w.ctx, w.file, w.before, w.behind); pause = min(2*pause, longestPause) {
		select {
		case <-w.ctx.Done():
		case <-time.After(pause):
		}
		if err := cmp.Or(w.usable(), w.forbidden(make([]byte, 1))); err != nil {
			return err
		}
	}
	if w.refused {
		drop(w.ctx, w.file, max(w.before-dropAfter, w.config.Offset), w.behind)
	}
	w.before, w.behind, w.ahead = w.behind, end, 0
	return nil
}

// longestPause is the longest time before a Writer checks again how much is still being written.
const longestPause = 100 * time.Millisecond

func (w *Writer) write(p []byte, off int64) (int, error) {
	switch {
	case !w.offsets:
		return w.file.WriteContext(w.ctx, p)
	case w.ctx.Done() == nil:
		return w.file.WriteAt(p, off)
	}
	return w.file.WriteAtContext(w.ctx, p, off)
}
