package ringfile

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/ringfile/ringfile/internal/sysio"
)

// ErrEngineClosed is the Err of the *fs.PathError that operations return after Engine.Close. It matches
// fs.ErrClosed.
var ErrEngineClosed error = closedError("ringfile: engine is closed")

type closedError string

func (e closedError) Error() string        { return string(e) }
func (e closedError) Is(target error) bool { return target == fs.ErrClosed }

// UnavailableError says why io_uring cannot be used here and what would change that. Programs work
// regardless, through blocking system calls, unless RINGFILE_BACKEND=uring makes it a failure. It also
// reports why a requested polling mode is unavailable.
type UnavailableError struct {
	// Op is the step that failed: "io_uring_setup", "io_uring_enter", "probe", "RINGFILE_BACKEND",
	// "SQPOLL", "IOPOLL", ...
	Op string
	// Err is the cause, normally a syscall.Errno.
	Err error
	// Hint is one sentence on what to change, naming the sysctl, limit or policy.
	Hint string

	feature string // what is unavailable, with its verb, if it is not the whole of io_uring
}

func (e *UnavailableError) Error() string {
	var b strings.Builder
	if e.feature == "" {
		b.WriteString("io_uring is")
	}
	b.WriteString(e.feature)
	b.WriteString(" unavailable: ")
	b.WriteString(e.Op)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap returns the cause, so that errors.Is(err, syscall.EPERM) works.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Is makes every UnavailableError match errors.ErrUnsupported.
func (e *UnavailableError) Is(target error) bool { return target == errors.ErrUnsupported }

// unavailable explains a setup error. facts are what was read from the system to that end; they
// are asked for only now, as nobody needs them while io_uring works.
func unavailable(op string, err error, facts sysio.Facts) *UnavailableError {
	e := &UnavailableError{Op: op, Err: err}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return e
	}
	e.Err = errno
	switch {
	case errno == syscall.EPERM && facts.UringDisabled == 2:
		e.Hint = "the sysctl kernel.io_uring_disabled is 2; set it to 0"
	case errno == syscall.EPERM && facts.UringDisabled == 1:
		e.Hint = "the sysctl kernel.io_uring_disabled is 1; set it to 0, or add this user to the group in kernel.io_uring_group"
	case errno == syscall.EPERM || errno == syscall.EACCES:
		e.Hint = "a seccomp or security policy refuses io_uring, as Docker, containerd and Kubernetes do by default; allow io_uring_setup, io_uring_enter and io_uring_register"
	case errno == syscall.ENOSYS:
		e.Hint = "the kernel (" + facts.Release + ") has no io_uring, or a sandbox such as gVisor hides it; Linux 5.10 or newer is needed"
	case errno == syscall.ENOMEM:
		e.Hint = fmt.Sprintf("ring memory counts against RLIMIT_MEMLOCK, now %s; raise it (ulimit -l, LimitMEMLOCK=)", facts.Memlock)
	case errno == syscall.EMFILE || errno == syscall.ENFILE:
		e.Hint = "no file descriptor is free; raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE=)"
	case errno == syscall.EINVAL:
		e.Hint = "the kernel (" + facts.Release + ") does not support the setup parameters; Linux 5.10 or newer is needed"
	case errno == syscall.EOPNOTSUPP:
		e.Hint = "the platform refuses io_uring, as some clouds' kernels do"
	}
	return e
}

// CloseError is returned by Engine.Close if requests were still with the kernel after
// Config.CloseTimeout. Their rings, descriptors and buffers stay allocated on purpose: the kernel may
// still write to them.
type CloseError struct {
	InFlight int // requests without a completion, and blocking calls that have not returned
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("ringfile: engine closed with %d requests still in the kernel; their memory stays allocated", e.InFlight)
}
