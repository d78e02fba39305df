package ringfile

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ringfile/ringfile/uring"
)

// Backend names the way an engine moves data.
type Backend uint8

const (
	// BackendAuto uses io_uring where it works and blocking system calls elsewhere.
	BackendAuto Backend = iota
	// BackendURing uses io_uring; an engine cannot be made where it is missing.
	BackendURing
	// BackendBlocking uses blocking system calls, a bounded number at a time.
	BackendBlocking
)

// String returns "auto", "uring" or "blocking", the values of RINGFILE_BACKEND.
func (b Backend) String() string {
	switch b {
	case BackendAuto:
		return "auto"
	case BackendURing:
		return "uring"
	case BackendBlocking:
		return "blocking"
	}
	return fmt.Sprintf("Backend(%d)", uint8(b))
}

// parseBackend is the inverse of Backend.String; the empty string is BackendAuto.
func parseBackend(s string) (Backend, error) {
	switch s {
	case "", "auto":
		return BackendAuto, nil
	case "uring":
		return BackendURing, nil
	case "blocking":
		return BackendBlocking, nil
	}
	return 0, fmt.Errorf("RINGFILE_BACKEND=%q: want auto, uring or blocking", s)
}

// Config is what an engine is made from. The zero value is what programs want; every field says
// what its zero means.
type Config struct {
	// Backend chooses between io_uring and blocking calls; zero decides by what works here. The
	// environment variable RINGFILE_BACKEND (auto, uring, blocking), where set, wins over it.
	Backend Backend

	// Rings is how many rings, each with its own reaper, share the requests. Zero: one for every
	// four Ps, at most eight.
	Rings int

	// Depth is how many requests each ring has in flight at most, rounded up to a power of two,
	// within 16..16384. Further callers wait their turn. Zero: 256.
	Depth int

	// Workers is how many kernel threads (io-wq) may work for one submitting thread on operations
	// that the kernel cannot start without blocking, such as fsync. Zero: 32.
	Workers int

	// BlockingLimit is how many goroutines are in a blocking system call at once; under pressure
	// of calls that do not end the bound rises to four times that. Zero: 512.
	BlockingLimit int

	// Logger, if not nil, is told once, at level Info, that the engine works without io_uring, and
	// why. Nothing else is logged.
	Logger *slog.Logger

	// CloseTimeout is how long Close waits for the kernel to return requests. Zero: 10 seconds.
	CloseTimeout time.Duration

	// SQPoll, if not nil, has a kernel thread take the requests, which then need no system call to
	// be submitted. New fails where that cannot be had. See docs/polling.md.
	SQPoll *SQPollConfig

	// IOPoll makes the engine poll devices for the completion of O_DIRECT transfers, instead of
	// waiting for interrupts. It takes devices with poll queues: on others these transfers fail,
	// from the first on, with an *UnavailableError in the *fs.PathError. Everything else is done by
	// blocking calls. A transfer that the device has begun cannot be given up; a Chain is not
	// polled. New fails where the mode cannot be had. See docs/polling.md.
	IOPoll bool
}

const (
	defaultDepth = 256
	minDepth     = 16
	maxDepth     = 16384

	maxBlockingLimit = 1 << 24 // as good as none, and four times that can be counted
)

func (c Config) withDefaults() (Config, error) {
	if c.Rings < 0 || c.Depth < 0 || c.Workers < 0 || c.BlockingLimit < 0 || c.CloseTimeout < 0 {
		return c, errors.New("ringfile: negative number in Config")
	}
	if c.Depth != 0 && (c.Depth < minDepth || c.Depth > maxDepth) {
		return c, fmt.Errorf("ringfile: Config.Depth is %d, must be within %d..%d", c.Depth, minDepth, maxDepth)
	}
	if c.Rings > 1024 {
		return c, fmt.Errorf("ringfile: Config.Rings is %d, must be at most 1024", c.Rings)
	}
	if c.Backend > BackendBlocking {
		return c, fmt.Errorf("ringfile: Config.Backend is %d, which names no backend", c.Backend)
	}
	if err := c.SQPoll.check(); err != nil {
		return c, err
	}
	if s, ok := os.LookupEnv("RINGFILE_BACKEND"); ok {
		b, err := parseBackend(s)
		if err != nil {
			return c, err
		}
		if b != BackendAuto {
			c.Backend = b
		}
	}
	if c.Backend == BackendBlocking { // there is nothing to poll
		c.SQPoll, c.IOPoll = nil, false
	}
	if c.Rings == 0 {
		c.Rings = min(8, (runtime.GOMAXPROCS(0)+3)/4)
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = 10 * time.Second
	}
	return c, nil
}

