//go:build linux

package fsx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ringfile/ringfile"
)

// anyHandle draws one of the descriptors that are no appender's.
func (t *tester) anyHandle() *handle {
	if t.direct != nil && t.intn(2) == 0 {
		return t.direct
	}
	return t.buffered
}

func (t *tester) truncate() error {
	size := t.intn(t.Size + 1)
	if t.intn(2) == 0 { // a little more or less
		size = min(max(0, len(t.model)+t.intn(8193)-4096), t.Size)
	}
	t.log.last().length = size
	if err := t.anyHandle().Truncate(int64(size)); err != nil {
		return err
	}
	t.resize(size)
	if err := t.checkSize(); err != nil {
		return err
	}
	return t.checkMapped(int64(max(0, size-100)), 100)
}

func (t *tester) allocate() error {
	off, length := t.place(t.buffered)
	t.log.last().off, t.log.last().length = off, length
	mode := ringfile.AllocateMode(t.intn(4))
	err := t.anyHandle().Allocate(off, int64(length), mode)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	} else if err != nil {
		return err
	}
	if mode&ringfile.AllocateKeepSize == 0 {
		t.resize(max(len(t.model), int(off)+length))
	}
	if n := t.available(off, length); n > 0 && mode&ringfile.AllocateZero != 0 {
		clear(t.model[off:][:n])
	}
	if err := t.checkSize(); err != nil {
		return err
	}
	return t.checkMapped(off, length)
}

func (t *tester) punch() error {
	off, length := t.place(t.buffered)
	t.log.last().off, t.log.last().length = off, length
	err := t.anyHandle().PunchHole(off, int64(length))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	} else if err != nil {
		return err
	}
	if n := t.available(off, length); n > 0 {
		clear(t.model[off:][:n])
	}
	return t.checkMapped(off, length)
}

// nextData finds that what it passes over are zeros.
func (t *tester) nextData() error {
	off := int64(t.intn(t.Size))
	t.log.last().off = off
	start, end, err := t.anyHandle().NextData(off)
	size := int64(len(t.model))
	switch {
	case err == io.EOF:
		start = max(off, size)
	case err != nil:
		return err
	case start < off || end <= start || end > size:
		return fmt.Errorf("NextData(%#x) = %#x, %#x, in a file of %#x bytes", off, start, end, size)
	}
	for i, b := range t.model[min(off, size):min(start, size)] {
		if b != 0 {
			return fmt.Errorf("NextData(%#x) = %#x passes over data at %#x", off, start, off+int64(i))
		}
	}
	return nil
}

func (t *tester) writeback() error {
	off, length := t.place(t.buffered)
	t.log.last().off, t.log.last().length = off, length
	_, err := t.anyHandle().Writeback(off, int64(length))
	return err
}

func (t *tester) prefetch() error {
	off, length := t.place(t.buffered)
	t.log.last().off, t.log.last().length = off, length
	return t.anyHandle().Advise(off, int64(length), ringfile.AdviceWillNeed)
}

func (t *tester) sync() error {
	h, ctx := t.anyHandle(), context.Background()
	await := func(f *ringfile.Future[struct{}]) error { _, err := f.Await(); return err }
	switch t.intn(6) {
	case 0:
		return h.Sync()
	case 1:
		return h.Datasync()
	case 2:
		return h.SyncContext(ctx)
	case 3:
		return h.DatasyncContext(ctx)
	case 4:
		return await(h.StartSync())
	}
	return await(h.StartDatasync())
}

func (t *tester) reopen() error {
	if err := t.close(); err != nil {
		return err
	}
	if err := t.open(); err != nil {
		return err
	}
	return t.checkSize()
}

// copyIn copies to the position, from memory and from another file.
func (t *tester) copyIn() error {
	off, length := t.place(t.buffered)
	off, err := t.seek(t.buffered, off)
	if length = min(length, t.Size-int(off)); err != nil || length == 0 {
		return err
	}
	t.log.last().off, t.log.last().length = off, length
	p := t.data(length)
	var from io.Reader = bytes.NewReader(p)
	if t.intn(2) == 0 {
		if _, err := t.other.WriteAt(p, 0); err != nil {
			return err
		}
		if _, err := t.other.Seek(0, io.SeekStart); err != nil {
			return err
		}
		from = io.LimitReader(t.other, int64(length))
	}
	n, err := t.buffered.ReadFrom(from)
	t.buffered.pos += n
	if n != int64(length) || err != nil {
		return fmt.Errorf("ReadFrom %T of %#x bytes at %#x: %#x, %w", from, length, off, n, err)
	}
	t.put(p, off)
	return t.checkMapped(off, length)
}

// copyOut copies from the position, to memory and to another file.
func (t *tester) copyOut() error {
	off, err := t.seek(t.buffered, int64(t.intn(t.Size)))
	if err != nil {
		return err
	}
	want := t.available(off, t.Size)
	t.log.last().off, t.log.last().length = off, want
	var got bytes.Buffer
	if t.intn(2) == 0 {
		n, err := t.buffered.WriteTo(&got)
		if n != int64(want) || err != nil {
			return fmt.Errorf("WriteTo memory of %#x bytes at %#x: %#x, %w", want, off, n, err)
		}
	} else {
		if err := t.other.Truncate(0); err != nil {
			return err
		}
		if _, err := t.other.Seek(0, io.SeekStart); err != nil {
			return err
		}
		n, err := t.buffered.WriteTo(t.other)
		if n != int64(want) || err != nil {
			return fmt.Errorf("WriteTo a file of %#x bytes at %#x: %#x, %w", want, off, n, err)
		}
		if _, err := got.ReadFrom(io.NewSectionReader(t.other, 0, int64(want)+1)); err != nil {
			return err
		}
	}
	t.buffered.pos += int64(want)
	if got.Len() != want {
		return fmt.Errorf("WriteTo at %#x has written %#x bytes, want %#x", off, got.Len(), want)
	}
	return t.compare("WriteTo", got.Bytes(), off)
}

func (t *tester) mapRead() error {
	off, length := t.place(t.buffered)
	t.log.last().off, t.log.last().length = off, length
	return t.checkMapped(off, length)
}

// mapWrite writes through the mapping, which the file's other readers must see.
func (t *tester) mapWrite() error {
	off, length := t.place(t.buffered)
	if length = t.available(off, length); length == 0 {
		return nil
	}
	t.log.last().off, t.log.last().length = off, length
	p := t.data(length)
	if err := touch(func() { copy(t.mapped[off:], p) }); err != nil {
		return err
	}
	t.put(p, off)
	return nil
}

func (t *tester) stat() error { return t.checkSize() }
