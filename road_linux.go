package ringfile

import (
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/sysio"
	"github.com/ringfile/ringfile/uring"
)

// tryInline carries out what can be done without waiting, and says on which road the rest goes:
// n bytes have been moved then. See docs/design.md for the table and the measurements.
func (f *File) tryInline(op *operation) (n int, errno syscall.Errno, road road) {
	if len(f.engine.rings) == 0 {
		return 0, 0, roadBlocking
	}
	switch {
	case f.class != classDisk:
		return 0, 0, roadBlocking
	case op.code.reads() && f.direct, op.code.writes() && f.direct:
		if errno := f.pollRefused(); errno != 0 {
			return 0, errno, roadDone
		}
		if f.polledOnly() {
			return 0, 0, roadRing
		}
		if f.volume.nowait.Load() != unknown {
			if road = f.waitingRoad(); road == roadRing && f.punts(op) {
				road = roadBlocking
			}
			return 0, 0, road
		}
		return f.probeDirect(op)
	case op.code.reads():
		return f.readCached(op)
	case op.code.writes():
		// A ring would hand it to a kernel thread, one per inode, where a copy into the page cache
		// is all that it takes as a rule.
		return 0, 0, roadBlocking
	case op.code == opFsync || op.code == opFdatasync:
		if f.volume.memory.Load() != no { // the blocking road asks, as a file server may not answer
			return 0, 0, roadBlocking
		}
	case op.code == opPath && !f.engine.offers(op.path.op):
		return 0, 0, roadBlocking
	case op.code == opTruncate && !f.engine.offers(uring.OpFtruncate):
		return 0, 0, roadBlocking
	case op.code == opPrefetch && op.length > math.MaxUint32: // more than a submission can say
		return 0, 0, roadBlocking
	}
	if f.polledOnly() {
		return 0, 0, roadBlocking
	}
	return 0, 0, roadRing
}

const (
	// After missLimit reads in a row that found nothing in the page cache a file's reads go to
	// the ring directly, which finds it there as well at a little more cost, except for one in
	// missProbe, so that the fast road is found again.
	missLimit = 8
	missProbe = 32
)

// readHot reads p from off if all of it is in the page cache, and so far nothing tells that it may
// not be: the shortest way that there is. If it reports false, nothing has been done.
func (f *File) readHot(p []byte, off int64) (n int, done bool) {
	if f.direct || f.misses.Load() != 0 || len(f.engine.rings) == 0 || len(p) > maxTransfer {
		return 0, false
	}
	read := sysio.PreadNowait
	if f.volume.nowait.Load() != yes {
		if f.ram.Load() != yes || len(p) > sysio.RawMax {
			return 0, false
		}
		read = sysio.PreadMemory
	}
	n, errno := read(f.fd, p, off)
	if errno != 0 || n != len(p) && !f.endsAt(off, p, n) {
		return 0, false
	}
	f.engine.stats.cached.add(n)
	return n, true
}

// endsAt reports whether a read from the page cache at off into p, which moved n bytes and not more, has
// met the end of the file for sure. What else makes it short is a page that is not there, at the
// beginning of a page, or memory that cannot be written to, at the beginning of a page of p or shortly
// before, as the kernel may count less than it has copied.
func (f *File) endsAt(off int64, p []byte, n int) bool {
	const page = 4096 // or a part of one
	return n > 0 && off >= 0 && (off+int64(n))%page != 0 && !f.engine.falseEOF &&
		-(address(p)+uintptr(n))%page >= page/16
}

