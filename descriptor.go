package ringfile

import (
	"io"
	"io/fs"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/sysio"
)

// descriptor is an open descriptor, what it is open on, and its reference count: its owner, until
// Close, and each operation in flight. The last reference closes it, once.
type descriptor struct {
	sysio.Handle
	sysio.Status
	polled bool // direct transfers must be polled (Config.IOPoll)

	uses     atomic.Int64 // with closedBit
	blocking atomic.Bool  // put into blocking mode, which os does not know of
	// closing, if not nil, closes the descriptor for callers that must not wait, see releaseAsync.
	closing func(*descriptor)
}

const closedBit = 1 << 62

// acquire takes a reference; it returns false after close.
func (d *descriptor) acquire() bool {
	for {
		n := d.uses.Load()
		if n&closedBit != 0 {
			return false
		}
		if d.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// share takes another reference for somebody who has one.
func (d *descriptor) share() { d.uses.Add(1) }

// closed reports whether close has been called.
func (d *descriptor) closed() bool { return d.uses.Load()&closedBit != 0 }

// close refuses further uses; ok is false if that was done before. others reports whether there are
// uses beside the owner's, which is still to be released.
func (d *descriptor) close() (others, ok bool) {
	for {
		n := d.uses.Load()
		if n&closedBit != 0 {
			return false, false
		}
		if d.uses.CompareAndSwap(n, n|closedBit) {
			return n > 1, true
		}
	}
}

// release drops a reference. The last one closes the descriptor and returns the result.
func (d *descriptor) release() error {
	if d.uses.Add(-1) == closedBit {
		return d.shut()
	}
	return nil
}

// releaseAsync is release for callers that must not wait, because closing can take long.
func (d *descriptor) releaseAsync() {
	if d.uses.Add(-1) == closedBit {
		d.closing(d)
	}
}

// shut closes a descriptor without references, except calls of os that wait for the other end of a pipe. If the
// descriptor is in blocking mode, shut does not wait for them; nor does os where it knows of the mode.
func (d *descriptor) shut() error {
	if !d.blocking.Load() {
		return d.OS.Close()
	}
	outside.Go(func() { d.OS.Close() })        // it may outlive a test's bubble
	for d.OS.SetDeadline(time.Time{}) == nil { // until it refuses further calls
		runtime.Gosched()
	}
	return nil
}

// setBlocking puts a descriptor that the poller serves into blocking mode, as os.File.Fd does.
func (d *descriptor) setBlocking() {
	if d.Nonblock {
		d.blocking.Store(true)
		d.SetBlocking()
	}
	d.OS.Fd()
}

// leave ends a use, without waiting if the call must be on time.
func (d *descriptor) leave(onTime bool) {
	if onTime {
		d.releaseAsync()
	} else {
		d.release()
	}
}

// wrap turns err, from an operation called name, into what os would return.
func (d *descriptor) wrap(name string, err error) error {
	switch err {
	case nil, io.EOF:
		return err
	}
	if _, ok := err.(*fs.PathError); ok {
		return err
	}
	return &fs.PathError{Op: name, Path: d.OS.Name(), Err: err}
}