// Engine owns the rings, their reapers, the request slots and the statistics. Files opened through
// it share it; one engine serves a whole program, and the package-level functions use a default
// one. All methods are safe for concurrent use.
type Engine struct {
	config   Config
	tuning   tuning
	homes    []*ring              // the rings that goroutines prefer; none on the blocking backend
	rings    []*ring              // these and their solos
	chains   atomic.Pointer[ring] // for chains, made when it is needed
	probe    *uring.Probe         // which operations the rings know; nil without rings
	reason   *UnavailableError    // why rings is empty, nil if that was asked for
	affinity sync.Pool            // of *home: gives a P the same ring again and again
	nextRing atomic.Uint32
	blocking *limiter
	volumes  volumes
	stats    stats
	fixed    registry
	// falseEOF is set where a read with RWF_NOWAIT may report the end of a file where it is not; see
	// docs/kernels.md.
	falseEOF  bool
	closed    atomic.Bool
	closing   sync.Mutex // held by Close
	chainsMu  sync.Mutex // held while the ring for chains is made
	chainless bool       // it cannot be made
	// chainOrder is held by chains that run, with all of its weight by one that drains.
	chainOrder *semaphore.Weighted
}

// home is the ring that requests from one P prefer.
type home struct{ ring *ring }

// New makes an engine. With BackendAuto it fails only for a bad Config: where io_uring is missing
// the engine works on blocking calls and Available says why. With BackendURing, SQPoll or IOPoll the
// error is an *UnavailableError then.
//
// An engine holds descriptors, memory and, while requests are in flight, goroutines, until Close.
func New(c Config) (*Engine, error) { return newTuned(c, tuned) }

func newTuned(c Config, how tuning) (*Engine, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{config: c, tuning: how, chainOrder: semaphore.NewWeighted(maxChains)}
	if c.Backend != BackendBlocking {
		e.reason = e.openRings()
		if e.reason != nil && (c.Backend == BackendURing || c.polls()) {
			return nil, e.reason
		}
		if e.reason != nil && c.Logger != nil {
			c.Logger.Info("ringfile works without io_uring", "op", e.reason.Op, "err", e.reason.Err, "hint", e.reason.Hint)
		}
	}
	limit := min(c.BlockingLimit, maxBlockingLimit)
	if limit == 0 {
		limit = 512
	}
	e.blocking = newLimiter(limit, 4*limit)
	e.affinity.New = func() any {
		return &home{e.homes[int(e.nextRing.Add(1)-1)%len(e.homes)]}
	}
	return e, nil
}

// openRings makes the rings and proves that a request goes through each of them. All or nothing.
func (e *Engine) openRings() *UnavailableError {
	if err := uringForbidden(); err != nil {
		return err
	}
	depth := e.config.Depth
	for range e.config.Rings {
		home, err := e.openRing(depth)
		for i := 0; err == nil && i < e.solos(); i++ {
			if solo, err := e.openRing(minDepth); err == nil {
				home.solos = append(home.solos, solo)
			} // else it goes without; there may be little memory for rings
		}
		if err != nil {
			for _, r := range e.rings {
				r.close(time.Second)
			}
			e.homes, e.rings = nil, nil
			return err
		}
		e.homes = append(e.homes, home)
	}
	return nil
}

