package ringfile

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"
)

// Backend selects how an engine performs I/O.
type Backend uint8

const (
	// BackendAuto uses io_uring where it works and blocking system calls elsewhere.
	BackendAuto Backend = iota
	// BackendURing uses io_uring; making an engine fails where it is missing.
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

// Config configures an engine. The zero value suits most programs; each field says what its zero value
// means.
//
// Rings, permits for blocking calls and the buffers behind calls with a context belong to a device (a
// file system, identified by its st_dev), so that a device that hangs, or whose queue is full, delays
// its own users and nobody else.
type Config struct {
	// Backend chooses between io_uring and blocking calls. Zero (BackendAuto) uses io_uring where it
	// works. The environment variable RINGFILE_BACKEND takes precedence if it is "blocking"; "uring"
	// takes the place of BackendAuto, and "auto" changes nothing.
	Backend Backend

	// Rings is how many rings, each with its own reaper goroutine, share the requests for one device, at
	// most 1024. Zero: one for every four Ps (GOMAXPROCS when the engine is made), at most eight. An
	// engine makes rings for at most 64 devices; further devices share those.
	Rings int

	// Depth is how many requests each ring may have in flight: from 16 to 16384, rounded up to a power of
	// two. Further requests wait. It is also the number of calls with a context, per device, that
	// the engine has memory for at once, up to 1 MiB each. Zero: 256.
	Depth int

	// Workers is how many kernel threads (io-wq) each submitting thread may have for operations that
	// the kernel cannot start without blocking, such as fallocate. Zero: 32.
	Workers int

	// BlockingLimit is how many OS threads blocking calls on the files of one device may hold at once;
	// calls on names have a separate limit of the same size. Zero: 512. While calls hang, a device may
	// use up to four times that, and reads from the page cache and buffered writes some more: 32, and
	// 128 on the first four devices. All devices together use at most four times BlockingLimit, plus 96
	// for each device, and 96 more for each of the first four. Two kinds of call are not counted: copies by
	// ReadFrom and WriteTo from and to pipes and connections, which may be silent for long, and Close
	// without a context, which only file servers (NFS, FUSE) delay.
	//
	// With the default that is 8,576 threads if 64 devices hang. Threads count against the limit on processes of a
	// container (pids.max): if that is reached, Go ends the program. Where that is low, make BlockingLimit a quarter of what
	// a hanging device may take.
	BlockingLimit int

	// Logger, if not nil, receives one message, at level Info, if the engine works without io_uring,
	// with the reason. Nothing else is logged.
	Logger *slog.Logger

	// CloseTimeout is how long Engine.Close waits for the kernel to return requests. Zero: 10 seconds.
	CloseTimeout time.Duration

	// SQPoll, if not nil, has a kernel thread pick up the requests, so that submitting needs no system
	// call. New fails if the mode is unavailable, unless RINGFILE_BACKEND=blocking switches io_uring off. See
	// docs/polling.md.
	SQPoll *SQPollConfig

	// IOPoll makes the engine poll devices for the completion of O_DIRECT transfers instead of waiting
	// for interrupts. It needs devices with poll queues: on others these transfers fail, from the first
	// one on, with an *UnavailableError inside the *fs.PathError. Everything else uses blocking calls.
	// A transfer that the device has started cannot be cancelled. New fails as for SQPoll.
	// See docs/polling.md.
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
		return c, fmt.Errorf("ringfile: Config.Backend is %d, which is not a backend", c.Backend)
	}
	if err := c.SQPoll.check(); err != nil {
		return c, err
	}
	if s, ok := os.LookupEnv("RINGFILE_BACKEND"); ok {
		b, err := parseBackend(s)
		if err != nil {
			return c, err
		}
		if b == BackendBlocking || b == BackendURing && c.Backend == BackendAuto {
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

// SQPollConfig configures the kernel thread that picks up an engine's requests, so that submitting them
// needs no system call (IORING_SETUP_SQPOLL). Waiting for completions still does.
//
// There is one thread for each device in use, however many rings the device has: a thread stuck at one
// device must not stop the others. It has the credentials of the thread that made the device's rings, when they were
// first needed, even after the process has changed its own, and its CPU time counts as the process's.
type SQPollConfig struct {
	// Idle is how long the thread keeps looking for requests after the last one, keeping a CPU busy,
	// before it sleeps, in whole milliseconds, rounded up. The first request after that costs a system
	// call to wake it. Zero: 20 milliseconds.
	Idle time.Duration

	// Pinned binds the threads of all devices to the CPU numbered CPU, which must be online and one
	// that the process may use.
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
		return fmt.Errorf("ringfile: Config.SQPoll.CPU is %d, which is not a CPU", p.CPU)
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
