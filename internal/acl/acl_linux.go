package acl

import "syscall"

// The extended attributes that have lists.
const (
	Access  = "system.posix_acl_access"  // who may do what
	Default = "system.posix_acl_default" // the list of what will be made in a directory
)

// Read returns the list that get, which is fgetxattr(2) or the like of one of the attributes, puts into p;
// nil if there is none, or none is possible.
func Read(get func(p []byte) (int, error)) List {
	p := make([]byte, 512) // of 63 entries
	n, err := get(p)
	if err == syscall.ERANGE {
		p = make([]byte, 64<<10) // no attribute is longer
		n, err = get(p)
	}
	switch err {
	case nil:
		return p[:n]
	case syscall.ENODATA, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EPERM, syscall.EINVAL:
		return nil
	}
	return Unreadable
}
