//go:build linux

package fsx

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// resize makes the model's file n bytes long; what is new is zeros.
func (t *tester) resize(n int) {
	old := len(t.model)
	t.model = t.model[:n]
	if n > old {
		clear(t.model[old:])
	}
}

// put writes p to the model.
func (t *tester) put(p []byte, off int64) {
	if end := int(off) + len(p); end > len(t.model) {
		t.resize(end)
	}
	copy(t.model[off:], p)
}

// available returns how much of length bytes at off is in front of the end.
func (t *tester) available(off int64, length int) int {
	return max(0, min(length, len(t.model)-int(off)))
}

// compare says where got differs from the model at off.
func (t *tester) compare(who string, got []byte, off int64) error {
	if len(got) == 0 {
		return nil // off may be behind the end
	}
	want := t.model[off:][:len(got)]
	if bytes.Equal(got, want) {
		return nil
	}
	first, count := -1, 0
	for i := range got {
		if got[i] != want[i] {
			if first < 0 {
				first = i
			}
			count++
		}
	}
	end := min(first+16, len(got))
	return fmt.Errorf("%s at %#x+%#x: %d bytes differ, from %#x on: % x, want % x",
		who, off, len(got), count, off+int64(first), got[first:end], want[first:end])
}

// checkMapped compares what the mapping shows with the model, up to the end of the last page, of
// which what is behind the end must be zeros.
func (t *tester) checkMapped(off int64, length int) error {
	length = t.available(off, length)
	if length == 0 {
		return nil
	}
	var diff error
	err := touch(func() { diff = t.compare("mapping", t.mapped[off:][:length], off) })
	if diff == nil && err == nil && int(off)+length == len(t.model) {
		page := os.Getpagesize()
		tail := t.mapped[len(t.model):min((len(t.model)+page-1)/page*page, len(t.mapped))]
		err = touch(func() {
			for i, b := range tail {
				if b != 0 {
					diff = fmt.Errorf("mapping %d bytes behind the end at %#x: %#x, want 0", i, len(t.model), b)
					return
				}
			}
		})
	}
	if err != nil {
		return fmt.Errorf("mapping at %#x+%#x: %w", off, length, err)
	}
	return diff
}

// checkSize compares the sizes.
func (t *tester) checkSize() error {
	st, err := t.buffered.Stat()
	if err != nil {
		return err
	}
	if st.Size() != int64(len(t.model)) {
		return fmt.Errorf("the file has %#x bytes, want %#x", st.Size(), len(t.model))
	}
	return nil
}

// checkAll compares the whole file, as os, the mapping and each descriptor show it.
func (t *tester) checkAll() error {
	if err := t.checkSize(); err != nil {
		return err
	}
	std, err := os.ReadFile(t.name)
	if err != nil {
		return err
	}
	if len(std) != len(t.model) {
		return fmt.Errorf("os reads %#x bytes, want %#x", len(std), len(t.model))
	}
	if err := t.compare("os", std, 0); err != nil {
		return err
	}
	for _, h := range []*handle{t.buffered, t.direct} {
		for off := int64(0); h != nil && off < int64(len(t.model)); off += maxLength {
			p := t.buffer(t.readable(h, off, maxLength))
			n, err := h.ReadAt(p, off)
			if n != t.available(off, len(p)) || (err != nil) != (n < len(p)) || err != nil && err != io.EOF {
				return fmt.Errorf("%s reads %#x bytes at %#x, %v, want %#x", h.what, n, off, err, t.available(off, len(p)))
			}
			if err := t.compare(h.what, p[:n], off); err != nil {
				return err
			}
		}
	}
	return t.checkMapped(0, t.Size)
}

// adopt takes over what a write that was given up has left: each byte as it was or as it was to
// be.
func (t *tester) adopt(p []byte, off int64) error {
	t.settle()
	st, err := t.buffered.Stat()
	if err != nil {
		return err
	}
	old, end := len(t.model), int(off)+len(p)
	size := int(st.Size())
	if size != old && (size < old || size > end) {
		return fmt.Errorf("after a write that was given up at %#x+%#x the file has %#x bytes; it had %#x", off, len(p), size, old)
	}
	t.resize(size)
	if int(off) >= size {
		return nil
	}
	now := make([]byte, min(len(p), size-int(off)))
	if n, err := t.buffered.ReadAt(now, off); n != len(now) || err != nil {
		return fmt.Errorf("reading %#x+%#x back: %#x, %w", off, len(now), n, err)
	}
	for i, b := range now {
		if b != t.model[int(off)+i] && b != p[i] {
			return fmt.Errorf("after a write that was given up there is %#x at %#x, want %#x as before or %#x as written",
				b, off+int64(i), t.model[int(off)+i], p[i])
		}
	}
	copy(t.model[off:], now)
	return nil
}
