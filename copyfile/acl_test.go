package copyfile

import (
	"encoding/binary"
	"io/fs"
	"testing"
)

// list makes an access control list of pairs of tags and permissions.
func list(pairs ...uint16) acl {
	a := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for i := 0; i < len(pairs); i += 2 {
		a = binary.LittleEndian.AppendUint16(a, pairs[i])
		a = binary.LittleEndian.AppendUint16(a, pairs[i+1])
		a = binary.LittleEndian.AppendUint32(a, 1000)
	}
	return a
}

func TestNarrow(t *testing.T) {
	for _, c := range []struct {
		name string
		list acl
		mode fs.FileMode // the group's bits are the mask
		want fs.FileMode
	}{
		{"no list", nil, 0o664, 0o664},
		{"unreadable", unreadable, 0o664, 0o600},
		{"another version", acl{3, 0, 0, 0}, 0o775, 0o700},
		{"mask wider than the group", list(aclGroupObj, 4, aclUser, 6, aclMask, 6), 0o664, 0o644},
		{"mask narrower than the group", list(aclGroupObj, 7, aclUser, 6, aclMask, 4), 0o644, 0o644},
		{"user shut out", list(aclUser, 0, aclGroupObj, 4, aclMask, 4), 0o644, 0o600},
		{"group shut out", list(aclGroupObj, 4, aclGroup, 0, aclMask, 4), 0o644, 0o640},
		{"half an entry", list(aclGroupObj, 4)[:9], 0o664, 0o664},
	} {
		if got := c.list.narrow(c.mode); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
