// Package acl has what copies need to know about POSIX access control lists.
package acl

import (
	"encoding/binary"
	"io/fs"
)

// List is a POSIX access control list, as the extended attribute system.posix_acl_access has it: a
// version, and entries of eight bytes. See the kernel's include/uapi/linux/posix_acl_xattr.h and acl(5).
// Nil stands for no list.
type List []byte

// Unreadable stands for a list of which nothing is known.
var Unreadable = List{}

// Unknown reports whether nothing is known of a list.
func (a List) Unknown() bool { return a != nil && len(a) == 0 }

// The tags of entries.
const (
	tagUser     = 0x02 // a named user
	tagGroupObj = 0x04 // the owning group
	tagGroup    = 0x08 // a named group
	tagMask     = 0x10 // what these three may do at most
)

const (
	version    = 2
	headerSize = 4
	entrySize  = 8
)

// Narrow returns what of mode can be given without the list: no user may do with it what the list
// does not let them. In a mode whose file has a list, the group's bits are the list's mask.
func (a List) Narrow(mode fs.FileMode) fs.FileMode {
	if a == nil {
		return mode
	}
	if len(a) < headerSize || binary.LittleEndian.Uint32(a) != version {
		return mode &^ 0o077
	}
	mask, other := mode>>3&7, mode&7
	group := mask
	for e := a[headerSize:]; len(e) >= entrySize; e = e[entrySize:] {
		perm := fs.FileMode(binary.LittleEndian.Uint16(e[2:]))
		switch binary.LittleEndian.Uint16(e) {
		case tagGroupObj:
			group &= perm
		case tagUser: // who may be in the owning group, and without the list may be any other
			group &= perm
			other &= perm & mask
		case tagGroup: // whose members, if they are in the owning group, too, may do what either may
			other &= perm & mask
		}
	}
	return mode&^0o077 | group<<3 | other
}
