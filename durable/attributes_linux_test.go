package durable

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/acl"
)

// list makes an access control list by which the owner and another user may read and write, the owning group and
// others nothing.
func list(user uint32) []byte {
	p := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, 1<<32 - 1}, {0x02, 6, user}, {0x04, 0, 1<<32 - 1}, {0x10, 6, 1<<32 - 1}, {0x20, 0, 1<<32 - 1}} {
		p = binary.LittleEndian.AppendUint16(p, e.tag)
		p = binary.LittleEndian.AppendUint16(p, e.perm)
		p = binary.LittleEndian.AppendUint32(p, e.id)
	}
	return p
}

// give sets an extended attribute, and skips the test where there are none.
func give(t *testing.T, name, attr string, value []byte) {
	t.Helper()
	if err := unix.Setxattr(name, attr, value, 0); errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EPERM) {
		t.Skipf("%s: %v", attr, err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// attributesIn returns all extended attributes of a file.
func attributesIn(t *testing.T, name string) map[string]string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Listxattr(name, buf)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for attr := range strings.SplitSeq(string(buf[:n]), "\x00") {
		value := make([]byte, 64<<10)
		if attr == "" {
			continue
		}
		n, err := unix.Getxattr(name, attr, value)
		if err != nil {
			t.Fatal(err)
		}
		all[attr] = string(value[:n])
	}
	return all
}

// temporary returns the name of the temporary file in a directory.
func temporary(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, ".*.tmp-*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	return names[0]
}

// TestReplaceList keeps an access control list, and lets nobody use the new file before it has that.
func TestReplaceList(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		give(t, name, acl.Access, list(12345))
		give(t, dir, acl.Default, list(54321)) // for new files
		r, err := On(e).Create(t.Context(), name, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(temporary(t, dir)); err != nil || info.Mode() != 0o600 { // the mask is nothing
			t.Errorf("before Commit: %v, %v", info.Mode(), err)
		}
		r.Write([]byte("new"))
		if err := r.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, name, "new", 0o660, 1) // the group's bits are the mask
		if got := attributesIn(t, name); got[acl.Access] != string(list(12345)) {
			t.Errorf("the attributes are %q", got)
		}
	})
}

// TestReplaceNoList has a file without an access control list in a directory that gives new files one: the user in
// that gets nothing.
func TestReplaceNoList(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o660); err != nil {
			t.Fatal(err)
		}
		give(t, dir, acl.Default, list(54321))
		if err := On(e).ReplaceFile(t.Context(), name, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, name, "new", 0o660, 1)
		if got := attributesIn(t, name); got[acl.Access] != "" {
			t.Errorf("the attributes are %q", got)
		}
		// A new file has it, as all files that are made there.
		name = filepath.Join(dir, "other")
		if err := On(e).ReplaceFile(t.Context(), name, []byte("new"), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := attributesIn(t, name); got[acl.Access] == "" {
			t.Errorf("the attributes of a new file are %q", got)
		}
	})
}

// TestReplaceAttributes keeps attributes of programs and labels, and no others; also for an owner who may not write.
func TestReplaceAttributes(t *testing.T) {
	eachBackend(t, func(t *testing.T, e *ringfile.Engine) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"user.empty": "", "user.mime_type": "text/plain", "user.large": strings.Repeat("x", 1000)}
		for attr, value := range want {
			give(t, name, attr, []byte(value))
		}
		if os.Geteuid() == 0 {
			const label = "security.SMACK64" // one that no policy has a say in, but where Smack runs
			want[label] = "label"
			give(t, name, label, []byte(want[label]))
			give(t, name, "trusted.other", []byte("x"))
			give(t, name, "security.other", []byte("x"))
		}
		if err := os.Chmod(name, 0o400); err != nil {
			t.Fatal(err)
		}
		if err := On(e).ReplaceFile(t.Context(), name, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, name, "new", 0o400, 1)
		got := attributesIn(t, name)
		delete(got, "security.selinux") // which each file has where that runs
		if !maps.Equal(got, want) {
			t.Errorf("the attributes are %q, want %q", got, want)
		}
	})
}

// TestAttributesOfNothing has a file that somebody has removed: it is not taken for one without a list.
func TestAttributesOfNothing(t *testing.T) {
	if _, err := attributesOf(filepath.Join(t.TempDir(), "none"), 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
