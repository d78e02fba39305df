package copyfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/copyfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

func init() {
	children["range"] = copyWithoutRange
	children["metadata"] = copyWithoutMetadata
	children["acl"] = copyWithoutACL
}

// runAgain runs this program as a child, in a directory for it.
func runAgain(t *testing.T, child, dir string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RINGFILE_TEST_CHILD="+child)
	out, err := cmd.CombinedOutput()
	if skip, ok := strings.CutPrefix(string(out), "skip: "); ok && err == nil {
		t.Skip(skip)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// refuse makes the kernel refuse system calls, and reports whether it does.
func refuse(errno syscall.Errno, calls ...uint32) bool {
	if err := testutil.RefuseIOUring(errno, calls...); err != nil {
		fmt.Println("skip:", err)
		return false
	}
	return true
}

// check prints what is wrong, and returns the exit status of a child.
func check(ok bool, format string, args ...any) int {
	if ok {
		return 0
	}
	fmt.Printf(format+"\n", args...)
	return 1
}

// TestCopyRangeFails has copy_file_range(2) fail with an error that says nothing about the file, as it
// does on some network file systems: reads and writes copy it.
func TestCopyRangeFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "src"), testutil.PatternBytes(3<<20+5), 0o644); err != nil {
		t.Fatal(err)
	}
	runAgain(t, "range", dir)
}

func copyWithoutRange() int {
	if !refuse(syscall.EIO, unix.SYS_COPY_FILE_RANGE) {
		return 0
	}
	n, err := copyfile.Copy(context.Background(), "dst", "src", copyfile.Config{})
	got, _ := os.ReadFile("dst")
	return check(err == nil && bytes.Equal(got, testutil.PatternBytes(3<<20+5)),
		"Copy = %d, %v; dst has %d bytes", n, err, len(got))
}

