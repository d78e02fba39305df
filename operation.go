package ringfile

import (
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/ringfile/ringfile/internal/route"
	"github.com/ringfile/ringfile/internal/sysio"
	"github.com/ringfile/ringfile/uring"
)

// opcode says what an operation does.
type opcode uint8

const (
	opRead opcode = iota
	opWrite
	opReadv
	opWritev
	opFsync
	opFdatasync
	opAllocate
	opPunchHole
	opAdvise
)

// reads and writes select the operations that transfer data, which may be cut short.
func (c opcode) reads() bool  { return c == opRead || c == opReadv }
func (c opcode) writes() bool { return c == opWrite || c == opWritev }
func (c opcode) moves() bool  { return c <= opWritev }
func (c opcode) syncs() bool  { return c == opFsync || c == opFdatasync }

// timed tells the operations that a deadline of the file ends: transfers and syncs.
func (c opcode) timed() bool { return c <= opFdatasync }

// kind is what the choice of a route wants to know.
func (c opcode) kind() route.Kind {
	switch {
	case c.reads():
		return route.Read
	case c.writes():
		return route.Write
	case c.syncs():
		return route.Sync
	}
	return route.Control
}

// name returns the Op of the operation's *fs.PathError: the one that os uses, where os has the
// operation.
func (c opcode) name() string {
	switch {
	case c.reads():
		return "read"
	case c.writes():
		return "write"
	case c.syncs():
		return "sync"
	case c == opAllocate:
		return "allocate"
	case c == opPunchHole:
		return "punchhole"
	}
	return "advise"
}

// offCurrent as an offset means the position of the file.
const offCurrent = sysio.OffCurrent

// operation is what a caller wants done: the operands, but no state.
type operation struct {
	code   opcode
	once   bool        // one transfer is enough, however short (Read)
	alone  bool        // the caller has the position to itself
	atomic bool        // opWrite: the whole or nothing, see WriteAtAtomic
	desc   *descriptor // open until the operation is finished
	buf    []byte      // opRead, opWrite
	vec    [][]byte    // opReadv, opWritev
	off    int64       // of transfers, or offCurrent; of others: where their range begins
	length int64       // of others: of the range
	mode   uint32      // opAllocate, opPunchHole: of fallocate(2); opAdvise: of posix_fadvise(2)
}

// changes reports whether the operation changes contents.
func (op *operation) changes() bool {
	return op.code.writes() || (op.code == opAllocate || op.code == opPunchHole) && op.mode&^sysio.KeepSize != 0
}

// enough reports whether the first n bytes are all that a Read needs. A short read that ends within a
// page has reached the end of the file; at a page boundary it may only have reached the end of what the
// page cache has, and only another look tells.
func (op *operation) enough(n int) bool { return op.once && op.off >= 0 && (op.off+int64(n))%4096 != 0 }

// want returns how many bytes the operation is to move.
func (op *operation) want() int {
	if op.vec == nil {
		return len(op.buf)
	}
	n := 0
	for _, p := range op.vec {
		n += len(p)
	}
	return n
}

// at returns the offset after the first n bytes.
func (op *operation) at(n int) int64 {
	if op.off == offCurrent {
		return offCurrent
	}
	return op.off + int64(n)
}

// pieces calls do for each part of the buffers within the size bytes after the first n.
func (op *operation) pieces(n, size int, do func(p []byte)) {
	if op.vec == nil {
		do(op.buf[n : n+size])
		return
	}
	for _, p := range op.vec {
		k := min(n, len(p))
		n -= k
		p = p[k:min(len(p), k+size)]
		size -= len(p)
		if len(p) > 0 {
			do(p)
		}
	}
}

// buffers appends to room what is left of a vector after the first n bytes, as many buffers as one call
// accepts.
func (op *operation) buffers(n int, room [][]byte) [][]byte {
	op.pieces(n, op.want()-n, func(p []byte) {
		if len(room) < sysio.MaxIovecs {
			room = append(room, p)
		}
	})
	return room
}

// store copies data into the operation's buffers, after the first n bytes; load is the reverse.
func (op *operation) store(data []byte, n int) {
	op.pieces(n, len(data), func(p []byte) { data = data[copy(p, data):] })
}

func (op *operation) load(data []byte, n int) {
	op.pieces(n, len(data), func(p []byte) { data = data[copy(data, p):] })
}

