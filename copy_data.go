package ringfile

import (
	"context"
	"errors"
	"io"
	"syscall"
)

// copyPiece is how much a call that cannot be interrupted copies.
const copyPiece = 8 << 20

// data copies the contents, in the quickest way, and returns the size of the copy.
func (cp *copying) data() (n int64, err error) {
	size := cp.info.Size()
	if size == 0 {
		return cp.unsized()
	}
	if cloneFile(cp.dst, cp.src) {
		st, err := cp.dst.Stat()
		if err != nil {
			return 0, err
		}
		cp.progress(st.Size())
		return st.Size(), nil
	}
	holes := mayHaveHoles(cp.info)
	if holes || cp.dst.direct {
		// So that what is not written is a hole, and requests do not change the size one after the
		// other.
		if err := cp.dst.Truncate(size); err != nil {
			return 0, err
		}
	}
	for off := int64(0); off < size; {
		from, to := off, size
		if holes {
			from, to = cp.src.nextData(off, size)
		}
		n, err := cp.extent(from, to)
		if err != nil {
			return from + n, err
		}
		if off = to; from+n < to {
			size = from + n // it has become shorter
			break
		}
	}
	if holes {
		// A hole does not tell whether the file still reaches to its end.
		if st, err := cp.src.Stat(); err == nil {
			size = min(size, st.Size())
		}
	}
	if size < cp.info.Size() {
		return size, cp.dst.Truncate(size)
	}
	return size, nil
}

// progress reports n more bytes.
func (cp *copying) progress(n int64) {
	if cp.config.Progress != nil && n > 0 {
		cp.config.Progress(n)
	}
}

// unsized copies a file that says it is empty, as those in /proc do, until it ends.
func (cp *copying) unsized() (n int64, err error) {
	buf := streamPool.Get()
	defer streamPool.Put(buf)
	for {
		if err := cp.ended(); err != nil {
			return n, err
		}
		m, err := cp.src.Read(buf)
		if m > 0 {
			if _, err := cp.dst.buffered(cp.ctx, buf[:m], n); err != nil {
				return n, err
			}
			n += int64(m)
			cp.progress(int64(m))
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// buffered is WriteAt of what need not be aligned.
func (f *File) buffered(ctx context.Context, p []byte, off int64) (int, error) {
	if !f.direct {
		return f.WriteAt(p, off)
	}
	return f.writeCached(ctx, p, off)
}

// extent copies what lies from one offset to another, and returns how much there was before the end
// of the file.
func (cp *copying) extent(from, to int64) (n int64, err error) {
	if from == to {
		return 0, nil
	}
	if !cp.src.direct && !cp.dst.direct && to-from > smallCopy {
		n, err = cp.kernel(from, to)
		if err != nil || from+n == to {
			return n, err
		}
	}
	m, err := cp.stream(from+n, to)
	return n + m, err
}

// smallCopy is up to where a read and a write are quicker than a copy in the kernel.
const smallCopy = 64 << 10

// kernel copies by copy_file_range(2). It ends early, without an error, where the kernel does not
// want to go on, or the file has ended: reading on will tell.
func (cp *copying) kernel(from, to int64) (n int64, err error) {
	for from+n < to {
		if err := cp.ended(); err != nil {
			return n, err
		}
		m, err := copyRange(cp.dst, cp.src, from+n, min(to-from-n, copyPiece))
		if m > 0 {
			n += int64(m)
			cp.progress(int64(m))
			continue
		}
		// ENOSPC and the like come again from the write that is tried next; these are cheaper to
		// say now.
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) {
			return n, cp.wrap(err)
		}
		return n, nil
	}
	return n, nil
}

// stream copies by reads and writes, many of them in flight with O_DIRECT.
func (cp *copying) stream(from, to int64) (n int64, err error) {
	r := NewReaderContext(cp.contextFor(cp.src), cp.src, StreamConfig{Offset: from})
	defer r.Close()
	r.end = min(r.end, to)
	w := NewWriterContext(cp.contextFor(cp.dst), cp.dst, StreamConfig{Offset: from})
	n, err = w.ReadFrom(watched{io.LimitReader(r, to-from), cp})
	if err1 := w.Close(); err == nil {
		err = err1
	}
	return n, err
}

// contextFor returns the context for a stream of f. Without O_DIRECT it would have each piece
// copied once more; to look at it between pieces is enough there.
func (cp *copying) contextFor(f *File) context.Context {
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
