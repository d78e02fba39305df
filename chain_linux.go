package ringfile

import (
	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/uring"
)

// prepare writes the submission of a link. What it points to is held by the request, and by the
// link, which is the request's promise.
func (l *link) prepare(req *request, sqe *uring.SQE) {
	switch {
	case l.op.code == opOpenDirect:
		sqe.PrepOpenatDirect(unix.AT_FDCWD, l.path, unix.O_RDONLY, 0, uint32(l.slot))
	case l.op.code == opCloseDirect:
		sqe.PrepCloseDirect(uint32(l.slot))
	case l.op.file == nil:
		sqe.PrepRead(l.slot, req.rest(), uint64(l.op.off))
		sqe.SetFlags(uring.SQEFixedFile)
	default:
		req.prepare(sqe)
	}
}