// solos returns how many small rings each home has for goroutines that are nearly alone: one for
// each further P that it serves, at most three.
func (e *Engine) solos() int {
	if e.config.SQPoll != nil {
		return 0 // a thread that takes everything spares callers the system call in any case
	}
	return min(e.psPerRing()-1, 3)
}

// psPerRing returns how many Ps share a ring.
func (e *Engine) psPerRing() int {
	rings := max(e.config.Rings, 1)
	return (runtime.GOMAXPROCS(0) + rings - 1) / rings
}

var defaultEngine = sync.OnceValues(func() (*Engine, error) { return New(Config{}) })

// Default returns the engine of the package-level functions, made on first use. It fails only if
// RINGFILE_BACKEND has a bad value, or is "uring" where io_uring is unavailable; the package-level
// functions return that error too.
func Default() (*Engine, error) { return defaultEngine() }

// Available reports whether the default engine uses io_uring: nil if it does, otherwise an error
// that says why not, an *UnavailableError as a rule.
func Available() error {
	e, err := Default()
	if err != nil {
		return err
	}
	return e.Available()
}

// Available reports whether the engine uses io_uring: nil if it does, otherwise an
// *UnavailableError.
func (e *Engine) Available() error {
	switch {
	case len(e.rings) > 0:
		return nil
	case e.reason != nil:
		return e.reason
	}
	return &UnavailableError{Op: "backend", Err: errors.New("blocking was asked for"),
		Hint: "by Config.Backend or RINGFILE_BACKEND"}
}

// Backend returns what the engine uses: BackendURing or BackendBlocking.
func (e *Engine) Backend() Backend {
	if len(e.rings) > 0 {
		return BackendURing
	}
	return BackendBlocking
}

// Close ends the engine: operations that start later fail with ErrEngineClosed, those in the
// kernel are cancelled where the kernel can do that and waited for, as are blocking system calls.
// Files stay open, for Close, but move no more data. If anything is still in flight after
// Config.CloseTimeout it returns a *CloseError and leaves its memory alone. Closing twice is not an
// error.
//
// The default engine is never closed by the package.
func (e *Engine) Close() error {
	e.closing.Lock()
	defer e.closing.Unlock()
	if e.closed.Swap(true) {
		return nil
	}
	e.fixed.end()
	deadline := time.Now().Add(e.config.CloseTimeout)
	left := 0
	e.chainsMu.Lock() // nobody is making a ring now
	e.chainless = true
	e.chainsMu.Unlock()
	for r := range e.everyRing {
		r.refuse()
	}
	for r := range e.everyRing {
		left += r.close(time.Until(deadline))
	}
	left += e.blocking.drain(time.Until(deadline))
	if left > 0 {
		return &CloseError{InFlight: left}
	}
	return nil
}

// run carries out op on a ring, behind the first n bytes, and parks the goroutine until it is
// done. It returns the bytes moved in all and the error number of the transfer that failed, if one
// did. handled is false if no ring took the request; nothing has been done then.
func (e *Engine) run(op *operation, n int) (_ int, errno syscall.Errno, why cause, handled bool) {
	r := e.pick()
	if r == nil {
		return n, 0, notCancelled, false
	}
	r = r.orSolo()
	region := startRegion("ringfile.ring")
	defer endRegion(region)
	req, lead := r.start(op, n, nil, true, nil, nil)
	if req == nil {
		return n, 0, notCancelled, false
	}
	if lead {
		r.lead(req)
	}
	<-req.done
	n, errno, why = req.n, req.errno, cause(req.cause.Load())
	r.release(req)
	return n, errno, why, true
}

// pick returns the ring for the next request of this goroutine, nil if there is none.
func (e *Engine) pick() *ring {
	switch len(e.homes) {
	case 0:
		return nil
	case 1:
		return e.homes[0]
	}
	h := e.affinity.Get().(*home)
	r := h.ring
	e.affinity.Put(h)
	return r
}
