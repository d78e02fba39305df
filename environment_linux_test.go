package ringfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// runChild runs the test binary as the child of that name and returns what it printed. The
// environment says nothing of a backend, unless env does.
func runChild(t *testing.T, name string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "RINGFILE_BACKEND=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, "RINGFILE_TEST_CHILD="+name), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// setupErrors are the answers of io_uring_setup that are met in the wild, and what the explanation
// must name.
var setupErrors = map[syscall.Errno]string{
	syscall.EPERM:      "seccomp",
	syscall.EACCES:     "security policy",
	syscall.ENOSYS:     "Linux 5.10 or newer is needed",
	syscall.EINVAL:     "Linux 5.10 or newer is needed",
	syscall.ENOMEM:     "RLIMIT_MEMLOCK",
	syscall.EMFILE:     "RLIMIT_NOFILE",
	syscall.EOPNOTSUPP: "platform",
}

// TestRefusedIOUring has the kernel refuse each system call of io_uring, in a child: the program works
// on the blocking route, Available says what was refused and what to change, and so does the failure
// where io_uring was insisted on.
func TestRefusedIOUring(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	for errno, hint := range setupErrors {
		for _, call := range []string{"io_uring_setup", "io_uring_enter", "io_uring_register"} {
			if call != "io_uring_setup" && errno != syscall.EPERM && errno != syscall.ENOSYS {
				continue
			}
			t.Run(call+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				checkUnavailable(t, "refuse", []string{call, errno.Error(), hint},
					"REFUSE_CALL="+call, fmt.Sprintf("REFUSE_ERRNO=%d", errno))
			})
		}
	}
}

