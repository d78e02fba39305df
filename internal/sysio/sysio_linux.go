package sysio

import (
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/uring"
)

// SyscallHelps reports whether an operation that failed on a ring with errno may succeed as a system
// call: the kernel or the file system does not know it, not in this form, or there is a shortage that a
// ring does not wait for. If it fails there too, that error is the right one.
func SyscallHelps(errno syscall.Errno) bool {
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

// RetryEINTR makes a system call until no signal interrupts it.
func RetryEINTR(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// underTest tells a test binary.
var underTest = len(os.Args) > 0 && strings.HasSuffix(os.Args[0], ".test")

// Open opens a file as os.OpenFile does, with half the system calls: what it is decides whether it goes
// to the runtime's poller, where os finds that out by trying. The error is a *fs.PathError.
func Open(name string, flag int, perm fs.FileMode) (Handle, Status, error) {
	if underTest {
		os.Stat(name) // so that go test knows on what a cached result depends, as os.OpenFile tells it
	}
	var fd int
	err := RetryEINTR(func() (err error) {
		fd, err = syscall.Open(name, flag|syscall.O_CLOEXEC|unix.O_LARGEFILE, syscallMode(perm))
		return err
	})
	if err != nil {
		return Handle{}, Status{}, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	var st unix.Stat_t
	var status Status
	if fstat(fd, &st) == nil {
		status = statusOf(fd, &st, flag)
	}
	pollable := status.Known && !status.Seekable && st.Mode&unix.S_IFMT != unix.S_IFDIR || status.mayBlock
	// os.NewFile takes a descriptor in non-blocking mode for one to be polled.
	pollable = pollable && flag&syscall.O_NONBLOCK == 0 && syscall.SetNonblock(fd, true) == nil
	h := Handle{OS: os.NewFile(uintptr(fd), name), FD: fd}
	if pollable {
		if setNoDeadline(h.OS) == nil {
			status.Nonblock = true
			status.Seekable = false
		} else {
			syscall.SetNonblock(fd, false) // it cannot be polled
		}
	}
	return h, status, nil
}

// fstat is fstat(2). A file server may let signals interrupt it.
func fstat(fd int, st *unix.Stat_t) error {
	return RetryEINTR(func() error { return unix.Fstat(fd, st) })
}

// Adopt finds out what an open file is.
func Adopt(f *os.File) (Handle, Status) {
	h := Handle{OS: f, FD: -1}
	var status Status
	if conn, err := f.SyscallConn(); err == nil {
		conn.Control(func(fd uintptr) {
			h.FD = int(fd)
			var st unix.Stat_t
			if fstat(h.FD, &st) != nil {
				return
			}
			if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil {
				status = statusOf(h.FD, &st, flags)
			}
		})
	}
	if status.mayBlock && setNoDeadline(f) == nil {
		status.Seekable = false
	}
	return h, status
}

// statusOf makes a Status from the results of fstat and fcntl.
func statusOf(fd int, st *unix.Stat_t, flags int) Status {
	s := Status{Known: true, Device: uint64(st.Dev), Append: flags&unix.O_APPEND != 0, Direct: flags&unix.O_DIRECT != 0}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.Stored, s.Seekable, s.mayBlock = true, true, mayBlock(fd, st)
		s.Size = st.Size
	case unix.S_IFDIR:
		s.Stored = true
	case unix.S_IFBLK:
		s.Stored, s.Seekable, s.Block, s.Device = true, true, true, uint64(st.Rdev)
	}
	return s
}

// mayBlock reports whether a regular file may be one whose reads wait for an event, like those of
// /proc/kmsg and of tracefs's trace_pipe: such files are not on a device, report size zero, and can be
// polled. A file on disk is never asked.
func mayBlock(fd int, st *unix.Stat_t) bool {
	if st.Size != 0 || unix.Major(uint64(st.Dev)) != 0 {
		return false
	}
	var sys unix.Statfs_t
	if unix.Fstatfs(fd, &sys) != nil {
		return false
	}
	switch uint32(sys.Type) {
	case unix.PROC_SUPER_MAGIC, unix.TRACEFS_MAGIC, unix.DEBUGFS_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		return true
	}
	return false
}

// syscallMode returns the bits of open(2) for a mode.
func syscallMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= syscall.S_ISUID
	}
	if m&fs.ModeSetgid != 0 {
		bits |= syscall.S_ISGID
	}
	if m&fs.ModeSticky != 0 {
		bits |= syscall.S_ISVTX
	}
	return bits
}

// SetBlocking puts the descriptor into blocking mode.
func (h Handle) SetBlocking() { syscall.SetNonblock(h.FD, false) }

// Pread reads into p at off, or with OffCurrent at the file position, as much as there is, or with once what
// one read gives; at the end of the file it returns io.EOF.
func (h Handle) Pread(p []byte, off int64, once bool) (n int, err error) {
	for {
		var m int
		rest := p[n:][:min(len(p)-n, MaxTransfer)]
		if off == OffCurrent {
			m, err = unix.Read(h.FD, rest)
		} else {
			m, err = unix.Pread(h.FD, rest, off+int64(n))
		}
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, io.EOF
		}
		if n += m; n == len(p) || once {
			return n, nil
		}
	}
}

