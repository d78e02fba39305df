//go:build unix

package durable

import (
	"io/fs"
	"syscall"

	"github.com/ringfile/ringfile"
)

// syncsDirs: a name is safe once its directory has been synced.
const syncsDirs = true

func identity(info fs.FileInfo) (dev, ino uint64) {
	st := info.Sys().(*syscall.Stat_t)
	return uint64(st.Dev), uint64(st.Ino)
}

// keepOwner gives f the owner and the group of old.
func keepOwner(f *ringfile.File, old fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	want, have := old.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