// TestUnrestricted has a sandbox refuse that rings are restricted: they are used as they are.
func TestUnrestricted(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	if out, err := runChild(t, "unrestricted", "ENV_FILE="+worldFile(t)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func init() {
	children["unrestricted"] = func() int {
		if err := unrestricted(); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
}

func unrestricted() error {
	if err := testutil.RefuseRegister(uint32(uring.RegRestrictions)); err != nil {
		return err
	}
	e, err := ringfile.New(ringfile.Config{Backend: ringfile.BackendURing})
	if err != nil {
		return err
	}
	if err := exercise(e, os.Getenv("ENV_FILE")); err != nil {
		return err
	}
	if s := e.Stats(); s.Rings == 0 || s.Restricted != 0 {
		return fmt.Errorf("%d of %d rings are restricted, want none", s.Restricted, s.Rings)
	}
	return e.Close()
}

// checkUnavailable runs a child that tries to use io_uring with and without insisting.
func checkUnavailable(t *testing.T, how string, want []string, env ...string) {
	t.Helper()
	name := worldFile(t)
	out, err := runChild(t, "environment", append(env, "ENV_HOW="+how, "ENV_FILE="+name)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, who := range []string{"available: ", "insisted: "} {
		_, line, found := strings.Cut(out, who)
		line, _, _ = strings.Cut(line, "\n")
		if !found {
			t.Errorf("no %q in\n%s", who, out)
		}
		for _, w := range want {
			if !strings.Contains(line, w) {
				t.Errorf("%s%q does not name %q", who, line, w)
			}
		}
	}
}

// worldFile makes a file of Pattern, a megabyte, that everybody may open.
func worldFile(t *testing.T) string {
	t.Helper()
	name := testutil.PatternFile(t, 1<<20)
	dir := filepath.Dir(name)
	for file, mode := range map[string]os.FileMode{name: 0o666, dir: 0o755, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// TestDescriptorsExhausted makes an engine where no descriptor is free.
func TestDescriptorsExhausted(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	checkUnavailable(t, "descriptors", []string{"io_uring_setup", syscall.EMFILE.Error(), "RLIMIT_NOFILE"})
}

// TestNoLockedMemory makes an engine for an unprivileged user who may lock no memory. Kernels differ
// in whether they charge rings for that; where they do, the explanation must name the limit.
func TestNoLockedMemory(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	name := worldFile(t)
	out, err := runChild(t, "environment", "ENV_HOW=memlock", "ENV_FILE="+name)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "available: nil") && !strings.Contains(out, "RLIMIT_MEMLOCK, now 0 bytes") {
		t.Errorf("the limit is not named in\n%s", out)
	}
	t.Log(out)
}

func init() {
	children["environment"] = func() int {
		if err := environmentChild(os.Getenv("ENV_HOW"), os.Getenv("ENV_FILE")); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
}

func environmentChild(how, name string) error {
	restore, err := spoil(how)
	if err != nil {
		return err
	}
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		return fmt.Errorf("New without insisting: %w", err)
	}
	why := e.Available()
	fmt.Println("available:", orNil(why))
	os.Setenv("RINGFILE_BACKEND", "uring")
	e2, insisted := ringfile.New(ringfile.Config{})
	fmt.Println("insisted:", orNil(insisted))
	restore()
	if insisted == nil {
		e2.Close()
	}
	if (why == nil) != (e.Backend() == ringfile.BackendURing) || why != nil && !errors.Is(why, errors.ErrUnsupported) {
		return fmt.Errorf("backend %v with Available %v", e.Backend(), why)
	}
	if err := exercise(e, name); err != nil {
		return err
	}
	return e.Close()
}

func orNil(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

// spoil makes io_uring unavailable. restore gives back what the program itself needs.
func spoil(how string) (restore func(), err error) {
	restore = func() {}
	switch how {
	case "refuse":
		var errno syscall.Errno
		fmt.Sscan(os.Getenv("REFUSE_ERRNO"), (*uintptr)(&errno))
		call := map[string]uint32{"io_uring_setup": unix.SYS_IO_URING_SETUP, "io_uring_enter": unix.SYS_IO_URING_ENTER,
			"io_uring_register": unix.SYS_IO_URING_REGISTER}[os.Getenv("REFUSE_CALL")]
		return restore, testutil.RefuseIOUring(errno, call)
	case "descriptors":
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}); err != nil {
			return nil, err
		}
		var held []int
		for {
			fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
			if err != nil {
				break
			}
			held = append(held, fd)
		}
		return func() {
			for _, fd := range held {
				syscall.Close(fd)
			}
		}, nil
	case "memlock":
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}); err != nil {
			return nil, err
		}
		return restore, becomeNobody()
	}
	return nil, fmt.Errorf("ENV_HOW=%q", how)
}

// exercise reads and writes a file of Pattern, a megabyte, in every way.
func exercise(e *ringfile.Engine, name string) error {
	for _, flag := range []int{0, oDirect} {
		f, err := e.OpenFile(name, os.O_RDWR|flag, 0)
		if flag != 0 && errors.Is(err, syscall.EINVAL) {
			continue // the file system has no O_DIRECT
		}
		if err != nil {
			return err
		}
		defer f.Close()
		if err := exerciseFile(f); err != nil {
			return fmt.Errorf("with flag %#x on the %v backend: %w", flag, e.Backend(), err)
		}
	}
	return nil
}

func exerciseFile(f *ringfile.File) error {
	const size = 16 << 10
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	buf := ringfile.AlignedBuffer(size, 4096)
	vec := [][]byte{buf[:4096], buf[4096:]}
	for i, move := range []struct {
		write bool
		call  func(off int64) (int, error)
	}{
		{false, func(off int64) (int, error) { return f.ReadAt(buf, off) }},
		{false, func(off int64) (int, error) { return f.ReadvAt(vec, off) }},
		{false, func(off int64) (int, error) { return f.StartReadAt(buf, off).Await() }},
		{false, func(off int64) (int, error) { return f.ReadAtContext(ctx, buf, off) }},
		{true, func(off int64) (int, error) { return f.WriteAt(buf, off) }},
		{true, func(off int64) (int, error) { return f.WritevAt(vec, off) }},
		{true, func(off int64) (int, error) { return f.StartWriteAt(buf, off).Await() }},
		{true, func(off int64) (int, error) { return f.WriteAtContext(ctx, buf, off) }},
	} {
		off := int64(i) * size
		clear(buf)
		if move.write {
			testutil.Pattern(buf, off)
		}
		n, err := move.call(off)
		if n != size || err != nil {
			return fmt.Errorf("transfer %d: %d, %w", i, n, err)
		}
		if n, err := f.ReadAt(buf, off); n != size || err != nil || testutil.CheckPattern(buf, off) >= 0 {
			return fmt.Errorf("after transfer %d: %d, %w, first wrong byte at %d", i, n, err, testutil.CheckPattern(buf, off))
		}
	}
	if n, err := f.ReadAt(buf, 1<<20); n != 0 || err != io.EOF {
		return fmt.Errorf("read at the end: %d, %w", n, err)
	}
	_, err := f.StartSync().Await()
	return errors.Join(err, f.Sync(), f.Datasync(), f.SyncContext(ctx), f.Allocate(0, 1<<20, 0), f.Advise(0, 1<<20, ringfile.AdviceWillNeed))
}

// TestFileSystemRefuses has a file refuse what the ring's probe promises: files in /proc know neither
// fallocate nor, as regular files go, much else. The answers are those of the system calls.
func TestFileSystemRefuses(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.OpenFile("/proc/self/comm", os.O_RDWR, 0)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		fd := int(f.Fd())
		ctx := t.Context()
		_, future := f.StartDatasync().Await()
		for _, c := range []struct {
			name string
			got  error
			want error
		}{
			{"Allocate", f.Allocate(0, 4096, 0), unix.Fallocate(fd, 0, 0, 4096)},
			{"Sync", f.Sync(), unix.Fsync(fd)},
			{"SyncContext", f.SyncContext(ctx), unix.Fsync(fd)},
			{"StartDatasync", future, unix.Fdatasync(fd)},
			{"Advise", f.Advise(0, 4096, ringfile.AdviceWillNeed), unix.Fadvise(fd, 0, 4096, unix.FADV_WILLNEED)},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
			}
		}
		buf := make([]byte, 64)
		n, err := f.ReadAtContext(ctx, buf, 0)
		if want, _ := os.ReadFile("/proc/self/comm"); n == 0 || !bytes.Equal(buf[:n], want) {
			t.Errorf("read %q, %v, want %q", buf[:n], err, want)
		}
	})
}
