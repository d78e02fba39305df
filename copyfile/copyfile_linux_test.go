package copyfile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
)

// sameHoles checks that a copy takes no more room than its source, but for what a file system may
// do at the edges.
func sameHoles(t *testing.T, name, dst, src string) {
	t.Helper()
	blocks := func(name string) int64 {
		var st unix.Stat_t
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Sync() // so that the file system has decided where it goes
		if err := unix.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	if got, want := blocks(dst), blocks(src); got > want+128<<10 {
		t.Errorf("%s: the copy takes %d bytes, its source %d", name, got, want)
	}
}

// canClone reports whether files can share blocks where the test has its files.
func canClone(t *testing.T) bool {
	src, err := os.Open(testutil.PatternFile(t, 4096))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(filepath.Join(t.TempDir(), "clone"))
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}

// loopFS makes a file system of the given type and size on a loop device and returns where it is
// mounted, until the test ends.
func loopFS(t *testing.T, kind string, size int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, tool := range []string{"mkfs." + kind, "losetup", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s", tool)
		}
	}
	dir := t.TempDir()
	image, mnt := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	for _, err := range []error{os.WriteFile(image, nil, 0o600), os.Truncate(image, size), os.Mkdir(mnt, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) (string, error) {
		out, err := exec.Command(name, args...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := run("mkfs."+kind, image); err != nil {
		t.Skipf("mkfs.%s: %v: %s", kind, err, out)
	}
	if out, err := run("mount", "-o", "loop", image, mnt); err != nil {
		t.Skipf("mount: %v: %s; the kernel may lack %s or loop devices", err, out, kind)
	}
	t.Cleanup(func() {
		for range 50 {
			out, err := run("umount", mnt) // which detaches the loop device
			if err == nil {
				return
			}
			t.Log(out)
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s stays mounted", mnt)
	})
	return mnt
}

// TestCopySystems copies within and between file systems.
func TestCopySystems(t *testing.T) {
	const size = 400 << 20 // XFS wants 300 MiB
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			defer testutil.Watchdog(t, 5*time.Minute)()
			mnt, home := loopFS(t, kind, size), t.TempDir()
			t.Run("within", func(t *testing.T) { copies(t, mnt, mnt) })
			t.Run("to", func(t *testing.T) { copies(t, home, mnt) })
			t.Run("from", func(t *testing.T) { copies(t, mnt, home) })
		})
	}
	t.Run("tmpfs", func(t *testing.T) {
		home, shm := t.TempDir(), "/dev/shm"
		dir, err := os.MkdirTemp(shm, "ringfile-copy-")
		if err != nil {
			t.Skip(err)
		}
		defer os.RemoveAll(dir)
		t.Run("within", func(t *testing.T) { copies(t, dir, dir) })
		t.Run("to", func(t *testing.T) { copies(t, home, dir) })
		t.Run("from", func(t *testing.T) { copies(t, dir, home) })
	})
}

// TestCopyUnwritten copies files whose extents are allocated but not written, and dirty pages
// whose place is not decided: where SEEK_DATA and SEEK_HOLE are most inventive.
func TestCopyUnwritten(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			mnt := loopFS(t, kind, 400<<20)
			enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
				src, dst := filepath.Join(mnt, "src"), filepath.Join(mnt, "dst")
				f, err := os.OpenFile(src, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				fd := int(f.Fd())
				for _, err := range []error{
					unix.Fallocate(fd, 0, 0, 4<<20),
					unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 4<<20, 8<<20), // beyond the end
					f.Truncate(20<<20 + 3),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
				for _, off := range []int64{0, 1<<20 + 17, 6 << 20, 20 << 20} {
					if _, err := f.WriteAt([]byte("abc"), off); err != nil {
						t.Fatal(err)
					}
				}
				for _, way := range ways {
					n, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached"})
					if n != 20<<20+3 || err != nil {
						t.Fatalf("Copy = %d, %v", n, err)
					}
					sameCopy(t, dst, src)
				}
			})
		})
	}
}