// Seek moves the file position, of a file that is no directory.
func (h Handle) Seek(off int64, whence int) (pos int64, err error) {
	err = RetryEINTR(func() (err error) { pos, err = unix.Seek(h.FD, off, whence); return err })
	return pos, err
}

// Pwrite writes p at off; with OffCurrent at the file position.
func (h Handle) Pwrite(p []byte, off int64) (n int, err error) {
	for {
		var m int
		rest := p[n:][:min(len(p)-n, MaxTransfer)]
		if off == OffCurrent {
			m, err = unix.Write(h.FD, rest)
		} else {
			m, err = unix.Pwrite(h.FD, rest, off+int64(n))
		}
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, io.ErrUnexpectedEOF
		}
		if n += m; n == len(p) {
			return n, nil
		}
	}
}

// Preadv reads into the buffers of vec, as many as one call takes, at off.
func (h Handle) Preadv(vec [][]byte, off int64) (n int, err error) {
	err = RetryEINTR(func() (err error) { n, err = unix.Preadv(h.FD, vec, off); return err })
	return max(n, 0), err
}

// Pwritev writes the buffers of vec, as many as one call takes, at off.
func (h Handle) Pwritev(vec [][]byte, off int64) (n int, err error) {
	err = RetryEINTR(func() (err error) { n, err = unix.Pwritev(h.FD, vec, off); return err })
	return max(n, 0), err
}

// PreadvNowait is Preadv of what is in the page cache. See PreadNowait.
func (h Handle) PreadvNowait(vec [][]byte, off int64) (int, syscall.Errno) {
	n, err := unix.Preadv2(h.FD, vec, off, unix.RWF_NOWAIT)
	if err != nil {
		errno, _ := err.(syscall.Errno)
		return 0, errno
	}
	return n, 0
}

