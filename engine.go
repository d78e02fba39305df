package ringfile

import (
	"errors"
	"sync"
	"time"

	"github.com/ringfile/ringfile/internal/count"
)

// Engine owns the devices its files are on, with their rings, permits and statistics. Files opened
// through an engine share it; one engine serves a whole program, and the package-level functions use a
// default one. All methods are safe for concurrent use.
type Engine struct {
	devices devices
	reason  *UnavailableError // why there are no rings, nil if that was asked for
	stats   engineStats
	closing sync.Mutex // held by Close
}

// engineStats holds the engine's counters that are not a queue's.
type engineStats struct {
	cached, blocking count.Traffic
	refused          count.Counter
	syncs            count.Counter // asked for
	sharedSyncs      count.Counter // had part in one that was made for others
}

// New makes an engine. With BackendAuto it fails only for an invalid Config: where io_uring is missing
// the engine uses blocking calls, and Available says why. With BackendURing, SQPoll or IOPoll it
// returns an *UnavailableError if they cannot be used.
//
// Until Close, an engine holds descriptors and memory; it has goroutines only while requests are in
// flight and for a few milliseconds afterwards.
func New(c Config) (*Engine, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	e := new(Engine)
	e.devices.init(c)
	if c.Backend != BackendBlocking {
		e.reason = e.devices.rings.prove()
		e.devices.uring = e.reason == nil
		if e.reason != nil && (c.Backend == BackendURing || c.polls()) {
			return nil, e.reason
		}
		if e.reason != nil && c.Logger != nil {
			c.Logger.Info("ringfile works without io_uring", "op", e.reason.Op, "err", e.reason.Err, "hint", e.reason.Hint)
		}
	}
	return e, nil
}

var defaultEngine = sync.OnceValues(func() (*Engine, error) { return New(Config{}) })

// Default returns the engine that the package-level functions use. It is made on first use. It fails
// only if RINGFILE_BACKEND has an invalid value, or is "uring" where io_uring is unavailable; the
// package-level functions then return the same error.
func Default() (*Engine, error) { return defaultEngine() }

// Available reports whether the default engine uses io_uring. It returns nil if it does, otherwise an
// error that says why not, normally an *UnavailableError.
func Available() error {
	e, err := Default()
	if err != nil {
		return err
	}
	return e.Available()
}

// Available reports whether the engine uses io_uring. It returns nil if it does, otherwise an
// *UnavailableError.
func (e *Engine) Available() error {
	switch {
	case e.devices.uring:
		return nil
	case e.reason != nil:
		return e.reason
	}
	return &UnavailableError{Op: "backend", Err: errors.New("the blocking backend was requested"),
		Hint: "by Config.Backend or RINGFILE_BACKEND"}
}

// Backend returns what the engine uses: BackendURing or BackendBlocking.
func (e *Engine) Backend() Backend {
	if e.devices.uring {
		return BackendURing
	}
	return BackendBlocking
}

// Close shuts the engine down. Operations that start later fail with ErrEngineClosed. Those in the
// kernel are cancelled where the kernel can do that, and waited for, as are blocking system calls.
// Files stay open until they are closed themselves, which is all that can be done with them. If anything is still in
// flight after Config.CloseTimeout, Close returns a *CloseError and leaves its memory alone. Closing
// twice is not an error.
//
// The package never closes the default engine. Nor should you: it is not made again.
func (e *Engine) Close() error {
	e.closing.Lock()
	defer e.closing.Unlock()
	if e.devices.closed.Swap(true) {
		return nil
	}
	deadline := time.Now().Add(e.devices.config.CloseTimeout)
	lanes := e.devices.everyLane()
	for _, l := range lanes {
		for q := range l.everyQueue {
			q.refuse()
		}
	}
	left := 0
	for _, l := range lanes {
		for q := range l.everyQueue {
			left += q.close(time.Until(deadline))
		}
	}
	left += e.drain(deadline)
	e.devices.rings.end()
	if left > 0 {
		return &CloseError{InFlight: left}
	}
	return nil
}

// drain waits until no blocking call is running and returns how many are left at the deadline.
func (e *Engine) drain(deadline time.Time) int {
	for ; ; time.Sleep(time.Millisecond) {
		n := e.devices.nowhere.Present()
		for _, l := range e.devices.everyLane() {
			n += l.calls.Present() + l.names.Present() + l.hits.Running() + l.plain.Running()
		}
		if n == 0 || time.Now().After(deadline) {
			return n
		}
	}
}
