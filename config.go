package ringfile

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"
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
//
// Rings, permits for blocking calls and the memory behind calls with a context belong to a device (a
// file system, by its st_dev), so that a device that hangs, or whose queue is full, holds up its own
// users and nobody else.
type Config struct {
	// Backend chooses between io_uring and blocking calls; zero decides by what works here. The
	// environment variable RINGFILE_BACKEND (auto, uring, blocking), where set, wins over it.
	Backend Backend

	// Rings is how many rings, each with its own reaper, share the requests for one device. Zero: one
	// for every four Ps, at most eight. An engine makes rings for at most 64 devices; further ones
	// share those.
	Rings int

	// Depth is how many requests each ring has in flight at most, rounded up to a power of two,
	// within 16..16384. Further requests wait their turn. As many calls with a context have memory of
	// the engine, per device. Zero: 256.
	Depth int

	// Workers is how many kernel threads (io-wq) may work for one submitting thread on operations
	// that the kernel cannot start without blocking, such as fsync. Zero: 32.
	Workers int

	// BlockingLimit is how many OS threads blocking calls on the files of one device hold at once, and
	// as many those on names there. Zero: 512. Under pressure of calls that do not end a device may have
	// up to four times that. All devices together hold four times BlockingLimit at most, and 64 more
	// for each device. Copies by ReadFrom and WriteTo from and to pipes and connections are not counted,
	// as these may be silent for long, nor is Close without a context, which file servers (NFS, FUSE) alone
	// hold up.
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
	// blocking calls. A transfer that the device has begun cannot be given up. New fails where the mode
	// cannot be had. See docs/polling.md.
	IOPoll bool
}

const (
	defaultDepth = 256
	minDepth     = 16
	maxDepth     = 16384

	defaultBlockingLimit = 512
	maxBlockingLimit     = 1 << 24 // as good as none, and four times that can be counted
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
	if c.BlockingLimit = min(c.BlockingLimit, maxBlockingLimit); c.BlockingLimit == 0 {
		c.BlockingLimit = defaultBlockingLimit
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = 10 * time.Second
	}
	return c, nil
}

// polls reports whether the configuration asks for a mode that must not silently be another.
func (c *Config) polls() bool { return c.SQPoll != nil || c.IOPoll }

// SQPollConfig is the configuration of the kernel thread that takes an engine's requests, so that
// submitting them needs no system call (IORING_SETUP_SQPOLL). Waiting for them still does.
//
// There is one thread for each device that is in use, however many rings that has: one that is stuck at a
// device must not stop the others. It runs with the credentials of the goroutine that used the device first,
// also after the process has changed its own, and its processor time counts as the process's.
type SQPollConfig struct {
	// Idle is how long the thread looks for further requests after the last one, keeping a CPU
	// busy, before it sleeps, in whole milliseconds, rounded up. The first request after that
	// costs a system call that wakes it. Zero: 20 milliseconds.
	Idle time.Duration

	// Pinned binds the thread, those of all devices, to the CPU numbered CPU, which must be online and
	// one of those that the process may use.
	Pinned bool
	CPU    int
}

const defaultSQPollIdle = 20 * time.Millisecond

func (p *SQPollConfig) check() error {
	switch {
	case p == nil:
		return nil
	case p.Idle < 0:
		return errors.New("ringfile: negative number in Config.SQPoll")
	case p.Idle > time.Hour:
		return fmt.Errorf("ringfile: Config.SQPoll.Idle is %v, must be at most an hour", p.Idle)
	case p.Pinned && (p.CPU < 0 || p.CPU >= 1<<16):
		return fmt.Errorf("ringfile: Config.SQPoll.CPU is %d, which numbers no CPU", p.CPU)
	}
	return nil
}

func (p *SQPollConfig) idleMS() uint32 {
	idle := p.Idle
	if idle == 0 {
		idle = defaultSQPollIdle
	}
	return uint32((idle + time.Millisecond - 1) / time.Millisecond)
}
