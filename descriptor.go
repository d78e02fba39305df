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

// descriptor is an open descriptor, what it is open on, and how many use it: its owner, until Close, and
// each operation in flight. The last use closes it, once.
type descriptor struct {
	sysio.Handle
	sysio.Status
	polled bool // direct transfers must be polled (Config.IOPoll)

	uses     atomic.Int64 // with closedBit
	blocking atomic.Bool  // put into blocking mode, which os does not know of
	// closing, if not nil, closes the descriptor for those that must not wait, see releaseAsync.
	closing func(*descriptor)
}

const closedBit = 1 << 62

// acquire admits a use; false after close.
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

// share adds a use on behalf of somebody who has one.
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

// release ends a use. The last one closes the descriptor and returns what came of it.
func (d *descriptor) release() error {
	if d.uses.Add(-1) == closedBit {
		return d.shut()
	}
	return nil
}

// releaseAsync is release for those who must not wait, as closing can take long.
func (d *descriptor) releaseAsync() {
	if d.uses.Add(-1) == closedBit {
		d.closing(d)
	}
}

// shut closes what nobody uses any more, but calls of os that wait for somebody at the other end of it. If those are in
// blocking mode it does not wait for them, as os does not where it knows of that.
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

// setBlocking puts what os serves by its poller into blocking mode, as os.File.Fd does.
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

// wrap makes err, from an operation called name, what os would return.
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