// TestCopyNoSpace fills a small file system.
func TestCopyNoSpace(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			mnt := loopFS(t, kind, 400<<20)
			fill(t, mnt, 12<<20)
			src := testutil.PatternFile(t, 24<<20)
			for _, way := range ways {
				for _, existing := range []bool{false, true} {
					t.Run(fmt.Sprintf("way=%s,existing=%v", way, existing), func(t *testing.T) {
						enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
							dst := filepath.Join(mnt, "dst")
							os.Remove(dst)
							if existing {
								if err := os.WriteFile(dst, []byte("old"), 0o644); err != nil {
									t.Fatal(err)
								}
							}
							_, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached"})
							if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, copyfile.ErrIncomplete) != existing {
								t.Errorf("Copy = %v", err)
							}
							if _, err := os.Stat(dst); existing != (err == nil) {
								t.Errorf("the destination then: %v", err)
							}
						})
					})
				}
			}
		})
	}
}

// fill takes the space of a file system but for left bytes.
func fill(t *testing.T, mnt string, left int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(mnt, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Statfs(mnt, &st); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bfree)*int64(st.Bsize)-left); err != nil {
		t.Fatal(err)
	}
}

// TestCopyPermissions runs as nobody, as root may do everything.
func TestCopyPermissions(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become nobody")
	}
	dir, err := os.MkdirTemp("", "ringfile-copy-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program.test")
	if _, err := copyfile.Copy(t.Context(), program, exe, copyfile.Config{}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"program.test": 0o755, "readonly": 0o444, "secret": 0, "foreign": 0o666,
		"theirs": 0o755 | os.ModeSetuid, ".": 0o777} {
		if name != "." && name != "program.test" {
			os.WriteFile(filepath.Join(dir, name), []byte("contents"), 0o644)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RINGFILE_TEST_CHILD=copy")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func init() { children["copy"] = copyAsNobody }

// copyAsNobody is the child of TestCopyPermissions.
func copyAsNobody() int {
	ctx := context.Background()
	status := 0
	for _, c := range []struct {
		dst, src string
		want     error
	}{
		{"copy of readonly", "readonly", nil},
		{"copy of secret", "secret", os.ErrPermission},
		{"readonly", "program.test", os.ErrPermission},
		{"closed/new", "readonly", os.ErrPermission},
		{"foreign", "readonly", os.ErrPermission}, // its mode cannot be changed; the copy is complete
	} {
		for _, way := range ways {
			os.Remove("copy of readonly")
			_, err := copyfile.Copy(ctx, c.dst, c.src, copyfile.Config{Direct: way == "direct", Uncached: way == "uncached"})
			if !errors.Is(err, c.want) || errors.Is(err, copyfile.ErrIncomplete) {
				fmt.Printf("Copy(%s, %s) = %v, want %v\n", c.dst, c.src, err, c.want)
				status = 1
			}
			if st, err := os.Stat(c.dst); c.want == nil && (err != nil || st.Mode() != 0o444 || st.Size() != 8) {
				fmt.Printf("%s: %v, %v\n", c.dst, st, err)
				status = 1
			}
		}
	}
	// Somebody else's file cannot be kept theirs, and must not become a set-user-ID one of nobody's.
	_, err := copyfile.Copy(ctx, "copy of theirs", "theirs", copyfile.Config{Owner: true})
	if st, err1 := os.Stat("copy of theirs"); err != nil || err1 != nil || st.Mode() != 0o755 {
		fmt.Printf("Copy with Owner = %v; %v, %v\n", err, st, err1)
		status = 1
	}
	if _, err := os.Stat("copy of secret"); !errors.Is(err, os.ErrNotExist) {
		fmt.Printf("copy of secret: %v\n", err)
		status = 1
	}
	return status
}

// TestCopyOwner copies a file of somebody else's with a set-user-ID bit: only with Config.Owner the copy is
// theirs and has the bit.
func TestCopyOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files to others")
	}
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	for _, err := range []error{os.WriteFile(src, []byte("contents"), 0o644), os.Chown(src, 12345, 23456),
		os.Chmod(src, 0o751|os.ModeSetuid|os.ModeSetgid)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, existing := range []bool{false, true} {
		if _, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{Owner: true}); err != nil {
			t.Fatal(err)
		}
		sameCopy(t, dst, src)
		var st unix.Stat_t
		if err := unix.Stat(dst, &st); err != nil || st.Uid != 12345 || st.Gid != 23456 {
			t.Errorf("existing %v: the copy is of %d:%d, %v", existing, st.Uid, st.Gid, err)
		}
	}
	other := filepath.Join(dir, "other")
	if _, err := copyfile.Copy(t.Context(), other, src, copyfile.Config{}); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(other); err != nil || st.Mode() != 0o751 || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("without Owner: %v, %v", st, err)
	}
}
