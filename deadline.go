package ringfile

import (
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// noDeadline is the time that means none.
var noDeadline time.Time

// deadline is the moment after which one direction of a file fails.
type deadline struct {
	armed atomic.Bool // there is one, passed or not

	mu     sync.Mutex
	at     time.Time // of a file whose deadlines are up to os
	timer  *time.Timer
	passed chan struct{} // closed at the moment; made anew when a later one is set after that
	turn   uint64        // tells a timer that was replaced while it fired
}

// set makes t the deadline; the zero time means none. At the moment it closes passed, then calls
// fire with mu held: what starts after the next set is not hit by it.
func (d *deadline) set(t time.Time, fire func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if t.IsZero() {
		d.armed.Store(false)
		return
	}
	d.armed.Store(true)
	if d.passed == nil || d.over() {
		d.passed = make(chan struct{})
	}
	wait := time.Until(t)
	if wait <= 0 {
		close(d.passed)
		fire()
		return
	}
	turn := d.turn
	d.timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.turn == turn {
			close(d.passed)
			fire()
		}
	})
}

// over reports whether passed is closed. mu is held.
func (d *deadline) over() bool {
	select {
	case <-d.passed:
		return true
	default:
		return false
	}
}

// late returns a channel that is closed when the deadline has passed, nil if there is none.
func (d *deadline) late() <-chan struct{} {
	if !d.armed.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

// hasPassed reports whether there is a deadline that has passed.
func (d *deadline) hasPassed() bool {
	if !d.armed.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over()
}

// mayHavePassed is hasPassed for a caller that leads. It does not wait for mu, whose holder may be
// waiting for completions in turn, but reports true then.
func (d *deadline) mayHavePassed() bool {
	if !d.armed.Load() {
		return false
	}
	if !d.mu.TryLock() {
		return true
	}
	defer d.mu.Unlock()
	return d.over()
}

// deadlineOf returns the deadline that an operation is subject to. Syncs count as writes.
func (f *File) deadlineOf(code opcode) *deadline {
	if code.reads() {
		return &f.readBy
	}
	return &f.writeBy
}

// SetDeadline sets the read and the write deadline. Calls in flight and later ones fail with an
// error that matches os.ErrDeadlineExceeded once t has passed; the zero time removes the
// deadlines. Unlike those of os, files on disk have deadlines, too: a call returns on time even if
// the device hangs. The transfer that was under way is cancelled if that is possible; a write may
// still reach the file later, in whole or in part.
//
// While a deadline is set, transfers are copied through memory of the engine, as the kernel may
// use their buffers for longer than the call lasts. A call on a file on disk that was in flight,
// without a deadline, when one was set is interrupted only if the kernel can cancel it.
//
// Directories and devices that os cannot poll have no deadlines: os.ErrNoDeadline.
func (f *File) SetDeadline(t time.Time) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	if err := f.setDeadline(t, (*os.File).SetDeadline, &f.readBy, &f.writeBy); err != nil || f.class == classOther {
		return err
	}
	f.readBy.set(t, f.expireReads)
	f.writeBy.set(t, f.expireWrites)
	return nil
}

// SetReadDeadline sets the deadline of Read, ReadAt and their like. See SetDeadline.
func (f *File) SetReadDeadline(t time.Time) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	if err := f.setDeadline(t, (*os.File).SetReadDeadline, &f.readBy); err != nil || f.class == classOther {
		return err
	}
	f.readBy.set(t, f.expireReads)
	return nil
}

// SetWriteDeadline sets the deadline of Write, WriteAt and their like, Sync and Datasync. See
// SetDeadline.
func (f *File) SetWriteDeadline(t time.Time) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	if err := f.setDeadline(t, (*os.File).SetWriteDeadline, &f.writeBy); err != nil || f.class == classOther {
		return err
	}
	f.writeBy.set(t, f.expireWrites)
	return nil
}

// setDeadline checks that the file is open, and sets the deadline if that is up to os, remembering
// it in which.
func (f *File) setDeadline(t time.Time, set func(*os.File, time.Time) error, which ...*deadline) error {
	if f.class == classOther {
		for _, d := range which {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.at = t
		}
		return set(f.os, t)
	}
	if err := f.begin("set deadline"); err != nil {
		return err
	}
	f.end()
	return nil
}

func (f *File) expireReads() {
	for r := range f.engine.everyRing {
		r.cancelFile(f, opcode.reads, byDeadline)
	}
}

func (f *File) expireWrites() {
	for r := range f.engine.everyRing {
		r.cancelFile(f, func(c opcode) bool { return !c.reads() && c.timed() }, byDeadline)
	}
}
