package chain

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"syscall"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/uring"
)

const (
	maxTransfer = 0x7ffff000 // bytes that one read or write moves at most (read(2), NOTES)
	maxIovecs   = 1024       // UIO_MAXIOV
	maxFiles    = 8          // of one part; their descriptors are held by nested calls
	maxKnown    = 8
)

// part is a run of links that a ring carries out together, and the files that are known.
type part struct {
	links  []*link
	files  []held
	flight flight
	iovecs [][]unix.Iovec // that the flight points to
	known  [maxKnown]known
	oldest int // of known
}

// held is a file of a part.
type held struct {
	file *ringfile.File
	conn syscall.RawConn
	fd   int   // valid while conn holds it
	size int64 // when the part was made up
}

// known holds the properties of a file that do not change.
type known struct {
	file weak.Pointer[ringfile.File]
	facts
}

// facts decide the route of a file's operations.
type facts struct {
	dev    uint64 // of the file system, or of the block device
	disk   bool   // a regular file of a file system on a block device, or a block device
	direct bool   // O_DIRECT
	append bool   // O_APPEND
}

// onRing has a ring carry out links from next on. It returns false if these are not for a ring: the
// next one is then to be made by a call.
func (c *Chain) onRing() (ran bool, err error) {
	p := &c.part
	defer p.forget()
	dev, ok := c.gather()
	if !ok {
		return false, nil
	}
	d := use(dev)
	if d == nil {
		return false, nil
	}
	defer d.leave()
	if !p.hold(0, d.ring) {
		return false, nil // the next one finds out that a file has been closed
	}
	return true, c.settle()
}

// gather collects a part, of links from next on, and returns its device. It returns false if a ring
// gains nothing: a single operation is a method of File, and syncs, buffered transfers and writes that
// extend a file would each occupy a kernel thread, where the caller already has one.
func (c *Chain) gather() (dev uint64, ok bool) {
	p := &c.part
	for _, l := range c.links[c.next:min(c.n, c.next+depth)] {
		k := p.facts(l.file)
		if !k.disk || l.op.moves() && !l.suits(k) || len(p.links) > 0 && k.dev != dev {
			break
		}
		dev = k.dev
		p.links = append(p.links, l)
	}
	if !p.gains() {
		return 0, false
	}
	for i, l := range p.links {
		h := p.file(l.file)
		if h == nil || l.op.writes() && l.off+int64(l.want()) > h.size {
			p.links = p.links[:i]
			break
		}
	}
	return dev, p.gains()
}

// gains reports whether the links examined so far are for a ring.
func (p *part) gains() bool {
	return len(p.links) > 1 && slices.ContainsFunc(p.links, func(l *link) bool { return l.op.moves() })
}

// suits reports whether a transfer can be left to a ring.
func (l *link) suits(k facts) bool {
	// The kernel would take the first part of a longer transfer for the whole.
	left := l.want() - l.n
	return k.direct && !(k.append && l.op.writes()) && l.off >= 0 && left > 0 && left <= maxTransfer &&
		len(l.vec) <= maxIovecs
}

// facts returns what is known about f; the zero value if it is not for a ring.
func (p *part) facts(f *ringfile.File) facts {
	if !isFile(f) || f.Engine().Backend() != ringfile.BackendURing {
		return facts{}
	}
	w := weak.Make(f)
	for i := range p.known {
		if p.known[i].file == w {
			return p.known[i].facts
		}
	}
	_, k, err := look(f)
	if err != nil {
		return facts{}
	}
	p.known[p.oldest] = known{file: w, facts: k}
	p.oldest = (p.oldest + 1) % maxKnown
	return k
}

// file returns f as a file of the part, nil if it cannot be one.
func (p *part) file(f *ringfile.File) *held {
	for i := range p.files {
		if p.files[i].file == f {
			return &p.files[i]
		}
	}
	if len(p.files) == maxFiles || !isOpen(f.Engine()) {
		return nil
	}
	h, _, err := look(f)
	if err != nil {
		return nil
	}
	p.files = append(p.files, h)
	return &p.files[len(p.files)-1]
}

// look gathers the facts about a file. It asks no file server.
func look(f *ringfile.File) (h held, k facts, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return held{}, facts{}, err
	}
	var st unix.Statx_t
	var flags int
	failed := conn.Control(func(fd uintptr) {
		err = unix.Statx(int(fd), "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_SIZE, &st)
		if err == nil {
			flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0)
		}
	})
	h, k = held{file: f, conn: conn, size: int64(st.Size)}, facts{direct: flags&unix.O_DIRECT != 0, append: flags&unix.O_APPEND != 0}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		// File systems without a block device, those of servers and of memory among them, have a major
		// number of 0. They gain nothing by a ring.
		k.dev, k.disk = unix.Mkdev(st.Dev_major, st.Dev_minor), st.Dev_major != 0
	case unix.S_IFBLK:
		k.dev, k.disk = unix.Mkdev(st.Rdev_major, st.Rdev_minor), true
		h.size = math.MaxInt64 // it stays what it is
	}
	return h, k, errors.Join(failed, err)
}

