package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// snapshot describes all that is in the directory named: types, modes, owners, sizes, devices, times of
// modification, access control lists, and contents.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(dir, name)
		fmt.Fprintf(&b, "%s %v %d:%d", rel, info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d %x", len(data), sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			text, _ := os.Readlink(name)
			fmt.Fprintf(&b, " %q", text)
		case info.Mode()&fs.ModeDevice != 0:
			fmt.Fprintf(&b, " %d", st.Rdev)
		}
		for _, attr := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
			list := make([]byte, 1000)
			if n, err := unix.Lgetxattr(name, attr, list); err == nil {
				fmt.Fprintf(&b, " %q", list[:n])
			}
		}
		if rel != "." {
			fmt.Fprintf(&b, " %v", info.ModTime().UTC())
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The access control lists of the tests give the user 12345 more than the owning group.
const (
	cpListFile = "\x02\x00\x00\x00" +
		"\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x06\x00\x39\x30\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff" +
		"\x10\x00\x06\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"
	cpListDir = "\x02\x00\x00\x00" +
		"\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x07\x00\x39\x30\x00\x00\x04\x00\x05\x00\xff\xff\xff\xff" +
		"\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"
)

// TestCpAsCoreutils does with ringfile cp what it does with the cp of coreutils beside it, and compares
// what is there then.
func TestCpAsCoreutils(t *testing.T) {
	version, err := exec.Command("cp", "--version").Output()
	if err != nil || !strings.Contains(string(version), "coreutils") {
		t.Skip("there is no cp of GNU coreutils")
	}
	root := os.Getuid() == 0
	base := func(t *testing.T) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.MkdirAll("src/sub", 0o755))
		must(os.MkdirAll("src/sticky", 0o755))
		must(os.Chmod("src/sticky", 0o777|fs.ModeSticky))
		must(os.Mkdir("to", 0o755))
		for name, mode := range map[string]fs.FileMode{"src/a": 0o640, "src/sub/b": 0o755, "src/sub/c": 0o400, "src/empty": 0o666} {
			data := strings.Repeat(name, 20_000)
			if name == "src/empty" {
				data = ""
			}
			must(os.WriteFile(name, []byte(data), 0o600))
			must(os.Chmod(name, mode))
		}
		must(os.Symlink("../a", "src/sub/link"))
		must(os.Symlink("nowhere", "src/dangling"))
		must(unix.Mkfifo("src/fifo", 0o640))
		l, err := net.Listen("unix", "src/socket")
		must(err)
		t.Cleanup(func() { l.Close() })
		if root {
			must(unix.Mknod("src/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
			must(os.Chown("src/a", 12345, 23456))
			must(os.Chown("src/sub", 12345, 23456))
			must(os.Lchown("src/dangling", 12345, 23456))
		}
		old := []unix.Timespec{{Sec: 1_500_000_000, Nsec: 5}, {Sec: 1_400_000_000, Nsec: 123_456_789}}
		must(filepath.WalkDir("src", func(name string, d fs.DirEntry, err error) error {
			must(err)
			return unix.UtimesNanoAt(unix.AT_FDCWD, name, old, unix.AT_SYMLINK_NOFOLLOW)
		}))
	}
	setgid := func(t *testing.T) {
		os.Chmod("src/sticky", 0o755) // cp calls chmod(2) for a sticky directory, which takes the inherited bit away
		if root {
			os.Chown("to", 0, 23456)
		}
		if err := os.Chmod("to", 0o755|fs.ModeSetgid); err != nil {
			t.Fatal(err)
		}
	}
	lists := func(t *testing.T) {
		for _, x := range [][3]string{
			{"src/a", "system.posix_acl_access", cpListFile},
			{"src/sub", "system.posix_acl_access", cpListDir},
			{"src/sub", "system.posix_acl_default", cpListDir},
			{"to", "system.posix_acl_default", cpListDir},
		} {
			if err := unix.Setxattr(x[0], x[1], []byte(x[2]), 0); err != nil {
				t.Skipf("no access control lists here: %v", err)
			}
		}
	}
	inTheWay := func(t *testing.T) {
		os.MkdirAll("to/src/sub", 0o700)
		os.WriteFile("to/src/fifo", []byte("a file"), 0o644)
		os.WriteFile("to/src/sub/link", []byte("a file"), 0o644)
		os.WriteFile("to/src/sub/b", []byte("older, other"), 0o600)
		os.Mkdir("to/src/socket", 0o755)
		os.WriteFile("to/src/sticky", nil, 0o644)
		old := []unix.Timespec{{Sec: 1_300_000_000}, {Sec: 1_300_000_000}}
		for _, name := range []string{"to/src/socket", "to/src/sticky"} { // which stay
			unix.UtimesNanoAt(unix.AT_FDCWD, name, old, 0)
		}
		os.Chmod("to/src/sub", 0o700|fs.ModeSetgid)
	}
	for _, c := range []struct {
		name     string
		prepare  func(t *testing.T)
		ringfile string
		cp       string
	}{
		{"tree", nil, "src to", "-r --preserve=mode,timestamps src to"},
		{"tree, -p", nil, "-p src to", "-rp src to"},
		{"set-group-ID", setgid, "src to", "-r --preserve=mode,timestamps src to"},
		{"set-group-ID, -p", setgid, "-p src to", "-rp src to"},
		{"lists", lists, "src to", "-r --preserve=mode,timestamps src to"},
		{"lists, -p", lists, "-p src to", "-rp src to"},
		{"in the way", inTheWay, "src to", "-r --preserve=mode,timestamps src to"},
		{"flags behind", nil, "src to -p", "src to -rp"},
		{"flags together", nil, "src/a -rp src/empty -- to", "src/a -rp src/empty -- to"},
		{"-t", nil, "-prt to src/a src/sub", "-prt to src/a src/sub"},
		{"--target-directory", nil, "src/a --target-directory to -p", "src/a --target-directory to -p"},
		{"-T", nil, "-T src to -p", "-T src to -rp"},
		{"-v", nil, "src/a to -pv", "src/a to -pv"},
		{"-t no directory", nil, "-p -t src/a src/empty", "-p -t src/a src/empty"},
		{"--preserve", nil, "--preserve src/a to", "--preserve src/a to"},
		{"name of a flag", nil, "-p -- -v to", "-p -- -v to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var dirs, out []string
			for i, flags := range []string{c.ringfile, c.cp} {
				dir := t.TempDir()
				dirs = append(dirs, dir)
				t.Chdir(dir)
				base(t)
				if c.prepare != nil {
					c.prepare(t)
				}
				args := strings.Fields(flags)
				var got result
				if i == 0 {
					got = runHere(t, "", append([]string{"cp", "-q"}, args...)...)
				} else {
					got = runChild(t, exec.Command("cp", args...))
				}
				t.Logf("%s: %+v", flags, got)
				out = append(out, fmt.Sprintf("%d %q %d", got.status, got.stdout, strings.Count(got.stderr, "\n")))
			}
			if out[0] != out[1] {
				t.Errorf("status, output, messages: %s, cp %s", out[0], out[1])
			}
			got, want := snapshot(t, filepath.Join(dirs[0], "to")), snapshot(t, filepath.Join(dirs[1], "to"))
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
