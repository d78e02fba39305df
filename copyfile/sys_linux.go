package copyfile

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/acl"
	"github.com/ringfile/ringfile/internal/sysio"
)

// openFile opens a file as os.OpenFile does, but does not try to add it to the runtime's poller, which
// would take a third of the system calls for copying a small file.
func openFile(name string, flag int, perm fs.FileMode) (f *os.File, err error) {
	err = sysio.RetryEINTR(func() error {
		fd, err := unix.Open(name, flag|unix.O_CLOEXEC|unix.O_LARGEFILE, uint32(perm.Perm()))
		if err == nil {
			f = os.NewFile(uintptr(fd), name)
		}
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

// control makes system calls on the descriptor of f, which stays open in the meantime.
func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if conn.Control(func(fd uintptr) { err = do(int(fd)) }) != nil {
		return fs.ErrClosed
	}
	return err
}

// between is control for two files.
func between(dst, src *os.File, do func(dst, src int) error) error {
	return control(dst, func(dst int) error {
		return control(src, func(src int) error { return do(dst, src) })
	})
}

// setDirect switches O_DIRECT on for f, and reports whether it is on: not where the file system does
// not support it for this file. See statx(2), STATX_DIOALIGN, and fcntl(2), F_SETFL.
func setDirect(f *os.File) bool {
	return control(f, func(fd int) error {
		var st unix.Statx_t
		err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
		if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 && st.Dio_offset_align == 0 {
			return errors.ErrUnsupported
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_DIRECT)
		return err
	}) == nil
}

// clone makes dst share the blocks of src. See ioctl_ficlone(2).
func clone(dst, src *os.File) error {
	return between(dst, src, func(dst, src int) error {
		return sysio.RetryEINTR(func() error { return unix.IoctlFileClone(dst, src) })
	})
}

// copyRange copies up to length bytes at off within the kernel. See copy_file_range(2).
func copyRange(dst, src *os.File, off, length int64) (n int, err error) {
	err = between(dst, src, func(dst, src int) error {
		return sysio.RetryEINTR(func() (err error) {
			from, to := off, off
			n, err = unix.CopyFileRange(src, &from, dst, &to, int(min(length, math.MaxInt32)), 0)
			return err
		})
	})
	return n, err
}

// mayHaveHoles reports whether a file takes less space than its size.
func mayHaveHoles(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Blocks < (st.Size+511)/512
}

// nextData returns the start and the end of the next data at or after off: an empty range at size if
// there is none. Where the file system does not report holes, everything is data. Nobody else may use
// the file position meanwhile.
func nextData(f *os.File, off, size int64) (from, to int64) {
	from, to = off, size // where nothing is known, reading tells
	control(f, func(fd int) error {
		start, end, err := sysio.Handle{FD: fd}.NextData(off)
		switch {
		case err == syscall.ENXIO, err == nil && start >= size:
			from = size
		case err == nil:
			from, to = start, min(end, size)
		}
		return nil
	})
	return from, to
}

// ownerOf returns the owner and the group in info, if they are known.
func ownerOf(info fs.FileInfo) (uid, gid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}

// setTimes gives f the access and modification times in info. See utimensat(2).
func setTimes(f *os.File, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	times := []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
	err := control(f, func(fd int) error {
		return sysio.RetryEINTR(func() error { return unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH) })
	})
	if err == syscall.EINVAL || err == syscall.ENOENT { // before Linux 5.8
		return os.Chtimes(f.Name(), time.Unix(st.Atim.Unix()), info.ModTime())
	}
	return wrap("chtimes", f, err)
}

// getACL returns the access control list of f. See fgetxattr(2) and acl(5).
func getACL(f *os.File) (a acl.List) {
	control(f, func(fd int) error {
		a = acl.Read(func(p []byte) (int, error) { return unix.Fgetxattr(fd, acl.Access, p) })
		return nil
	})
	return a
}

// setACL gives f the access control list a or, if that is nil, removes the one it has, and reports
// whether there was something to do. See fsetxattr(2).
func setACL(f *os.File, a acl.List) (done bool, err error) {
	switch {
	case a == nil && getACL(f) == nil:
		return false, nil
	case a != nil && len(a) == 0:
		return true, wrap("getxattr", f, syscall.EIO)
	}
	err = control(f, func(fd int) error {
		if a != nil {
			return sysio.RetryEINTR(func() error { return unix.Fsetxattr(fd, acl.Access, a, 0) })
		}
		// The group's bits are the mask until the list is gone.
		if err := sysio.RetryEINTR(func() error { return unix.Fchmod(fd, 0o600) }); err != nil {
			return err
		}
		return sysio.RetryEINTR(func() error { return unix.Fremovexattr(fd, acl.Access) })
	})
	return true, wrap("setxattr", f, err)
}