// TestCopyMetadataRefused has the mode and the times of the copy be refused, as on file systems that
// have none: the data stays, and the error says what is not as it was.
func TestCopyMetadataRefused(t *testing.T) {
	for _, existing := range []bool{false, true} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "src"), testutil.PatternBytes(200_000), 0o644); err != nil {
			t.Fatal(err)
		}
		if existing {
			if err := os.WriteFile(filepath.Join(dir, "dst"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		runAgain(t, "metadata", dir)
	}
}

func copyWithoutMetadata() (status int) {
	syscall.Umask(0o077) // so that the mode is not there from the start
	if !refuse(syscall.EPERM, unix.SYS_FCHMOD, unix.SYS_UTIMENSAT) {
		return 0
	}
	for _, way := range ways {
		n, err := copyfile.Copy(context.Background(), "dst", "src", copyfile.Config{Direct: way == "direct", Uncached: way == "uncached"})
		var refused *copyfile.MetadataError
		status |= check(errors.As(err, &refused) && errors.Is(err, fs.ErrPermission) &&
			!errors.Is(err, copyfile.ErrIncomplete) && n == 200_000, "way %q: Copy = %d, %v", way, n, err)
		for _, op := range []string{"chmod dst", "chtimes dst"} {
			status |= check(err != nil && strings.Contains(err.Error(), op), "way %q: %v has nothing of %s", way, err, op)
		}
		got, err := os.ReadFile("dst")
		status |= check(bytes.Equal(got, testutil.PatternBytes(200_000)), "way %q: dst has %d bytes, %v", way, len(got), err)
		st, err := os.Stat("dst")
		status |= check(err == nil && st.Mode() == 0o600, "way %q: dst: %v, %v", way, st, err)
	}
	return status
}

// The access control list of the tests: the group may read, the user with the given number may write, and
// so the mask, which the mode shows as the group's bits, has both.
var (
	testACL = "\x02\x00\x00\x00" +
		"\x01\x00\x06\x00\xff\xff\xff\xff" + // owner: rw-
		"\x02\x00\x06\x00\x39\x30\x00\x00" + // user 12345: rw-
		"\x04\x00\x04\x00\xff\xff\xff\xff" + // owning group: r--
		"\x10\x00\x06\x00\xff\xff\xff\xff" + // mask: rw-
		"\x20\x00\x04\x00\xff\xff\xff\xff" // others: r--
	aclAttr        = "system.posix_acl_access"
	aclDefaultAttr = "system.posix_acl_default"
)

// listOf returns the access control list of a file, "" if it has none.
func listOf(name string) string {
	buf := make([]byte, 1000)
	n, err := unix.Getxattr(name, aclAttr, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// aclFile makes a file with the list of the tests, and skips the test where there are none.
func aclFile(t *testing.T) (dir, name string) {
	t.Helper()
	dir = t.TempDir()
	name = filepath.Join(dir, "src")
	if err := os.WriteFile(name, []byte("contents"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(name, aclAttr, []byte(testACL), 0); err != nil {
		t.Skipf("no access control lists here: %v", err)
	}
	if st, err := os.Stat(name); err != nil || st.Mode() != 0o664 {
		t.Fatalf("%v, %v: the mode is to show the mask", st, err)
	}
	return dir, name
}

// TestCopyACL copies a file with an access control list: the copy has the same one.
func TestCopyACL(t *testing.T) {
	dir, src := aclFile(t)
	for _, existing := range []bool{false, true} { // the second time it exists
		dst := filepath.Join(dir, "dst")
		if _, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{}); err != nil {
			t.Fatal(err)
		}
		if got := listOf(dst); got != testACL {
			t.Errorf("existing %v: the copy has the list %q, want %q", existing, got, testACL)
		}
		sameCopy(t, dst, src)
	}
}

// TestCopyACLInherited copies a file without an access control list to where new files get one, and to
// one that has one: the copy lets nobody do what the source does not.
func TestCopyACLInherited(t *testing.T) {
	dir, existing := aclFile(t)
	if err := unix.Setxattr(dir, aclDefaultAttr, []byte(testACL), 0); err != nil {
		t.Fatal(err)
	}
	src := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(src, []byte("plain"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, dst := range []string{existing, filepath.Join(dir, "new")} {
		if _, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{}); err != nil {
			t.Fatal(err)
		}
		if got := listOf(dst); got != "" {
			t.Errorf("the copy has the list %q, its source none", got)
		}
		sameCopy(t, dst, src)
	}
}

// TestCopyACLRefused has the list of the copy be refused: then its mode must not say more than the list
// and the mode of the source.
func TestCopyACLRefused(t *testing.T) {
	dir, _ := aclFile(t)
	runAgain(t, "acl", dir)
}

func copyWithoutACL() int {
	if !refuse(syscall.EOPNOTSUPP, unix.SYS_FSETXATTR) {
		return 0
	}
	_, err := copyfile.Copy(context.Background(), "dst", "src", copyfile.Config{})
	var refused *copyfile.MetadataError
	status := check(errors.As(err, &refused) && errors.Is(err, errors.ErrUnsupported), "Copy = %v", err)
	st, err := os.Stat("dst")
	return status | check(err == nil && st.Mode() == 0o644, "dst: %v, %v", st, err)
}

func init() { children["killed"] = copyAndDie }

// copyAndDie is the child of TestCopyKilled: it kills itself when some of the file has been copied.
func copyAndDie() int {
	c := copyfile.Config{
		Direct:   os.Getenv("RINGFILE_TEST_WAY") == "direct",
		Uncached: os.Getenv("RINGFILE_TEST_WAY") == "uncached",
		Progress: func(int64) { syscall.Kill(os.Getpid(), syscall.SIGKILL) },
	}
	_, err := copyfile.Copy(context.Background(), "dst", "src", c)
	fmt.Println("it was not killed:", err)
	return 1
}

// TestCopyKilled kills copies half-way: what is left has not the size of the source, so that everybody
// who looks can tell, also where holes and O_DIRECT make the file long before it is full.
func TestCopyKilled(t *testing.T) {
	for _, shape := range []copyShape{
		{"whole", 9<<20 + 777, [][2]int64{{0, 9<<20 + 777}}},
		{"whole blocks", 9 << 20, [][2]int64{{0, 9 << 20}}},
		{"hole at the end", 9 << 20, [][2]int64{{0, 1 << 20}}},
		{"holes", 9 << 20, [][2]int64{{1 << 20, 2 << 20}, {8 << 20, 9 << 20}}},
	} {
		for _, way := range ways {
			dir := t.TempDir()
			shape.make(t, filepath.Join(dir, "src"))
			if shape.name == "holes" {
				shape.make(t, filepath.Join(dir, "dst")) // it existed before
			}
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(exe)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "RINGFILE_TEST_CHILD=killed", "RINGFILE_TEST_WAY="+way)
			out, err := cmd.CombinedOutput()
			if err == nil || len(out) > 0 {
				t.Fatalf("%v: %s", err, out)
			}
			st, err := os.Stat(filepath.Join(dir, "dst"))
			if err != nil || st.Size() >= shape.size {
				t.Errorf("%s, way %q: the killed copy has %d bytes of %d, %v", shape.name, way, st.Size(), shape.size, err)
			}
		}
	}
}
