package durable

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/acl"
	"github.com/ringfile/ringfile/internal/sysio"
)

// attributes are the extended attributes of a file that its replacement takes over. See xattr(7).
type attributes struct {
	list  acl.List // its access control list; nil if it has none, Unreadable if nobody but its owner may use it anyway
	named []attribute
}

type attribute struct {
	name  string
	value []byte
}

// isLabel reports whether the attribute is a label of a security module. Other security.* attributes
// describe the content (capabilities, checksums), which is replaced.
func isLabel(name string) bool { return name == "security.selinux" || name == "security.SMACK64" }

// attributesOf reads the attributes of a file with that mode, which is no symbolic link.
func attributesOf(name string, mode fs.FileMode) (a attributes, err error) {
	names, err := readAttribute(func(p []byte) (int, error) { return unix.Llistxattr(name, p) })
	if err != nil {
		return a, fmt.Errorf("reading the names of extended attributes: %w", err)
	}
	var n int
	a.list = acl.Read(func(p []byte) (int, error) {
		n, err = unix.Lgetxattr(name, acl.Access, p)
		return n, err
	})
	// A sandbox may refuse the call. If there is a list the group's bits are its mask: without them it gives nobody
	// anything, and the mode alone gives nobody more.
	if a.list.Unknown() && (!refused(err) || mode&0o077 != 0) {
		return a, fmt.Errorf("reading the access control list: %w", err)
	}
	for attr := range strings.SplitSeq(string(names), "\x00") {
		if !strings.HasPrefix(attr, "user.") && !isLabel(attr) {
			continue
		}
		value, err := readAttribute(func(p []byte) (int, error) { return unix.Lgetxattr(name, attr, p) })
		if err != nil {
			return a, fmt.Errorf("reading the extended attribute %s: %w", attr, err)
		}
		if value != nil { // nobody has removed it meanwhile
			a.named = append(a.named, attribute{attr, value})
		}
	}
	return a, nil
}

// refused reports whether err means that a sandbox refuses the call.
func refused(err error) bool { return err == syscall.EPERM || err == syscall.ENOSYS }

// readAttribute returns what get, which is getxattr(2), listxattr(2) or the like, puts into p; nil if it is not there,
// or the file system has none, or a sandbox does not let us ask.
func readAttribute(get func(p []byte) (int, error)) ([]byte, error) {
	const largest = 64 << 10 // xattr(7)
	for p := make([]byte, 256); ; p = make([]byte, largest) {
		var n int
		err := sysio.RetryEINTR(func() (err error) { n, err = get(p); return err })
		switch {
		case err == nil:
			return p[:n], nil
		case err == syscall.ENODATA, err == syscall.EOPNOTSUPP, refused(err):
			return nil, nil
		case err != syscall.ERANGE || len(p) == largest:
			return nil, err
		}
	}
}

// keepNamed gives f the attributes that have a meaning to programs and to security modules. A label is
// kept if the policy allows it: it often differs harmlessly, as it depends on who created the file.
func (a attributes) keepNamed(f *ringfile.File) error {
	if len(a.named) == 0 {
		return nil
	}
	return control(f, func(fd int) error {
		for _, attr := range a.named {
			if isLabel(attr.name) {
				has, err := readAttribute(func(p []byte) (int, error) { return unix.Fgetxattr(fd, attr.name, p) })
				if err != nil || bytes.Equal(has, attr.value) {
					continue // and no refusal in the system's log
				}
			}
			err := sysio.RetryEINTR(func() error { return unix.Fsetxattr(fd, attr.name, attr.value, 0) })
			if err != nil && !isLabel(attr.name) {
				return fmt.Errorf("keeping the extended attribute %s: %w", attr.name, err)
			}
		}
		return nil
	})
}

// keepAccess gives f, which only its owner may use so far, the access control list, or removes one that
// it has inherited, and sets the mode. In a mode with a list the group bits are the list's mask.
func (a attributes) keepAccess(f *ringfile.File, mode fs.FileMode) error {
	if a.list.Unknown() {
		return f.Chmod(mode) // by which a list that f has inherited gives nobody anything either
	}
	err := control(f, func(fd int) error {
		if a.list != nil {
			return sysio.RetryEINTR(func() error { return unix.Fsetxattr(fd, acl.Access, a.list, 0) })
		}
		if acl.Read(func(p []byte) (int, error) { return unix.Fgetxattr(fd, acl.Access, p) }) == nil {
			return nil
		}
		return sysio.RetryEINTR(func() error { return unix.Fremovexattr(fd, acl.Access) })
	})
	if err != nil {
		return fmt.Errorf("keeping the access control list: %w", err)
	}
	return f.Chmod(mode)
}

// control makes system calls on the descriptor of f, which stays open meanwhile.
func control(f *ringfile.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if err1 := conn.Control(func(fd uintptr) { err = do(int(fd)) }); err1 != nil {
		return err1
	}
	return err
}
