//go:build linux

package fsx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// form is the way a transfer is asked for.
type form int

const (
	plain form = iota
	vectored
	future
	vectorFuture
	withContext
	vectorContext
	withDeadline
	atPosition
	positionContext
	endingContext   // ends in the middle, perhaps
	endingPosition  // at the position
	cancelledFuture // given up at once
	forms
)

var formNames = [forms]string{"plain", "vectored", "future", "vectored future", "context",
	"vectored context", "deadline", "position", "position context", "ending context",
	"ending position context", "cancelled future"}

// mayFail tells the forms that can be given up.
func (f form) mayFail() bool { return f >= endingContext }

// usesPosition tells the forms that use the position.
func (f form) usesPosition() bool {
	return f == atPosition || f == positionContext || f == endingPosition
}

// maxLength is how many bytes a transfer moves at most.
const maxLength = 64 << 10

// poison stands on both sides of a buffer.
var poison = [64]byte([]byte("-- nobody may touch these bytes: they are no part of a buffer --"))

// buffer returns n bytes for a transfer, between bytes that must stay what they are.
func (t *tester) buffer(n int) []byte {
	for _, side := range t.guards(n) {
		copy(side, poison[:])
	}
	return t.area[guard : guard+n : guard+n]
}

// guards returns what lies on both sides of a buffer of n bytes.
func (t *tester) guards(n int) [2][]byte {
	return [2][]byte{t.area[guard-len(poison) : guard], t.area[guard+n:][:len(poison)]}
}

// checkGuards tells whether the bytes around the n of buffer have been touched.
func (t *tester) checkGuards(n int) error {
	for _, side := range t.guards(n) {
		if !bytes.Equal(side, poison[:]) {
			return errors.New("the transfer has touched memory outside of its buffer")
		}
	}
	return nil
}

// place draws a stretch of the file for a transfer on h.
func (t *tester) place(h *handle) (off int64, length int) {
	length = 1 + t.intn(1<<t.intn(17))
	switch t.intn(4) {
	case 0: // around the end
		off = int64(max(0, len(t.model)-t.intn(2*length)))
	case 1: // around a page's border
		off = int64(max(0, 4096*t.intn(t.Size/4096)-t.intn(2)*t.intn(length)))
	default:
		off = int64(t.intn(t.Size))
	}
	a := int64(h.align)
	off -= off % a
	length = int((int64(length) + a - 1) / a * a)
	if off >= int64(t.Size) {
		off = int64(t.Size) - a
	}
	return off, min(length, t.Size-int(off), maxLength)
}

// pieces cuts p for a vectored call on h.
func (t *tester) pieces(h *handle, p []byte) (vec [][]byte) {
	for len(p) > 0 && len(vec) < 7 {
		n := (1 + t.intn(len(p))) / h.align * h.align
		n = max(n, min(h.align, len(p)))
		vec = append(vec, p[:n])
		p = p[n:]
	}
	if len(p) > 0 {
		vec = append(vec, p)
	}
	return vec
}

// drawForm draws how a transfer is asked for; those that are given up are rare, as what they leave
// must be looked at.
func (t *tester) drawForm() form {
	if t.intn(32) == 0 {
		return endingContext + form(t.intn(int(forms-endingContext)))
	}
	return form(t.intn(int(endingContext)))
}

// describe completes the log's last record.
func (t *tester) describe(h *handle, how form, off int64, length int) {
	r := t.log.last()
	r.on, r.how, r.off, r.length = h.what, formNames[how], off, length
	t.counts[r.what+", "+r.how]++
	if h == t.direct {
		t.counts[r.what+", direct"]++
	}
}

func (t *tester) read() error {
	h, how := t.pick(), t.drawForm()
	off, length := t.place(h)
	if how.usesPosition() {
		var err error
		if off, err = t.seek(h, off); err != nil {
			return err
		}
	}
	if length = t.readable(h, off, min(length, t.Size-int(off))); length == 0 {
		return nil
	}
	t.describe(h, how, off, length)
	p := t.buffer(length)
	n, err := t.transfer(h, how, false, p, off)
	t.log.last().n, t.log.last().err = n, err
	want := t.available(off, length)
	switch {
	case err != nil && err != io.EOF && how.mayFail() && given(err) && n <= want:
		// as much as there is
	case err != nil && err != io.EOF:
		return err
	case how.usesPosition() && n < want && n > 0 && err == nil:
		// Read may be short.
	case n != want:
		return fmt.Errorf("%s read of %#x bytes at %#x: %#x, %v, want %#x", formNames[how], length, off, n, err, want)
	case how.usesPosition() && (err == io.EOF) != (n == 0), !how.usesPosition() && (err == io.EOF) != (n < length):
		return fmt.Errorf("%s read of %#x bytes at %#x: %#x, %v: the end of the file is told wrongly", formNames[how], length, off, n, err)
	}
	if err := t.compare(h.what, p[:n], off); err != nil {
		return err
	}
	if how.usesPosition() {
		if err := t.moveOn(h, off+int64(want)); err != nil {
			return err
		}
	}
	return t.checkGuards(len(p))
}

