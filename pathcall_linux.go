package ringfile

import (
	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/uring"
)

const (
	atCwd       = unix.AT_FDCWD
	atNoFollow  = unix.AT_SYMLINK_NOFOLLOW
	atRemoveDir = unix.AT_REMOVEDIR
	atEmptyPath = unix.AT_EMPTY_PATH

	// atNoAutomount is what stat(2) and lstat(2) imply, and statx(2) does not: asking for a mount point
	// of an automounter does not mount it.
	atNoAutomount = unix.AT_NO_AUTOMOUNT
)

// pathMemory is what the kernel reads and writes of a pathCall.
type pathMemory struct {
	path, path2 *byte // names, NUL-terminated
	stat        unix.Statx_t
}

// pin makes the names what the kernel wants. The error is that of a name with a NUL in it.
func (p *pathCall) pin() (err error) {
	if p.path, err = unix.BytePtrFromString(p.name); err != nil {
		return err
	}
	p.path2, err = unix.BytePtrFromString(p.other)
	return err
}

// prepare writes the submission. Everything it points to is held by p.
func (p *pathCall) prepare(sqe *uring.SQE) {
	switch p.op {
	case uring.OpStatx:
		sqe.PrepStatx(p.dir, p.path, p.flags|atNoAutomount, unix.STATX_BASIC_STATS, &p.stat)
	case uring.OpMkdirat:
		sqe.PrepMkdirat(p.dir, p.path, syscallMode(p.perm))
	case uring.OpUnlinkat:
		sqe.PrepUnlinkat(p.dir, p.path, p.flags)
	case uring.OpRenameat:
		sqe.PrepRenameat(p.dir, p.path, p.dir, p.path2, 0)
	case uring.OpLinkat:
		sqe.PrepLinkat(p.dir, p.path, p.dir, p.path2, 0)
	case uring.OpSymlinkat:
		sqe.PrepSymlinkat(p.path, p.dir, p.path2)
	case uring.OpGetxattr:
		sqe.PrepGetxattr(p.path, p.path2, p.value)
	case uring.OpSetxattr:
		sqe.PrepSetxattr(p.path, p.path2, p.value, 0)
	default:
		panic("ringfile: no submission for " + p.op.String())
	}
}