// hold runs the flight while it holds the descriptors of the files from i on open. It returns false,
// having run nothing, if one has been closed.
func (p *part) hold(i int, r *ring) (ran bool) {
	if i == len(p.files) {
		p.prepare()
		r.run(&p.flight)
		return true
	}
	err := p.files[i].conn.Control(func(fd uintptr) {
		p.files[i].fd = int(fd)
		ran = p.hold(i+1, r)
	})
	return ran && err == nil
}

// prepare writes the entries of the links.
func (p *part) prepare() {
	for i, l := range p.links {
		p.flight.sqes = append(p.flight.sqes, uring.SQE{})
		sqe := &p.flight.sqes[i]
		fd, off := p.file(l.file).fd, uint64(l.off)+uint64(l.n)
		switch l.op {
		case opRead:
			sqe.PrepRead(fd, l.buf[l.n:], off)
		case opWrite:
			race.Read(l.buf[l.n:])
			sqe.PrepWrite(fd, l.buf[l.n:], off)
		case opReadv:
			sqe.PrepReadv(fd, p.vector(l), off, 0)
		case opWritev:
			sqe.PrepWritev(fd, p.vector(l), off, 0)
		case opSync:
			sqe.PrepFsync(fd, 0)
		case opDatasync:
			sqe.PrepFsync(fd, uring.FsyncDatasync)
		}
		switch {
		case i == len(p.links)-1:
		case l.anyway:
			sqe.SetFlags(uring.SQEIOHardlink)
		default:
			sqe.SetFlags(uring.SQEIOLink)
		}
	}
}

// vector describes what is left of a vector to the kernel.
func (p *part) vector(l *link) []unix.Iovec {
	var v []unix.Iovec
	for _, b := range l.rest() {
		if len(b) == 0 {
			continue
		}
		if l.op.writes() {
			race.Read(b)
		}
		iov := unix.Iovec{Base: &b[0]}
		iov.SetLen(len(b))
		v = append(v, iov)
	}
	p.iovecs = append(p.iovecs, v)
	return v
}

// settle goes through the results of the part's links, in order, finishes those that the kernel has
// left incomplete without a final error, and returns the error of the one that broke the chain. Where
// the kernel stopped, the next part continues.
func (c *Chain) settle() error {
	for i, l := range c.part.links {
		res, left, stopped := int(c.part.flight.res[i]), l.want()-l.n, false
		l.err = nil
		switch errno := syscall.Errno(-res); {
		case res < 0 && mayHelp(errno):
			stopped = true
			l.call(context.Background())
		case res < 0:
			l.err = l.wrap(errno)
		case res > left:
			l.err = l.wrap(syscall.EIO)
		case res == 0 && l.op.reads():
			l.err = io.EOF
		case res == 0 && l.op.writes():
			l.err = l.wrap(io.ErrUnexpectedEOF)
		default:
			if l.move(res); res == left {
				break
			}
			if !l.anyway {
				return nil
			}
			l.call(context.Background())
		}
		if err := c.passed(l); err != nil || stopped && !l.anyway {
			return err
		}
	}
	return nil
}

// move records that the kernel has moved n bytes.
func (l *link) move(n int) {
	if l.op.reads() && race.Enabled {
		race.Wrote(l.buf[min(l.n, len(l.buf)):min(l.n+n, len(l.buf))])
		left := n
		for _, b := range l.rest() {
			b = b[:min(left, len(b))]
			left -= len(b)
			race.Wrote(b)
		}
	}
	l.n += n
}

// mayHelp reports whether an operation that failed on a ring with errno may succeed as a system call:
// because the kernel or the file system does not support it, or not in this form, or because of a
// shortage that a ring does not wait for. If it fails there too, that error is the right one.
func mayHelp(errno syscall.Errno) bool {
	switch errno {
	case syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.EAGAIN, syscall.EINTR, syscall.ECANCELED,
		syscall.EFAULT, // the thread that submitted it has ended
		syscall.EBADF:  // not open for writing, among others
		return true
	}
	return false
}

// forget drops what is only needed while a part is carried out.
func (p *part) forget() {
	clear(p.links[:cap(p.links)])
	clear(p.files)
	clear(p.iovecs)
	p.links, p.files, p.iovecs, p.flight.sqes = p.links[:0], p.files[:0], p.iovecs[:0], p.flight.sqes[:0]
}