// readable cuts the length of a read at off. XFS (Linux 6.18) answers an O_DIRECT read with EIO if
// it reaches beyond the block with the end of the file, to where space is reserved that is not yet
// allocated ("Direct I/O collision with buffered writes" in the kernel's log).
func (t *tester) readable(h *handle, off int64, length int) int {
	end := (len(t.model) + 4095) / 4096 * 4096
	if h == t.direct && int(off) < end {
		return min(length, end-int(off))
	}
	return length
}

// moveOn checks the position of h and moves it to where it is after a transfer that is neither short
// nor given up, so that the rest of the run does not depend on that.
func (t *tester) moveOn(h *handle, to int64) error {
	if h.pos == to {
		return nil // which the next call at the position checks
	}
	if got, err := h.Seek(0, io.SeekCurrent); got != h.pos || err != nil {
		return fmt.Errorf("after a short transfer the position of %s is %#x, %v, want %#x", h.what, got, err, h.pos)
	}
	h.pos = to
	_, err := h.Seek(to, io.SeekStart)
	return err
}

func (t *tester) write() error {
	h, how := t.pick(), t.drawForm()
	off, length := t.place(h)
	if how.usesPosition() {
		var err error
		if off, err = t.seek(h, off); err != nil {
			return err
		}
	}
	if length = min(length, t.Size-int(off)); length == 0 {
		return nil
	}
	t.describe(h, how, off, length)
	p := t.buffer(length)
	copy(p, t.data(length))
	n, err := t.transfer(h, how, true, p, off)
	t.log.last().n, t.log.last().err = n, err
	switch {
	case err != nil && how.mayFail() && given(err):
		// Then it is made as it was to be, so that the rest of the run does not depend on when it
		// was given up.
		if err := t.adopt(p, off); err != nil {
			return err
		}
		if _, err := h.WriteAt(p, off); err != nil {
			return err
		}
		t.put(p, off)
	case err != nil || n != length:
		return fmt.Errorf("%s write of %#x bytes at %#x: %#x, %w", formNames[how], length, off, n, err)
	default:
		t.put(p, off)
	}
	if how.usesPosition() {
		if err := t.moveOn(h, off+int64(length)); err != nil {
			return err
		}
	}
	if err := t.checkGuards(len(p)); err != nil || t.intn(4) > 0 {
		return err
	}
	return t.checkMapped(off, length)
}

// data draws n bytes.
func (t *tester) data(n int) []byte {
	at := t.intn(len(t.pool) - n)
	return t.pool[at:][:n]
}

// given reports whether err says that the caller gave up.
func given(err error) bool { return errors.Is(err, context.Canceled) }

// seek moves the position of h to off, or leaves it where it is, and returns it.
func (t *tester) seek(h *handle, off int64) (int64, error) {
	target, whence := off, io.SeekStart
	if t.intn(2) == 0 && h.pos < int64(t.Size) && h.pos%int64(h.align) == 0 {
		off, target, whence = h.pos, 0, io.SeekCurrent
	}
	h.pos = off
	if got, err := h.Seek(target, whence); got != off || err != nil {
		return 0, fmt.Errorf("the position of %s is %#x, %v, want %#x", h.what, got, err, off)
	}
	return off, nil
}

