package ringfile

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileInfo is an fs.FileInfo made from the result of statx(2).
type fileInfo struct {
	name string
	mode fs.FileMode
	stat syscall.Stat_t
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.stat.Size }
func (i *fileInfo) Mode() fs.FileMode  { return i.mode }
func (i *fileInfo) ModTime() time.Time { return time.Unix(i.stat.Mtim.Unix()) }
func (i *fileInfo) IsDir() bool        { return i.mode.IsDir() }

// Sys returns a *syscall.Stat_t, as that of os does.
func (i *fileInfo) Sys() any { return &i.stat }

// info returns what a statx has found of the file called name.
func (p *pathCall) info(name string) *fileInfo { return newFileInfo(filepath.Base(name), &p.stat) }

func newFileInfo(name string, sx *unix.Statx_t) *fileInfo {
	i := &fileInfo{name: name, mode: fileMode(uint32(sx.Mode))}
	st := &i.stat
	set(&st.Dev, unix.Mkdev(sx.Dev_major, sx.Dev_minor))
	set(&st.Ino, sx.Ino)
	set(&st.Nlink, sx.Nlink)
	set(&st.Mode, sx.Mode)
	set(&st.Uid, sx.Uid)
	set(&st.Gid, sx.Gid)
	set(&st.Rdev, unix.Mkdev(sx.Rdev_major, sx.Rdev_minor))
	set(&st.Size, sx.Size)
	set(&st.Blksize, sx.Blksize)
	set(&st.Blocks, sx.Blocks)
	setTime(&st.Atim, &sx.Atime)
	setTime(&st.Mtim, &sx.Mtime)
	setTime(&st.Ctim, &sx.Ctime)
	return i
}

type integer interface {
	~int32 | ~uint32 | ~int64 | ~uint64 | ~uint16
}

// set stores a number in a field whose type differs between processors.
func set[D, S integer](dst *D, src S) { *dst = D(src) }

func setTime(dst *syscall.Timespec, src *unix.StatxTimestamp) {
	set(&dst.Sec, src.Sec)
	set(&dst.Nsec, src.Nsec)
}

// fileMode returns what os makes of the mode of an inode.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	switch bits & unix.S_IFMT {
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	}
	if bits&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if bits&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if bits&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// sameInode compares what the kernel identifies files by.
func sameInode(a, b fs.FileInfo) bool {
	x, ok1 := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return ok1 && ok2 && x.Dev == y.Dev && x.Ino == y.Ino
}
