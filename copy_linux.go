package ringfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tryDirect switches O_DIRECT on for f, which nobody else uses yet, if its file system offers that.
func (f *File) tryDirect() {
	if f.class != classDisk {
		return
	}
	if _, err := f.DirectAlign(); errors.Is(err, errors.ErrUnsupported) {
		return
	}
	flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0)
	if err != nil {
		return
	}
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, flags|unix.O_DIRECT); err == nil {
		f.direct = true
	}
}

// between makes a system call on two files, which stay open meanwhile.
func between(dst, src *File, call func(dst, src int) error) error {
	if err := src.begin("read"); err != nil {
		return err
	}
	defer src.end()
	if err := dst.enter("write"); err != nil {
		return err
	}
	defer dst.leave()
	return call(dst.fd, src.fd)
}

// cloneFile makes dst share the blocks of src, and reports whether it does. See ioctl_ficlone(2).
func cloneFile(dst, src *File) bool {
	if dst.volume == nil || dst.volume.clones.Load() == no {
		return false
	}
	err := between(dst, src, func(dst, src int) error { return unix.IoctlFileClone(dst, src) })
	switch err {
	case syscall.EOPNOTSUPP, syscall.ENOTTY, syscall.ENOSYS:
		dst.volume.clones.Store(no)
	}
	return err == nil
}

// copyRange copies up to length bytes at off within the kernel. See copy_file_range(2).
func copyRange(dst, src *File, off, length int64) (n int, err error) {
	err = between(dst, src, func(dst, src int) error {
		return retryEINTR(func() (err error) {
			from, to := off, off
			n, err = unix.CopyFileRange(src, &from, dst, &to, int(length), 0)
			return err
		})
	})
	if err == nil && n > 0 {
		dst.engine.stats.blocking.add(0)
	}
	return n, err
}

// mayHaveHoles reports whether a file takes less room than its size.
func mayHaveHoles(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Blocks < (st.Size+511)/512
}

// nextData returns from where to where, at or behind off, there is data: an empty range at size if
// there is none. Where the file system does not tell, all is data. It moves the file position. See
// lseek(2).
func (f *File) nextData(off, size int64) (from, to int64) {
	if err := f.enter("seek"); err != nil {
		return off, size // reading tells
	}
	defer f.leave()
	from, err := unix.Seek(f.fd, off, unix.SEEK_DATA)
	switch {
	case err == syscall.ENXIO, err == nil && from >= size:
		return size, size
	case err != nil || from < off:
		return off, size
	}
	to, err = unix.Seek(f.fd, from, unix.SEEK_HOLE)
	if err != nil || to <= from { // never go round in a circle
		return from, size
	}
	return from, min(to, size)
}

// setTimes gives f the times of access and modification in info.
func (f *File) setTimes(info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if err := f.enter("chtimes"); err != nil {
		return err
	}
	defer f.leave()
	times := []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
	err := unix.UtimesNanoAt(f.fd, "", times, unix.AT_EMPTY_PATH)
	if err == syscall.EINVAL || err == syscall.ENOENT { // before Linux 5.8
		return os.Chtimes(f.os.Name(), time.Unix(st.Atim.Unix()), info.ModTime())
	}
	if err != nil {
		return f.wrap("chtimes", err)
	}
	return nil
}
