package copyfile

import (
	"cmp"
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/stream"
)

const (
	// kernelPiece is how much an uninterruptible call copies.
	kernelPiece = 8 << 20
	// smallCopy is the size up to which a read and a write are faster than a copy in the kernel.
	smallCopy = 64 << 10
	// bufferSize is the size of the pieces that are read and written.
	bufferSize = 256 << 10
	// lastBlock is how much of a file is written last if most of the size is set before the contents.
	lastBlock = 4096
)

var buffers = ringfile.NewBufferPool(bufferSize, 4096)

// data copies the contents, in the fastest way, and returns the size of the copy.
func (cp *copying) data() (n int64, err error) {
	size := cp.info.Size()
	holes := size > 0 && mayHaveHoles(cp.info)
	if size > 0 {
		var all bool
		err := cp.call(cp.dstName, func() (err error) {
			n, all, err = cp.atOnce(!holes && size <= smallCopy)
			return err
		})
		cp.progress(n)
		if err != nil || all {
			return n, err
		}
	}
	cp.src.ring, cp.dst.ring = cp.engine.Adopt(cp.src.File), cp.engine.Adopt(cp.dst.File)
	if (holes || cp.dst.direct) && size > lastBlock {
		// So that what is not written is a hole, and requests do not change the size one after the
		// other. What a copy that is killed leaves must not have the size of src, though: only the last
		// block gives dst all of it.
		cp.last = (size - 1) &^ (lastBlock - 1)
		if err := cp.truncate(cp.last); err != nil {
			return 0, err
		}
	}
	end := n
	if holes {
		end, err = cp.extents(size)
	}
	if err == nil {
		end, err = cp.rest(end, size)
	}
	if cp.writer != nil {
		if err1 := cp.writer.Close(); err == nil {
			err = err1
		}
	}
	if err != nil {
		return end, err
	}
	if holes && end == size {
		// A hole does not tell whether the file still reaches to its end.
		if st, err := cp.src.ring.Stat(); err == nil {
			end = min(end, st.Size())
		}
	}
	if holes || end < size || cp.config.Uncached {
		// What is not written at the end is a hole; and XFS lets go of what it has allocated there, where the
		// writing out has begun.
		return end, cp.truncate(end)
	}
	return end, nil
}

// atOnce copies the file in one step: by sharing its blocks or, if it is small, by a read and a write.
// It returns how much it has copied, and whether that is everything.
func (cp *copying) atOnce(small bool) (n int64, all bool, err error) {
	if clone(cp.dst.File, cp.src.File) == nil {
		st, err := cp.dst.Stat()
		if err != nil {
			return 0, false, err
		}
		return st.Size(), true, nil
	}
	if !small || cp.streams() {
		return 0, false, nil
	}
	buf := buffers.Get()
	defer buffers.Put(buf)
	m, end := cp.src.ReadAt(buf, 0)
	if m > 0 {
		if _, err := cp.dst.WriteAt(buf[:m], 0); err != nil {
			return 0, false, err
		}
	}
	return int64(m), end == io.EOF, nil // any other error comes again when the rest is read
}

// extents copies the data between holes, up to the last extent, which may be longer than reported, and
// returns where that begins.
func (cp *copying) extents(size int64) (off int64, err error) {
	for off < size {
		from, to := off, size
		err := cp.call(cp.srcName, func() error {
			from, to = nextData(cp.src.File, off, size)
			return nil
		})
		if err != nil {
			return off, err
		}
		if to == size {
			return from, nil
		}
		n, err := cp.extent(from, to)
		if err != nil || from+n < to { // the file has become shorter
			return from + n, err
		}
		off = to
	}
	return off, nil
}

// extent copies the range between two offsets, and returns how much there was before the end of the
// file.
func (cp *copying) extent(from, to int64) (n int64, err error) {
	if n, err = cp.kernel(from, to); err != nil || from+n == to {
		return n, err
	}
	m, err := cp.readAndWrite(from+n, to-from-n)
	return n + m, err
}

// rest copies from off to the end of the file, wherever that is: at size, unless the file has changed,
// or does not report its length, like those in /proc. It returns the offset of the end.
func (cp *copying) rest(off, size int64) (end int64, err error) {
	n, err := cp.kernel(off, size)
	off += n
	if err != nil {
		return off, err
	}
	if off < cp.last {
		n, err := cp.readAndWrite(off, cp.last-off)
		off += n
		if err != nil {
			return off, err
		}
	}
	n, err = cp.readAndWrite(off, 0)
	return off + n, err
}

