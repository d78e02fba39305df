package acl

import (
	"encoding/binary"
	"io/fs"
	"testing"
)

// list makes an access control list of pairs of tags and permissions.
func list(pairs ...uint16) List {
	a := binary.LittleEndian.AppendUint32(nil, version)
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
		list List
		mode fs.FileMode // the group's bits are the mask
		want fs.FileMode
	}{
		{"no list", nil, 0o664, 0o664},
		{"unreadable", Unreadable, 0o664, 0o600},
		{"another version", List{3, 0, 0, 0}, 0o775, 0o700},
		{"mask wider than the group", list(tagGroupObj, 4, tagUser, 6, tagMask, 6), 0o664, 0o644},
		{"mask narrower than the group", list(tagGroupObj, 7, tagUser, 6, tagMask, 4), 0o644, 0o644},
		{"user shut out", list(tagUser, 0, tagGroupObj, 4, tagMask, 4), 0o644, 0o600},
		{"group shut out", list(tagGroupObj, 4, tagGroup, 0, tagMask, 4), 0o644, 0o640},
		{"user shut out by the mask", list(tagUser, 6, tagGroupObj, 4, tagMask, 0), 0o604, 0o600},
		{"group shut out by the mask", list(tagGroupObj, 4, tagGroup, 4, tagMask, 0), 0o604, 0o600},
		{"user, mask narrower than others", list(tagUser, 7, tagGroupObj, 7, tagMask, 5), 0o757, 0o755},
		{"group, mask narrower than others", list(tagGroupObj, 6, tagGroup, 7, tagMask, 4), 0o646, 0o644},
		{"nobody named, others wider than the group", list(tagGroupObj, 4), 0o646, 0o646},
		{"bits beside the permissions", list(tagGroupObj, 5), 0o775 | fs.ModeDir | fs.ModeSetgid, 0o755 | fs.ModeDir | fs.ModeSetgid},
		{"half an entry", list(tagGroupObj, 4)[:9], 0o664, 0o664},
	} {
		if got := c.list.Narrow(c.mode); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
