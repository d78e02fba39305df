package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/acl"
	"github.com/ringfile/ringfile/internal/sysio"
)

// makeSpecial makes a FIFO, socket or device like src. See mknod(2).
func makeSpecial(src, dst string) error {
	var st unix.Stat_t
	if err := sysio.RetryEINTR(func() error { return unix.Lstat(src, &st) }); err != nil {
		return err
	}
	return sysio.RetryEINTR(func() error { return unix.Mknod(dst, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)) })
}

// keep gives dst, which is no regular file, the permissions and times of src, which info describes, and its
// owner if that is wanted. What is refused does not keep the rest.
func keep(dst, src string, info os.FileInfo, owner bool) error {
	st := info.Sys().(*syscall.Stat_t)
	chown, follow := os.Chown, 0
	link := info.Mode()&os.ModeSymlink != 0
	if link {
		chown, follow = os.Lchown, unix.AT_SYMLINK_NOFOLLOW
	}
	mode := info.Mode() &^ (os.ModeSetuid | os.ModeSetgid)
	var refused error
	if owner {
		err := chown(dst, int(st.Uid), int(st.Gid))
		switch {
		case err == nil:
			mode = info.Mode()
		case os.Geteuid() == 0 || !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL):
			refused = err
		default: // nobody else may give files away, and cp -p says nothing of it
			chown(dst, -1, int(st.Gid))
		}
	}
	if !link {
		refused = errors.Join(refused, keepAccess(dst, src, mode))
	}
	times := []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
	return errors.Join(refused, call("chtimes", dst, func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, dst, times, follow)
	}))
}

// keepAccess gives dst a mode, and the access control lists of src.
func keepAccess(dst, src string, mode os.FileMode) error {
	list := readList(src, acl.Access)
	refused := setList(dst, acl.Access, list)
	if refused != nil {
		// Without the list the mode would let users do more than both together did.
		mode = list.Narrow(mode)
		if err := setList(dst, acl.Access, nil); err != nil {
			return errors.Join(refused, err) // under a list of its own dst must not get that mode
		}
	}
	if mode.IsDir() {
		refused = errors.Join(refused, setList(dst, acl.Default, readList(src, acl.Default)))
		if st, err := os.Stat(dst); err == nil {
			mode |= st.Mode() & os.ModeSetgid // inherited from the directory that it is in
		}
	}
	return errors.Join(refused, os.Chmod(dst, mode))
}

func readList(name, attr string) acl.List {
	return acl.Read(func(p []byte) (int, error) { return unix.Getxattr(name, attr, p) })
}

// setList gives the file named an access control list, or, if that is nil, takes away what it has.
func setList(name, attr string, list acl.List) error {
	if list != nil {
		return call("setxattr", name, func() error { return unix.Setxattr(name, attr, list, 0) })
	}
	if readList(name, attr) == nil {
		return nil
	}
	if attr == acl.Access { // the group's bits are the list's mask until it is gone
		if err := os.Chmod(name, 0o700); err != nil {
			return err
		}
	}
	return call("setxattr", name, func() error { return unix.Removexattr(name, attr) })
}

// call makes a system call about the file named.
func call(op, name string, fn func() error) error {
	if err := sysio.RetryEINTR(fn); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}
