package main

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// accessTime returns when a file was last read.
func accessTime(info os.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Atim.Unix())
	}
	return time.Time{} // Chtimes leaves it alone
}

// keepLinkTimes gives a symbolic link the times of another.
func keepLinkTimes(src, dst string) error {
	var st unix.Stat_t
	if err := unix.Lstat(src, &st); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, dst, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}
