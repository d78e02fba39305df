package acl

import "syscall"

// The extended attributes that have lists.
const (
	Access  = "system.posix_acl_access"  // who may do what
	Default = "system.posix_acl_default" // the list of what will be made in a directory
)

const maxSize = 64 << 10 // of an attribute

// Read returns the list that get, which is fgetxattr(2) or the like of one of the attributes, puts into p;
// nil if there is none, or none is possible. A sandbox that refuses the call (EPERM, ENOSYS) says neither: then the
// list is Unreadable.
func Read(get func(p []byte) (int, error)) List {
	p := make([]byte, 512) // of 63 entries
	n, err := get(p)
	for err == syscall.EINTR || err == syscall.ERANGE && len(p) < maxSize {
		if err == syscall.ERANGE {
			p = make([]byte, maxSize)
		}
		n, err = get(p)
	}
	switch err {
	case nil:
		return p[:n]
	case syscall.ENODATA, syscall.EOPNOTSUPP, syscall.EINVAL:
		return nil
	}
	return Unreadable
}