// streams reports whether the files are read and written as streams.
func (cp *copying) streams() bool {
	// What says that it is empty may be one of those that must be read at the position, and is small.
	return cp.src.direct || cp.dst.direct || cp.config.Uncached && cp.info.Size() > 0
}

// kernel copies by copy_file_range(2). It ends early, without an error, if the kernel refuses to
// continue, or the file has ended: reading on will tell.
func (cp *copying) kernel(from, to int64) (n int64, err error) {
	if cp.streams() || to-from <= smallCopy {
		return 0, nil
	}
	for from+n < to {
		if err := cp.ended(); err != nil {
			return n, err
		}
		var m int
		err := cp.call(cp.dstName, func() (err error) {
			m, err = copyRange(cp.dst.File, cp.src.File, from+n, min(to-from-n, kernelPiece))
			return err
		})
		if err != nil || m <= 0 {
			return n, nil
		}
		n += int64(m)
		cp.progress(int64(m))
	}
	return n, nil
}

// readAndWrite copies up to length bytes from off on by reads and writes or, if length is 0, everything
// up to the end of the file.
func (cp *copying) readAndWrite(off, length int64) (n int64, err error) {
	if cp.streams() {
		return cp.stream(off, length)
	}
	buf := buffers.Get()
	defer buffers.Put(buf)
	for {
		if err := cp.ended(); err != nil {
			return n, err
		}
		p := buf
		if length > 0 {
			p = p[:min(int64(len(p)), length-n)]
		} else if left := cp.info.Size() - off - n; left > 0 {
			p = p[:min(int64(len(p)), left)] // a read that is filled needs no second one to be sure
		}
		m, err := cp.read(p, off+n)
		if m > 0 {
			if _, err := cp.dst.ring.WriteAt(p[:m], off+n); err != nil {
				return n, err
			}
			n += int64(m)
			cp.progress(int64(m))
		}
		if err == io.EOF || err == nil && n == length && length > 0 {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// read reads at off. Files that report size zero, like those in /proc, are read at the position, as
// some of them must be, and so are files without offsets.
func (cp *copying) read(p []byte, off int64) (n int, err error) {
	if cp.info.Size() > 0 && !cp.noOffsets {
		n, err = cp.src.ring.ReadAt(p, off)
		if off > 0 || n > 0 || !errors.Is(err, syscall.ESPIPE) {
			return n, err
		}
		cp.noOffsets = true
	}
	return cp.src.ring.Read(p)
}

// stream is readAndWrite with many requests in flight on the side that has O_DIRECT, or without filling
// the page cache.
func (cp *copying) stream(off, length int64) (n int64, err error) {
	r := stream.NewReaderContext(cp.contextFor(cp.src), cp.src.ring, stream.Config{Offset: off, Length: length, Uncached: cp.config.Uncached})
	defer r.Close()
	// One Writer for all extents: it bounds how much is in the page cache.
	dst := cp.dst.ring
	if cp.writer == nil {
		cp.writer = stream.NewWriterContext(cp.contextFor(cp.dst), dst, stream.Config{Offset: off, Uncached: cp.config.Uncached})
	} else if err := cp.writer.Skip(off - cp.written); err != nil {
		return 0, err
	}
	// The Writer may have to wait for the device, without a context: a deadline ends that.
	stop := context.AfterFunc(cp.ctx, func() { dst.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err = cp.writer.ReadFrom(watched{r, cp})
	if err1 := cp.writer.Flush(); err == nil {
		err = err1
	}
	cp.written = off + n
	if err != nil {
		err = cmp.Or(cp.ended(), err)
	}
	return n, err
}

// contextFor returns the context for a stream of f. Without O_DIRECT a context would cause each piece
// to be copied once more; there it is enough to check it between pieces.
func (cp *copying) contextFor(f file) context.Context {
	if f.direct {
		return cp.ctx
	}
	return context.Background()
}

// watched is a source that ends with the context and reports progress.
type watched struct {
	io.Reader
	cp *copying
}

func (w watched) Read(p []byte) (int, error) {
	if err := w.cp.ended(); err != nil {
		return 0, err
	}
	n, err := w.Reader.Read(p)
	w.cp.progress(int64(n))
	return n, err
}