// readCached reads what is in the page cache.
func (f *File) readCached(op *operation) (n int, errno syscall.Errno, road road) {
	if f.volume.nowait.Load() == no || f.engine.falseEOF {
		return 0, 0, roadBlocking
	}
	misses := f.misses.Load()
	if misses >= missLimit && misses%missProbe != 0 {
		f.misses.Store(misses + 1)
		return 0, 0, f.missRoad(op.want())
	}
	total := op.want()
	for {
		var m int
		m, errno = f.readNowait(op, n)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			if n == 0 {
				f.misses.Store(max(misses+1, 1))
			} else {
				f.engine.stats.cached.add(n)
			}
			return n, 0, f.missRoad(total - n)
		case errno == syscall.EOPNOTSUPP, errno == syscall.ENOSYS:
			f.volume.nowait.Store(no)
			return n, 0, roadBlocking
		case errno != 0:
			// Whatever it is, os has the last word.
			return n, 0, roadBlocking
		}
		n += m
		if m == 0 || n == total || op.vec == nil && op.off != offCurrent && m < maxTransfer && f.endsAt(op.off, op.buf, n) {
			if misses != 0 {
				f.misses.Store(0)
			}
			if f.volume.nowait.Load() == unknown {
				f.volume.nowait.Store(yes)
			}
			f.engine.stats.cached.add(n)
			return n, 0, roadDone
		}
	}
}

// largeRead is from how many bytes on a buffered read that has to wait for the device is left to a
// system call. A ring starts it anew for each part that the readahead brings in.
const largeRead = 256 << 10

// missRoad returns the road of a buffered read of n bytes that are not in the page cache.
func (f *File) missRoad(n int) road {
	if n >= largeRead || f.polledOnly() {
		return roadBlocking
	}
	return roadRing
}

// readNowait reads behind the first n bytes what the page cache has.
func (f *File) readNowait(op *operation, n int) (int, syscall.Errno) {
	off := op.off
	if off != offCurrent {
		off += int64(n)
	}
	if op.vec == nil {
		p := op.buf[n:]
		return sysio.PreadNowait(f.fd, p[:min(len(p), maxTransfer)], off)
	}
	var room [16][]byte
	vec := room[:0]
	op.pieces(n, op.want()-n, func(p []byte) {
		if len(vec) < maxIovecs {
			vec = append(vec, p)
		}
	})
	m, err := unix.Preadv2(f.fd, vec, off, unix.RWF_NOWAIT)
	if err != nil {
		errno, _ := err.(syscall.Errno)
		return 0, errno
	}
	return m, 0
}

// probeDirect makes the first transfer of an O_DIRECT file on this volume a question: where
// RWF_NOWAIT is unknown, a ring would block kernel threads. The transfer counts.
func (f *File) probeDirect(op *operation) (n int, errno syscall.Errno, road road) {
	if op.vec != nil {
		return 0, 0, roadRing
	}
	call := sysio.PwriteNowait
	if op.code.reads() {
		call = sysio.PreadDirectNowait
	}
	// NOWAIT or not, it waits for the device.
	f.engine.blocking.acquire()
	stamp := f.engine.stats.stamps.begin()
	n, errno = call(f.fd, op.buf[:min(len(op.buf), maxTransfer)], op.off)
	f.engine.stats.stamps.end(stamp)
	f.engine.blocking.release()
	switch {
	case errno == syscall.EOPNOTSUPP || errno == syscall.ENOSYS:
		// Not if a Writer has switched O_DIRECT off for a moment: some file systems know the flag for
		// direct transfers only.
		if f.directNow() {
			f.volume.nowait.Store(no)
		}
		return 0, 0, roadBlocking
	case errno == 0 || errno == syscall.EAGAIN:
		f.volume.nowait.Store(yes)
		if errno == 0 && (n == 0 || n == len(op.buf) || op.once) {
			f.engine.stats.blocking.add(n) // it has waited for the device, in this thread
			return n, 0, roadDone
		}
		return n, 0, roadRing
	}
	return 0, 0, roadRing
}