// Sync is fsync(2), or fdatasync(2) if only the data and what is needed to read it back matter.
func (h Handle) Sync(dataOnly bool) error {
	for {
		err := error(nil)
		if dataOnly {
			err = unix.Fdatasync(h.FD)
		} else {
			err = unix.Fsync(h.FD)
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// Modes of Allocate, see fallocate(2).
const (
	KeepSize  = unix.FALLOC_FL_KEEP_SIZE
	ZeroRange = unix.FALLOC_FL_ZERO_RANGE
	PunchHole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
)

// Allocate is fallocate(2).
func (h Handle) Allocate(mode uint32, off, length int64) error {
	return RetryEINTR(func() error { return unix.Fallocate(h.FD, mode, off, length) })
}

// NextData returns where the data begins and ends that is at off or the next behind it: ENXIO if there is none,
// EINVAL where the file system does not tell. It moves the file position and puts it back: nobody else may use it
// meanwhile.
func (h Handle) NextData(off int64) (start, end int64, err error) {
	pos, err := h.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, 0, err
	}
	if start, err = h.Seek(off, unix.SEEK_DATA); err == nil {
		end, err = h.Seek(start, unix.SEEK_HOLE)
	}
	if err == nil && (start < off || end <= start) {
		err = syscall.EINVAL // the file has changed meanwhile, or the file system talks nonsense
	}
	if _, err1 := h.Seek(pos, io.SeekStart); err == nil {
		err = err1
	}
	return start, end, err
}

// Writeback has the kernel start to write a range back (sync_file_range(2)): EOPNOTSUPP where it is not known to.
// Elsewhere the call may do nothing (overlayfs, ZFS) or say nothing of what else would have to be stored (NFS, FUSE).
// Without SYNC_FILE_RANGE_WAIT_BEFORE, which would take the report of data that could not be written away from the
// next fsync(2).
func (h Handle) Writeback(off, length int64) error {
	var st unix.Statfs_t
	if err := RetryEINTR(func() error { return unix.Fstatfs(h.FD, &st) }); err != nil {
		return err
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return RetryEINTR(func() error { return unix.SyncFileRange(h.FD, off, length, unix.SYNC_FILE_RANGE_WRITE) })
	}
	return syscall.EOPNOTSUPP
}

// AtomicUnits returns how small and how large an atomic write of the file may be (statx(2) with STATX_WRITE_ATOMIC,
// Linux 6.11), zero if there are none.
func (h Handle) AtomicUnits() (smallest, largest int) {
	var st unix.Statx_t
	err := RetryEINTR(func() error { return unix.Statx(h.FD, "", unix.AT_EMPTY_PATH, unix.STATX_WRITE_ATOMIC, &st) })
	if err != nil || st.Mask&unix.STATX_WRITE_ATOMIC == 0 {
		return 0, 0
	}
	return int(st.Atomic_write_unit_min), int(st.Atomic_write_unit_max)
}

// TimedOut is what a wait on a ring ends with that is over.
const TimedOut = unix.ETIME

// WriteAtomic is RWF_ATOMIC.
const WriteAtomic = unix.RWF_ATOMIC

// Advise is posix_fadvise(2).
func (h Handle) Advise(off, length int64, advice int) error {
	return RetryEINTR(func() error { return unix.Fadvise(h.FD, off, length, advice) })
}

// Cached returns how many bytes of the range are in the page cache, in whole pages. See cachestat(2), Linux 6.5.
func (h Handle) Cached(off, length int64) (int64, error) {
	var st unix.Cachestat_t
	err := RetryEINTR(func() error {
		return unix.Cachestat(uint(h.FD), &unix.CachestatRange{Off: uint64(off), Len: uint64(length)}, &st, 0)
	})
	return int64(st.Cache) * int64(os.Getpagesize()), err
}

// Length returns how large the file is now; a device's size is never exceeded.
func (h Handle) Length() (int64, bool) {
	var st unix.Stat_t
	if fstat(h.FD, &st) != nil {
		return 0, false
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return math.MaxInt64, true
	}
	return st.Size, true
}

// Medium returns what the file's file system keeps its data on.
func (h Handle) Medium() Medium {
	var st unix.Statfs_t
	if unix.Fstatfs(h.FD, &st) != nil {
		return MediumDevice
	}
	switch uint32(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.HUGETLBFS_MAGIC, unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC:
		return MediumMemory
	case unix.BTRFS_SUPER_MAGIC:
		return MediumCopyOnWrite
	}
	return MediumDevice
}

// DirectNow reports whether O_DIRECT is on for the descriptor.
func (h Handle) DirectNow() bool {
	flags, err := unix.FcntlInt(uintptr(h.FD), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_DIRECT != 0
}

// Alignment returns what O_DIRECT asks of memory and of offsets, zero if the kernel does not tell
// (statx(2) with STATX_DIOALIGN, Linux 6.1), EOPNOTSUPP if the file cannot be opened so.
func (h Handle) Alignment() (memory, offset int, err error) {
	var st unix.Statx_t
	err = unix.Statx(h.FD, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return 0, 0, nil
	}
	if st.Dio_mem_align == 0 || st.Dio_offset_align == 0 {
		return 0, 0, syscall.EOPNOTSUPP
	}
	return int(st.Dio_mem_align), int(st.Dio_offset_align), nil
}

// PollQueues finds out whether the device below the file has poll queues; known is false if it is no
// single block device.
func (h Handle) PollQueues() (polled, known bool) {
	var st unix.Stat_t
	if fstat(h.FD, &st) != nil {
		return false, false
	}
	dev := uint64(st.Dev)
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		dev = uint64(st.Rdev)
	}
	dir := "/sys/dev/block/" + strconv.Itoa(int(unix.Major(dev))) + ":" + strconv.Itoa(int(unix.Minor(dev)))
	for _, queue := range []string{"/queue/io_poll", "/../queue/io_poll"} { // of a disk, of a partition's disk
		if b, err := os.ReadFile(dir + queue); err == nil {
			return strings.TrimSpace(string(b)) != "0", true
		}
	}
	return false, false
}

// UringForbidden returns the name of the system if io_uring must not even be tried on it, and why.
func UringForbidden() (system, hint string, err error) {
	if runtime.GOOS == "android" {
		return runtime.GOOS, "Android kills programs that try io_uring, so it is not tried", syscall.EPERM
	}
	return "", "", nil
}

// ReadFacts reads what explains a refused io_uring.
func ReadFacts() Facts {
	facts := Facts{UringDisabled: -1, Release: "unknown", Memlock: "unknown"}
	if b, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			facts.UringDisabled = n
		}
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		facts.Release = unix.ByteSliceToString(uts.Release[:])
	}
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim) == nil {
		facts.Memlock = "unlimited"
		if lim.Cur != unix.RLIM_INFINITY {
			facts.Memlock = strconv.FormatUint(uint64(lim.Cur), 10) + " bytes"
		}
	}
	return facts
}

// Iovec is the kernel's description of one buffer.
type Iovec = unix.Iovec

// Describe makes v describe p, which is not empty.
func Describe(v *Iovec, p []byte) {
	v.Base = &p[0]
	v.SetLen(len(p))
}

// PrepReadv and PrepWritev prepare a vectored transfer.
func PrepReadv(e *uring.SQE, fd int, iovs []Iovec, off uint64)  { e.PrepReadv(fd, iovs, off, 0) }
func PrepWritev(e *uring.SQE, fd int, iovs []Iovec, off uint64) { e.PrepWritev(fd, iovs, off, 0) }

// The advice of posix_fadvise(2).
const (
	AdviceNormal     = unix.FADV_NORMAL
	AdviceRandom     = unix.FADV_RANDOM
	AdviceSequential = unix.FADV_SEQUENTIAL
	AdviceWillNeed   = unix.FADV_WILLNEED
	AdviceDontNeed   = unix.FADV_DONTNEED
)