// prepare writes the submission entry for what is left after the first n bytes. iovs is memory for a
// vector, which the kernel reads; prepare returns it, because it may have grown.
func (op *operation) prepare(e *uring.SQE, n int, iovs []sysio.Iovec) []sysio.Iovec {
	fd, off := op.desc.FD, uint64(op.off)
	if op.code.moves() {
		off = uint64(op.at(n)) // offCurrent is uring.OffCurrent
	}
	switch op.code {
	case opRead:
		e.PrepRead(fd, op.rest(n), off)
	case opWrite:
		e.PrepWrite(fd, op.rest(n), off)
		if op.atomic {
			e.SetRWFlags(sysio.WriteAtomic)
		}
	case opReadv:
		iovs = op.describe(n, iovs)
		sysio.PrepReadv(e, fd, iovs, off)
	case opWritev:
		iovs = op.describe(n, iovs)
		sysio.PrepWritev(e, fd, iovs, off)
	case opAllocate, opPunchHole:
		e.PrepFallocate(fd, op.mode, off, uint64(op.length))
	case opAdvise:
		if op.length <= math.MaxUint32 {
			e.PrepFadvise(fd, off, uint32(op.length), op.mode)
		} else {
			e.PrepFadvise64(fd, off, uint64(op.length), op.mode) // refused before Linux 6.11: then a system call
		}
	}
	return iovs
}

// rest returns what is left of the buffer, at most as much as one transfer moves.
func (op *operation) rest(n int) []byte {
	p := op.buf[n:]
	return p[:min(len(p), sysio.MaxTransfer)]
}

// describe describes what is left of the vector, at most as much as one transfer accepts.
func (op *operation) describe(n int, iovs []sysio.Iovec) []sysio.Iovec {
	iovs = iovs[:0]
	op.pieces(n, op.want()-n, func(p []byte) {
		if len(iovs) < sysio.MaxIovecs {
			iovs = append(iovs, sysio.Iovec{})
			sysio.Describe(&iovs[len(iovs)-1], p)
		}
	})
	return iovs
}

// cause says why an operation was cancelled or abandoned.
type cause uint32

const (
	notCancelled  cause = iota
	byCaller            // Future.Cancel, or a context
	byDeadline          // SetDeadline and its like
	byFileClose         // File.Close
	byEngineClose       // Engine.Close
)

// outcome turns the result of an operation into an error: the reason if it was cancelled, which may be
// the caller's, the kernel's error, or the rule for transfers that ended early.
func (op *operation) outcome(n int, errno syscall.Errno, why cause, reason error) error {
	name := op.code.name()
	if errno == syscall.ECANCELED && why != notCancelled {
		return op.desc.wrap(name, why.err(reason))
	}
	if errno != 0 {
		return op.desc.wrap(name, op.desc.explain(errno))
	}
	if due := op.due(); n < due {
		if op.code.reads() {
			return io.EOF
		}
		return op.desc.wrap(name, io.ErrUnexpectedEOF)
	}
	return nil
}

// due returns how many bytes the operation must have moved not to have ended early. One that accepts a
// short transfer must have moved something.
func (op *operation) due() int {
	switch want := op.want(); {
	case !op.code.moves():
		return 0
	case op.once:
		return min(want, 1)
	default:
		return want
	}
}

// err returns the error of a cancelled operation; reason is the caller's.
func (c cause) err(reason error) error {
	switch c {
	case byDeadline:
		return os.ErrDeadlineExceeded
	case byFileClose:
		return fs.ErrClosed
	case byEngineClose:
		return ErrEngineClosed
	}
	if reason != nil {
		return reason
	}
	return syscall.ECANCELED
}

// explain adds detail to an error number from a transfer, where there is any.
func (d *descriptor) explain(errno syscall.Errno) error {
	if errno == syscall.EOPNOTSUPP && d.Direct && d.polled {
		return &UnavailableError{Op: "IOPOLL", Err: errno, feature: "polled I/O is",
			Hint: "the device or file system cannot be polled, its queue/io_poll in /sys is 0: give the driver poll queues (nvme.poll_queues=, virtio_blk.poll_queues=), or use an engine without Config.IOPoll"}
	}
	return errno
}

// retreats reports whether an operation that a ring refused with errno is made by a system call
// instead. Where polling was requested, it must not silently be replaced.
func (op *operation) retreats(errno syscall.Errno) bool {
	return sysio.SyscallHelps(errno) && !(errno == syscall.EOPNOTSUPP && op.desc.Direct && op.desc.polled)
}
