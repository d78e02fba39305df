package uring

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newRing returns a ring that is closed when the test ends.
func newRing(t testing.TB, c Config) *Ring {
	t.Helper()
	r, err := tryRing(t, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return r
}

// tryRing is New, again for some time while the kernel has not yet returned the locked memory of
// rings that were closed before. The test is skipped if this kernel or this container has no io_uring
// at all.
func tryRing(t testing.TB, c Config) (*Ring, error) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r, err := New(c)
		if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) {
			t.Skip("no io_uring here:", err)
		}
		if !errors.Is(err, syscall.ENOMEM) || time.Now().After(deadline) {
			return r, err
		}
	}
}

// kernelAtLeast reports whether this kernel's number is version, like "6.9", or higher. Only for
// tests: what a kernel has is probed, and the number says whether it may be missing.
func kernelAtLeast(t testing.TB, version string) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	have, want := parseVersion(unix.ByteSliceToString(u.Release[:])), parseVersion(version)
	return have[0] > want[0] || have[0] == want[0] && have[1] >= want[1]
}

func parseVersion(s string) (v [2]int) {
	for i, part := range strings.SplitN(s, ".", 3)[:2] {
		v[i], _ = strconv.Atoi(strings.TrimRight(part, "abcdefghijklmnopqrstuvwxyz-+"))
	}
	return v
}

// skipBefore skips the test for what missing says is not there; it fails if the kernel is new enough
// to have it, so that a skip cannot hide a regression.
func skipBefore(t testing.TB, version string, missing ...any) {
	t.Helper()
	if kernelAtLeast(t, version) {
		t.Fatal(append([]any{"missing, although Linux", version, "has it:"}, missing...)...)
	}
	t.Skip(append([]any{"needs Linux", version + ":"}, missing...)...)
}

// sinceOp is when operations came that Linux 5.10 does not have.
var sinceOp = map[Op]string{
	OpRenameat: "5.11", OpUnlinkat: "5.11", OpMkdirat: "5.15", OpSymlinkat: "5.15", OpLinkat: "5.15",
	OpMsgRing: "5.18", OpFsetxattr: "5.19", OpSetxattr: "5.19", OpFgetxattr: "5.19", OpGetxattr: "5.19",
	OpReadMultishot: "6.7", OpFutexWait: "6.7", OpFutexWake: "6.7", OpFixedFDInstall: "6.8",
	OpFtruncate: "6.9", OpEpollWait: "6.15", OpReadvFixed: "6.15", OpWritevFixed: "6.15", OpPipe: "6.16",
}

// needOp skips the test if the probe says that the kernel lacks op.
func needOp(t testing.TB, r *Ring, op Op) {
	t.Helper()
	p, err := r.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if p.Supports(op) {
		return
	}
	since := sinceOp[op]
	if since == "" {
		since = "5.10"
	}
	skipBefore(t, since, op)
}

// prepare takes an entry and fills it.
func prepare(t testing.TB, r *Ring, userData uint64, prep func(e *SQE)) *SQE {
	t.Helper()
	e := r.GetSQE()
	if e == nil {
		t.Fatal("no free entry")
	}
	prep(e)
	e.SetUserData(userData)
	return e
}

// reap submits, waits for n completions and returns them by user data.
func reap(t testing.TB, r *Ring, n int) map[uint64]CQE {
	t.Helper()
	got := make(map[uint64]CQE)
	buf := make([]CQE, n)
	for deadline := time.Now().Add(20 * time.Second); n > 0; {
		if _, err := r.SubmitAndWaitTimeout(1, time.Until(deadline)); err != nil {
			t.Fatalf("waiting for %d more completions: %v", n, err)
		}
		k := r.CopyCQEs(buf[:n])
		for _, c := range buf[:k] {
			if _, ok := got[c.UserData]; ok {
				t.Fatalf("a second completion %+v", c)
			}
			got[c.UserData] = c
		}
		n -= k
	}
	return got
}

// do runs one operation and returns its completion.
func do(t testing.TB, r *Ring, prep func(e *SQE)) CQE {
	t.Helper()
	const userData = 0xfeedface12345678
	prepare(t, r, userData, prep)
	c, ok := reap(t, r, 1)[userData]
	if !ok {
		t.Fatal("a completion of something else")
	}
	return c
}

// must runs one operation, which must succeed, and returns its result.
func must(t testing.TB, r *Ring, prep func(e *SQE)) int {
	t.Helper()
	var op Op
	c := do(t, r, func(e *SQE) { prep(e); op = e.Opcode })
	if c.Res < 0 {
		t.Fatalf("%v: %v", op, c.Err())
	}
	return int(c.Res)
}

// mustFail runs one operation, which must fail with want.
func mustFail(t testing.TB, r *Ring, want syscall.Errno, prep func(e *SQE)) {
	t.Helper()
	var op Op
	c := do(t, r, func(e *SQE) { prep(e); op = e.Opcode })
	if c.Err() != want {
		t.Errorf("%v: got %d (%v), want %v", op, c.Res, c.Err(), want)
	}
}

// tempFile returns a new file with the given content, and its descriptor, closed at the end.
func tempFile(t testing.TB, content []byte) (path string, fd int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, openFD(t, path, unix.O_RDWR)
}

func openFD(t testing.TB, path string, flags int) int {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func tempPipe(t testing.TB) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

// cstr is s with a zero byte at the end.
func cstr(s string) *byte { return &append([]byte(s), 0)[0] }

// iovec returns b as an element of a vector.
func unixIovec(b []byte) unix.Iovec {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return v
}

// mapBuffer returns n bytes from mmap, as registered buffers should be.
func mapBuffer(t testing.TB, n int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}

// pattern returns n bytes that differ from place to place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func wantFile(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes %s, want %d bytes %s", filepath.Base(path), len(got), short(got), len(want), short(want))
	}
}

func short(b []byte) string { return fmt.Sprintf("%.40q", b) }

// liveConfigs are the kinds of ring on which every operation is tried.
var liveConfigs = []struct {
	name   string
	since  string // Linux, if not always there
	locked bool   // the ring belongs to one thread
	config Config
}{
	{name: "plain", config: Config{Entries: 16, Wanted: []SetupFlags{}}},
	{name: "default", config: Config{Entries: 16}},
	{name: "sqpoll", since: "5.11", config: Config{Entries: 16, Flags: SetupSQPoll, SQThreadIdleMS: 50}},
	{name: "coop", since: "5.19", config: Config{Entries: 16, Flags: SetupCoopTaskrun | SetupTaskrunFlag}},
	{name: "defer", since: "6.1", locked: true, config: Config{
		Entries: 16, CQEntries: 64, Flags: SetupSingleIssuer | SetupDeferTaskrun,
	}},
}

// eachRing runs f on each kind of ring.
func eachRing(t *testing.T, f func(t *testing.T, r *Ring)) {
	for _, c := range liveConfigs {
		t.Run(c.name, func(t *testing.T) {
			if c.locked {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			r, err := tryRing(t, c.config)
			if errors.Is(err, syscall.EINVAL) && c.since != "" {
				skipBefore(t, c.since, err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			f(t, r)
		})
	}
}
