package copyfile

import (
	"encoding/binary"
	"io/fs"
)

// acl is a POSIX access control list, as the extended attribute system.posix_acl_access has it: a
// version, and entries of eight bytes. See the kernel's include/uapi/linux/posix_acl_xattr.h and acl(5).
type acl []byte

// unreadable stands for an access control list of which nothing is known.
var unreadable = acl{}

// The tags of entries.
const (
	aclUser     = 0x02 // a named user
	aclGroupObj = 0x04 // the owning group
	aclGroup    = 0x08 // a named group
	aclMask     = 0x10 // what these three may do at most
)

const (
	aclVersion = 2
	aclHeader  = 4
	aclEntry   = 8
)

// narrow returns what of mode can be given without the list: no user may do with it what the list
// does not let them. In a mode whose file has a list, the group's bits are the list's mask.
func (a acl) narrow(mode fs.FileMode) fs.FileMode {
	if a == nil {
		return mode
	}
	if len(a) < aclHeader || binary.LittleEndian.Uint32(a) != aclVersion {
		return mode & 0o700
	}
	group, other := mode>>3&7, mode&7
	for e := a[aclHeader:]; len(e) >= aclEntry; e = e[aclEntry:] {
		perm := fs.FileMode(binary.LittleEndian.Uint16(e[2:]))
		switch binary.LittleEndian.Uint16(e) {
		case aclGroupObj:
			group &= perm
		case aclUser: // who may be in the owning group
			group &= perm
			other &= perm
		case aclGroup:
			other &= perm
		}
	}
	return mode&0o700 | group<<3 | other
}
