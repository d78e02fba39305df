package ringfile

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/uring"
)

// iovec is the kernel's description of one piece of memory.
type iovec = unix.Iovec

const (
	maxTransfer = 0x7ffff000 // bytes that one read or write moves at most (read(2), NOTES)
	maxIovecs   = 1024       // UIO_MAXIOV
)

// prepare writes the submission for what is left of the request. Everything it points to is held
// by the request.
func (req *request) prepare(sqe *uring.SQE) {
	if req.code == opPath {
		req.path.prepare(sqe)
		return
	}
	fd := req.file.fd
	off := uint64(req.off) // offCurrent is uring.OffCurrent
	if req.off != offCurrent && (req.code.reads() || req.code.writes()) {
		off += uint64(req.n)
	}
	switch req.code {
	case opRead:
		p := req.rest()
		if slot, ok := req.fixedSlot(p); ok {
			sqe.PrepReadFixed(fd, p, off, slot)
		} else {
			sqe.PrepRead(fd, p, off)
		}
	case opWrite:
		p := req.rest()
		if slot, ok := req.fixedSlot(p); ok {
			sqe.PrepWriteFixed(fd, p, off, slot)
		} else {
			sqe.PrepWrite(fd, p, off)
		}
	case opReadv:
		req.fillIovecs()
		sqe.PrepReadv(fd, req.iovs, off, 0)
	case opWritev:
		req.fillIovecs()
		sqe.PrepWritev(fd, req.iovs, off, 0)
	case opFsync:
		sqe.PrepFsync(fd, 0)
	case opFdatasync:
		sqe.PrepFsync(fd, uring.FsyncDatasync)
	case opAllocate:
		sqe.PrepFallocate(fd, req.arg, off, uint64(req.length))
	case opTruncate:
		sqe.PrepFtruncate(fd, uint64(req.length))
	case opPrefetch:
		sqe.PrepFadvise(fd, off, uint32(req.length), unix.FADV_WILLNEED)
	}
}

// rest returns what is left of the buffer, as much of it as one transfer moves.
func (req *request) rest() []byte {
	p := req.buf[req.n:]
	return p[:min(len(p), maxTransfer)]
}

// fillIovecs describes what is left of the vector, as much of it as one transfer takes.
func (req *request) fillIovecs() {
	req.iovs = req.iovs[:0]
	skip := req.n
	for _, p := range req.vec {
		if skip >= len(p) {
			skip -= len(p)
			continue
		}
		p = p[skip:]
		skip = 0
		if len(req.iovs) == maxIovecs {
			return
		}
		v := iovec{Base: &p[0]}
		v.SetLen(len(p))
		req.iovs = append(req.iovs, v)
	}
}

// errTimedOut is what a wait with a limit returns when that is over.
const errTimedOut = syscall.ETIME