// punts reports whether op is a direct write that a ring would hand to a kernel thread, as the file
// system cannot start it without waiting, as far as that can be told: one that makes the file longer,
// and any on btrfs. Those on one file come one after the other then, or in as many threads as it takes
// (docs/decisions.md).
func (f *File) punts(op *operation) bool {
	if !op.code.writes() || !f.direct || f.polledOnly() || f.volume == nil {
		return false
	}
	// A file server, which may not answer, need not be asked: it has no NOWAIT.
	if f.append || f.volume.nowait.Load() != yes {
		return f.append
	}
	f.inMemory() // finds out about both
	return f.volume.cow.Load() == yes || f.grows(op)
}

// grows reports whether op, a write, makes the file longer.
func (f *File) grows(op *operation) bool {
	end := op.off + int64(op.want())
	if op.off == offCurrent || end <= f.size.Load() {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(f.fd, &st) != nil {
		return false
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		st.Size = math.MaxInt64 // a device's size stays what it is
	}
	f.size.Store(st.Size)
	return end > st.Size
}

// pread is what os does for a ReadAt, without what it does about closing, which File has done, and
// about files that the poller serves.
func (f *File) pread(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, f.wrap("read", err)
		case m == 0:
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

// pwrite is pread's counterpart. With offCurrent it writes at the file position.
func (f *File) pwrite(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		var m int
		var err error
		if off == offCurrent {
			m, err = unix.Write(f.fd, p[n:])
		} else {
			m, err = unix.Pwrite(f.fd, p[n:], off+int64(n))
		}
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, f.wrap("write", err)
		case m == 0:
			return n, f.wrap("write", io.ErrUnexpectedEOF)
		}
		n += m
	}
	return n, nil
}

// flush is fsync(2) or fdatasync(2).
func (f *File) flush(code opcode) error {
	for {
		call := unix.Fsync
		if code == opFdatasync {
			call = unix.Fdatasync
		}
		if err := call(f.fd); err != unix.EINTR {
			return f.wrap("sync", err)
		}
	}
}

// inMemory reports whether the file's file system has no device behind it.
func (f *File) inMemory() bool {
	if f.volume == nil {
		return false
	}
	a := f.volume.memory.Load()
	if a == unknown {
		a = no
		switch f.fileSystem() {
		case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
			f.volume.ram.Store(yes)
			a = yes
		case unix.HUGETLBFS_MAGIC, unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC:
			a = yes
		case unix.BTRFS_SUPER_MAGIC:
			f.volume.cow.Store(yes)
		}
		f.volume.memory.Store(a)
	}
	return a == yes
}

// fileSystem returns the magic number of the file's file system, 0 if it is not told.
func (f *File) fileSystem() uint32 {
	var st unix.Statfs_t
	if unix.Fstatfs(f.fd, &st) != nil {
		return 0
	}
	return uint32(st.Type)
}

// learn finds out what kind of file system the file is on, and, at its second transfer, whether it is
// in memory for good. That is asked for each file: reading memory is a system call that the scheduler is
// not told of, and the number of a file system, by which its volume was found, may have been another's
// before.
func (f *File) learn() {
	f.inMemory()
	if f.volume.ram.Load() != yes || f.ram.CompareAndSwap(unknown, once) || f.ram.Load() != once {
		return
	}
	switch f.fileSystem() {
	case unix.TMPFS_MAGIC:
		var system unix.Sysinfo_t
		if unix.Sysinfo(&system) == nil && system.Totalswap == 0 {
			f.ram.Store(yes)
			return
		}
	case unix.RAMFS_MAGIC:
		f.ram.Store(yes)
		return
	default:
		f.volume.ram.Store(no)
		f.volume.memory.Store(unknown)
	}
	f.ram.Store(no)
}

// blockingRoadHelps reports whether an operation that failed on a ring with errno may succeed as a
// system call: the kernel or the file system does not know it, not in this form, or there is a
// shortage that a ring does not wait for. If it fails there too, that error is the right one.
func blockingRoadHelps(errno syscall.Errno) bool {
	switch errno {
	case syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.EAGAIN, syscall.EINTR, syscall.ECANCELED:
		return true
	case syscall.EFAULT: // the threads that submitted it have ended, again and again
		return true
	case syscall.EBADF: // a file without offsets, ESPIPE, and one not open for writing are not told apart
		return true
	}
	return false
}