// transfer reads or writes p.
func (t *tester) transfer(h *handle, how form, write bool, p []byte, off int64) (n int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	at, atv, atCtx, atvCtx, here, hereCtx := h.ReadAt, h.ReadvAt, h.ReadAtContext, h.ReadvAtContext, h.Read, h.ReadContext
	start, startv := h.StartReadAt, h.StartReadvAt
	if write {
		at, atv, atCtx, atvCtx, here, hereCtx = h.WriteAt, h.WritevAt, h.WriteAtContext, h.WritevAtContext, h.Write, h.WriteContext
		start, startv = h.StartWriteAt, h.StartWritevAt
	}
	if how.usesPosition() {
		defer func() { h.pos += int64(n) }()
	}
	switch how {
	case plain:
		return at(p, off)
	case vectored:
		return atv(t.pieces(h, p), off)
	case future:
		return start(p, off).Await()
	case vectorFuture:
		return startv(t.pieces(h, p), off).AwaitContext(ctx)
	case withContext:
		return atCtx(ctx, p, off)
	case vectorContext:
		return atvCtx(ctx, t.pieces(h, p), off)
	case withDeadline:
		if err := h.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			return 0, err
		}
		defer h.SetDeadline(time.Time{})
		return at(p, off)
	case atPosition:
		return here(p)
	case positionContext:
		return hereCtx(ctx, p)
	case endingContext:
		go cancel()
		return atCtx(ctx, p, off)
	case endingPosition:
		go cancel()
		return hereCtx(ctx, p)
	}
	f := start(p, off)
	f.Cancel()
	return f.Await()
}

// settle waits until nothing that was given up is under way any more.
func (t *tester) settle() {
	for {
		s := t.Engine.Stats()
		if s.InFlight == 0 && s.BlockingCalls == 0 {
			return
		}
		runtime.Gosched()
	}
}

// segment is one of several transfers at the same time.
type segment struct {
	p     []byte
	off   int64
	write bool
	await func() (int, error)
}

// futures starts several transfers on stretches that do not overlap, and a sync among them, and then
// awaits them in another order.
func (t *tester) futures() error {
	h := t.pick()
	strip := len(t.model) / 4096 * 4096
	k := 2 + t.intn(5)
	strip = strip / k / 4096 * 4096
	if strip == 0 {
		return nil
	}
	var all []segment
	used := 0
	for i := range k {
		from := t.intn(strip) / h.align * h.align
		length := min((1+t.intn(8192)+h.align-1)/h.align*h.align, strip-from)
		p := t.area[guard+used:][:length:length]
		used += (length + 4095) / 4096 * 4096
		s := segment{p: p, off: int64(i*strip + from), write: t.intn(2) == 0}
		start, startv := h.StartReadAt, h.StartReadvAt
		if s.write {
			copy(p, t.data(length))
			start, startv = h.StartWriteAt, h.StartWritevAt
		}
		if t.intn(2) == 0 {
			s.await = start(p, s.off).Await
		} else {
			s.await = startv(t.pieces(h, p), s.off).Await
		}
		all = append(all, s)
	}
	var sync func() (struct{}, error)
	if t.intn(64) == 0 {
		sync = h.StartDatasync().Await
	}
	r := t.log.last()
	r.on, r.length = h.what, k
	for first := t.intn(k); len(all) > 0; first = 0 {
		s := all[first]
		all = append(all[:first], all[first+1:]...)
		n, err := s.await()
		if n != len(s.p) || err != nil {
			err = fmt.Errorf("future of %#x bytes at %#x, write %v: %#x, %w", len(s.p), s.off, s.write, n, err)
		} else if s.write {
			t.put(s.p, s.off)
		} else {
			err = t.compare(h.what+" future", s.p, s.off)
		}
		if err != nil {
			for _, s := range all { // they use the area
				s.await()
			}
			return err
		}
	}
	if sync != nil {
		_, err := sync()
		return err
	}
	return t.checkMapped(int64(t.intn(strip)), 8192)
}

// appendSome writes at the end, wherever the position is.
func (t *tester) appendSome() error {
	length := min(1+t.intn(1<<t.intn(14)), t.Size-len(t.model))
	if length == 0 {
		return nil
	}
	off := len(t.model)
	r := t.log.last()
	r.off, r.length = int64(off), length
	p := t.data(length)
	write := t.appender.Write
	if t.intn(2) == 0 {
		write = func(p []byte) (int, error) { return t.appender.WriteContext(context.Background(), p) }
	}
	if n, err := write(p); n != length || err != nil {
		return fmt.Errorf("append of %#x bytes: %#x, %w", length, n, err)
	}
	t.put(p, int64(off))
	if _, err := t.appender.WriteAt(p, 0); err == nil || errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("WriteAt on a file opened with O_APPEND: %v", err)
	}
	return t.checkMapped(int64(off), length)
}
