package ringfile

import (
	"io"
)

// Transfers at the file position use the kernel's own position and its lock, so that all who share the
// position get each byte once. Two kinds cannot: those that may go to a ring, which does not move the
// position, and those whose caller may leave, because an abandoned transfer would move it later. They
// use an offset, move the position past it, and keep others from the position meanwhile.

// readWrite carries out op, a transfer at the position.
func (t *target) readWrite(op *operation) (n int, err error) {
	if err := t.refused(op.code.name()); err != nil { // at once, whoever has the position
		return 0, err
	}
	if t.hasOffset(op) {
		t.lockPosition(nil, nil)
		defer t.position.Unlock()
		return t.readWriteAlone(op)
	}
	t.position.RLock()
	if err = t.begin(op.code.name()); err == nil {
		n, err = t.perform(op)
		t.end()
	}
	t.position.RUnlock()
	return n, err
}

// readWriteAlone is readWrite for a caller that has the position to itself.
func (t *target) readWriteAlone(op *operation) (n int, err error) {
	if err := t.begin(op.code.name()); err != nil {
		return 0, err
	}
	defer t.end()
	pos := t.locate(op)
	n, err = t.perform(op)
	return n, t.moveOn(op, pos, n, err)
}

// hasOffset reports whether a transfer at the position is made at its offset: a direct one, or a read
// of data that is not all in the page cache, if nobody else shares the position. These may go to a
// ring.
func (t *target) hasOffset(op *operation) bool {
	switch {
	case t.polled && t.Direct:
		return true
	case t.kernelsOwn() || !t.engine.devices.uring || t.Append && op.code.writes():
		return false
	}
	return t.Direct || op.code.reads()
}

// kernelsOwn reports whether the position must be left to the kernel because others move it too: the
// owner of another descriptor of the open file, or a copy by os that may take long. The kernel's lock
// on it may be held for as long as a device hangs.
func (t *target) kernelsOwn() bool { return t.shared.Load() || t.copies.Load() > 0 }

// leaveToKernel leaves the position to the kernel from now on, once the transfers that have begun, and move it
// themselves, are over. Short calls leave it to the kernel in any case.
func (t *target) leaveToKernel() {
	t.position.Lock(nil, nil)
	t.shared.Store(true)
	t.position.Unlock()
}

// beginCopy begins a copy by os that moves the position, once the transfers there that have begun are over, and
// writes that were left behind. It has the position to itself, until endCopy, as the system calls that copy take no
// lock of the kernel's. One that may be silent for long does not keep others from it: they leave the position to
// the kernel, as with os.
func (t *target) beginCopy(silent bool) {
	t.lockPosition(nil, nil)
	t.left.wait(&operation{desc: &t.descriptor, off: offCurrent}, until{}, nil)
	if silent {
		t.copies.Add(1)
		t.position.Unlock()
	}
}

func (t *target) endCopy(silent bool) {
	if silent {
		t.copies.Add(-1)
	} else {
		t.position.Unlock()
	}
}

// locate gives op the offset of the position, and returns that offset; the position does not move. If
// the position is the kernel's own, or the file has no offsets, op remains a transfer at the position.
// The caller has the position to itself.
func (t *target) locate(op *operation) (pos int64) {
	if t.kernelsOwn() && !(t.polled && t.Direct) { // a ring does not move it
		return 0
	}
	pos, err := t.Handle.Seek(0, io.SeekCurrent)
	if err == nil {
		op.off = pos
	}
	return pos
}

// moveOn moves the position past the n bytes that op, which returned err, has moved from pos.
func (t *target) moveOn(op *operation, pos int64, n int, err error) error {
	if n == 0 || op.off == offCurrent {
		return err
	}
	to, whence := pos+int64(n), io.SeekStart
	if t.Append && op.code.writes() {
		to, whence = 0, io.SeekEnd
	}
	if _, err1 := t.Handle.Seek(to, whence); err1 != nil && (err == nil || err == io.EOF) {
		return t.wrap("seek", err1)
	}
	return err
}