// blockingCall carries op out by system calls that hold the thread, behind the first n bytes. The
// error is what the caller of File gets.
func (f *File) blockingCall(op *operation, n int, word string) (int, error) {
	var call func() error
	switch op.code {
	case opReadv, opWritev:
		return f.vectorBlocking(op, n, word)
	case opPath:
		return 0, op.path.block()
	case opFsync, opFdatasync:
		f.inMemory() // for the next one's choice of roads
		return 0, f.flush(op.code)
	case opTruncate:
		return 0, f.os.Truncate(op.length)
	case opAllocate:
		call = func() error { return unix.Fallocate(f.fd, op.arg, op.off, op.length) }
	case opPrefetch:
		call = func() error { return unix.Fadvise(f.fd, op.off, op.length, unix.FADV_WILLNEED) }
	default:
		return f.transferBlocking(op, n)
	}
	return 0, f.wrap(word, retryEINTR(call))
}

// vectorBlocking is blockingCall for several buffers.
func (f *File) vectorBlocking(op *operation, n int, word string) (int, error) {
	call := unix.Pwritev
	if op.code.reads() {
		call = unix.Preadv
	}
	for total := op.want(); n < total; {
		var room [16][]byte
		vec := room[:0]
		op.pieces(n, total-n, func(p []byte) {
			if len(vec) < maxIovecs {
				vec = append(vec, p)
			}
		})
		m, err := call(f.fd, vec, op.off+int64(n))
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return n, f.wrap(word, err)
		case m == 0:
			return n, f.outcome(op.code, word, n, int64(total), 0, notCancelled, nil)
		default:
			n += m
		}
	}
	return n, nil
}

// Alignment is what O_DIRECT asks of transfers on a file.
type Alignment struct {
	Memory int // of a buffer's address, in bytes
	Offset int // of a transfer's offset and length, in bytes
	// Reported tells that the kernel named these values (statx(2) with STATX_DIOALIGN, Linux 6.1).
	// Otherwise they are 4096, which suits nearly all devices.
	Reported bool
}

// DirectAlign returns what transfers on this file must look like if it is opened with O_DIRECT.
// The error matches errors.ErrUnsupported if the file cannot be opened so.
func (f *File) DirectAlign() (Alignment, error) {
	if err := f.begin("statx"); err != nil {
		return Alignment{}, err
	}
	defer f.end()
	var st unix.Statx_t
	err := unix.Statx(f.fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return Alignment{Memory: 4096, Offset: 4096}, nil
	}
	if st.Dio_mem_align == 0 || st.Dio_offset_align == 0 {
		return Alignment{}, f.wrap("statx", syscall.EOPNOTSUPP)
	}
	return Alignment{Memory: int(st.Dio_mem_align), Offset: int(st.Dio_offset_align), Reported: true}, nil
}

// uringForbidden returns why io_uring must not even be tried, nil if it may be.
func uringForbidden() *UnavailableError {
	if runtime.GOOS == "android" {
		return &UnavailableError{Op: "android", Err: syscall.EPERM,
			Hint: "Android kills programs that try io_uring, so it is not tried"}
	}
	return nil
}

// readFacts reads what explains a refused io_uring.
func readFacts() systemFacts {
	facts := systemFacts{uringDisabled: -1, release: "unknown", memlock: "unknown"}
	if b, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			facts.uringDisabled = n
		}
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		facts.release = unix.ByteSliceToString(uts.Release[:])
	}
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim) == nil {
		facts.memlock = "unlimited"
		if lim.Cur != unix.RLIM_INFINITY {
			facts.memlock = strconv.FormatUint(uint64(lim.Cur), 10) + " bytes"
		}
	}
	return facts
}
