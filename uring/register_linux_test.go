package uring

import (
	"bytes"
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// needReg skips the test if a register call that Linux since has is not there.
func needReg(t testing.TB, since string, err error) {
	t.Helper()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) {
		skipBefore(t, since, err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readSlot reads one byte through a registered file, 0 for an empty slot.
func readSlot(t *testing.T, r *Ring, slot int) byte {
	t.Helper()
	buf := make([]byte, 1)
	c := do(t, r, func(e *SQE) { e.PrepRead(slot, buf, 0); e.SetFlags(SQEFixedFile) })
	if err := c.Err(); err != nil && err != syscall.EBADF {
		t.Error(err)
	}
	return buf[0]
}

func wantSlots(t *testing.T, r *Ring, want string) {
	t.Helper()
	var got []byte
	for slot := range len(want) {
		b := readSlot(t, r, slot)
		if b == 0 {
			b = '-'
		}
		got = append(got, b)
	}
	if string(got) != want {
		t.Errorf("files in the table: got %s, want %s", got, want)
	}
}

func TestProbe(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	p, err := r.Probe()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []Op{OpNop, OpRead, OpWrite, OpFsync, OpOpenat, OpStatx, OpTee} {
		if !p.Supports(op) {
			t.Errorf("%v: not supported, but Linux 5.10 has it", op)
		}
	}
	if p.LastOp < OpTee || p.Supports(255) || !p.Supports(p.LastOp) {
		t.Errorf("last operation: got %v", p.LastOp)
	}
	for op, since := range sinceOp {
		if kernelAtLeast(t, since) && !p.Supports(op) {
			t.Errorf("%v: not supported, but Linux %s has it", op, since)
		}
	}
	// What is not supported fails, in a CQE.
	if !p.Supports(254) {
		mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepNop(); e.Opcode = 254 })
	}
}

func TestRegisterFiles(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	_, a := tempFile(t, []byte("a"))
	_, b := tempFile(t, []byte("b"))
	if err := r.RegisterFiles(nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no files: got %v, want %v", err, syscall.EINVAL)
	}
	if err := r.RegisterFiles([]int32{int32(a), -1, int32(b)}); err != nil {
		t.Fatal(err)
	}
	wantSlots(t, r, "a-b")
	if err := r.RegisterFiles([]int32{-1}); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a second table: got %v, want %v", err, syscall.EBUSY)
	}
	n, err := r.RegisterFilesUpdate(0, []int32{-1, int32(a), int32(a)})
	if n != 3 || err != nil {
		t.Errorf("update: got %d, %v, want 3, nil", n, err)
	}
	wantSlots(t, r, "-aa")
	if kernelAtLeast(t, "5.12") {
		if n, err := r.RegisterFilesUpdate(0, []int32{int32(b), FilesSkip, int32(b)}); n != 3 || err != nil {
			t.Errorf("update with a skip: got %d, %v, want 3, nil", n, err)
		}
		wantSlots(t, r, "bab")
	}
	if _, err := r.RegisterFilesUpdate(2, []int32{-1, -1}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("update beyond the end: got %v, want %v", err, syscall.EINVAL)
	}
	if err := r.UnregisterFiles(); err != nil {
		t.Error(err)
	}
	wantSlots(t, r, "---")
	if err := r.UnregisterFiles(); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("no table: got %v, want %v", err, syscall.ENXIO)
	}
}

func TestRegisterFilesSparse(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	needReg(t, "5.19", r.RegisterFilesSparse(5))
	wantSlots(t, r, "-----")
	path, a := tempFile(t, []byte("a"))
	if _, err := r.RegisterFilesUpdate(1, []int32{int32(a)}); err != nil {
		t.Error(err)
	}
	wantSlots(t, r, "-a---")

	needReg(t, "6.0", r.RegisterFileAllocRange(3, 2))
	name := cstr(path)
	for range 2 {
		if slot := must(t, r, func(e *SQE) {
			e.PrepOpenatDirect(unix.AT_FDCWD, name, unix.O_RDONLY, 0, FileIndexAlloc)
		}); slot < 3 {
			t.Errorf("free slot: got %d, want 3 or 4", slot)
		}
	}
	mustFail(t, r, syscall.ENFILE, func(e *SQE) {
		e.PrepOpenatDirect(unix.AT_FDCWD, name, unix.O_RDONLY, 0, FileIndexAlloc)
	})
	wantSlots(t, r, "-a-aa")
}

func TestRegisterTags(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	if !r.Features().Has(FeatRsrcTags) {
		skipBefore(t, "5.13", FeatRsrcTags)
	}
	_, a := tempFile(t, []byte("a"))
	_, b := tempFile(t, []byte("b"))
	if err := r.RegisterFilesTags([]int32{int32(a), int32(b)}, []uint64{101, 0}); err != nil {
		t.Fatal(err)
	}
	wantSlots(t, r, "ab")
	if n, err := r.RegisterFilesUpdateTags(0, []int32{int32(b)}, []uint64{102}); n != 1 || err != nil {
		t.Errorf("update: got %d, %v, want 1, nil", n, err)
	}
	if c, ok := reap(t, r, 1)[101]; !ok || c.Res != 0 {
		t.Errorf("tag of a file that was replaced: got %v", c)
	}
	wantSlots(t, r, "bb")
	if err := r.UnregisterFiles(); err != nil {
		t.Error(err)
	}
	wantUnregisterTag(t, r, 102)

	m := mapBuffer(t, 8192)
	if err := r.RegisterBuffersTags([][]byte{m[:4096], nil}, []uint64{201, 0}); err != nil {
		t.Fatal(err)
	}
	if n, err := r.RegisterBuffersUpdate(0, [][]byte{nil, m[4096:]}, []uint64{0, 202}); n != 2 || err != nil {
		t.Errorf("update: got %d, %v, want 2, nil", n, err)
	}
	if _, ok := reap(t, r, 1)[201]; !ok {
		t.Error("no tag of a buffer that was replaced")
	}
	mustFail(t, r, syscall.EFAULT, func(e *SQE) { e.PrepReadFixed(a, m[:1], 0, 0) })
	if must(t, r, func(e *SQE) { e.PrepReadFixed(a, m[5000:5001], 0, 1) }); m[5000] != 'a' {
		t.Errorf("through the new buffer: got %q", m[5000])
	}
	if err := r.UnregisterBuffers(); err != nil {
		t.Error(err)
	}
	wantUnregisterTag(t, r, 202)
}

// wantUnregisterTag wants the tag of what was in a table that has been unregistered.
func wantUnregisterTag(t *testing.T, r *Ring, tag uint64) {
	t.Helper()
	if !kernelAtLeast(t, "6.13") { // found by running 6.12
		return
	}
	if _, ok := reap(t, r, 1)[tag]; !ok {
		t.Errorf("no tag %d", tag)
	}
}

func TestRegisterBuffers(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	if err := r.RegisterBuffers(nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no buffers: got %v, want %v", err, syscall.EINVAL)
	}
	needReg(t, "5.19", r.RegisterBuffersSparse(3))
	_, fd := tempFile(t, []byte("buffered"))
	m := mapBuffer(t, 4096)
	mustFail(t, r, syscall.EFAULT, func(e *SQE) { e.PrepReadFixed(fd, m[:8], 0, 2) })
	if n, err := r.RegisterBuffersUpdate(2, [][]byte{m}, nil); n != 1 || err != nil {
		t.Fatalf("update: got %d, %v, want 1, nil", n, err)
	}
	if n := must(t, r, func(e *SQE) { e.PrepReadFixed(fd, m[:8], 0, 2) }); n != 8 || string(m[:8]) != "buffered" {
		t.Errorf("got %d, %q", n, m[:8])
	}
	// Memory of Go's heap that stays reachable works, too.
	heap := make([]byte, 8192)
	if _, err := r.RegisterBuffersUpdate(0, [][]byte{heap}, nil); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if must(t, r, func(e *SQE) { e.PrepReadFixed(fd, heap[100:108], 0, 0) }); string(heap[100:108]) != "buffered" {
		t.Errorf("heap buffer: got %q", heap[100:108])
	}
	if err := r.UnregisterBuffers(); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(heap)
}

func TestRegisterRingFD(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := newRing(t, Config{Entries: 4})
	needReg(t, "5.18", r.RegisterRingFD())
	if r.enterFlags != EnterRegisteredRing {
		t.Errorf("flags of an enter: got %v", r.enterFlags)
	}
	if got := must(t, r, func(e *SQE) { e.PrepNop() }); got != 0 {
		t.Errorf("nop: got %d", got)
	}
	if _, err := r.WaitCQEs(1, time.Millisecond); !errors.Is(err, syscall.ETIME) {
		t.Errorf("timed wait: got %v, want %v", err, syscall.ETIME)
	}
	if err := r.UnregisterRingFD(); err != nil {
		t.Error(err)
	}
	if err := r.UnregisterRingFD(); err != nil {
		t.Error("a second time:", err)
	}
	must(t, r, func(e *SQE) { e.PrepNop() })

	// Once more, as the slot is free again.
	if err := r.RegisterRingFD(); err != nil {
		t.Error(err)
	}
	must(t, r, func(e *SQE) { e.PrepNop() })
	if err := r.UnregisterRingFD(); err != nil {
		t.Error(err)
	}
}

func TestRegisterEventFD(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	efd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(efd)
	notified := func() bool {
		var buf [8]byte
		n, _ := unix.Read(efd, buf[:])
		return n == 8
	}
	if err := r.RegisterEventFD(efd); err != nil {
		t.Fatal(err)
	}
	must(t, r, func(e *SQE) { e.PrepNop() })
	if !notified() {
		t.Error("no notification")
	}
	if !r.SetEventFDEnabled(false) {
		skipBefore(t, "5.8", "completion ring flags")
	}
	must(t, r, func(e *SQE) { e.PrepNop() })
	if notified() {
		t.Error("a notification while disabled")
	}
	r.SetEventFDEnabled(true)
	must(t, r, func(e *SQE) { e.PrepNop() })
	if !notified() {
		t.Error("no notification after enabling")
	}
	if err := r.UnregisterEventFD(); err != nil {
		t.Error(err)
	}
	must(t, r, func(e *SQE) { e.PrepNop() })
	if notified() {
		t.Error("a notification after unregistering")
	}

	if err := r.RegisterEventFDAsync(efd); err != nil {
		t.Fatal(err)
	}
	must(t, r, func(e *SQE) { e.PrepNop() })
	if notified() {
		t.Error("a notification for an inline completion")
	}
	must(t, r, func(e *SQE) { e.PrepNop(); e.SetFlags(SQEAsync) })
	// The completion is there before the notification.
	for end := time.Now().Add(10 * time.Second); !notified(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no notification for an asynchronous completion")
		}
	}
	if err := r.UnregisterEventFD(); err != nil {
		t.Error(err)
	}
}

func TestRegisterIOWQMaxWorkers(t *testing.T) {
	runtime.LockOSThread() // the limits are the thread's
	defer runtime.UnlockOSThread()
	r := newRing(t, Config{Entries: 4})
	_, _, err := r.RegisterIOWQMaxWorkers(3, 5)
	needReg(t, "5.15", err)
	if b, u, err := r.RegisterIOWQMaxWorkers(0, 0); b != 3 || u != 5 || err != nil {
		t.Errorf("got %d, %d, %v, want 3, 5, nil", b, u, err)
	}
	if b, u, err := r.RegisterIOWQMaxWorkers(2, 0); b != 3 || u != 5 || err != nil {
		t.Errorf("old limits: got %d, %d, %v, want 3, 5, nil", b, u, err)
	}
	if b, u, err := r.RegisterIOWQMaxWorkers(0, 0); b != 2 || u != 5 || err != nil {
		t.Errorf("got %d, %d, %v, want 2, 5, nil", b, u, err)
	}
}

// TestPersonality opens a file that only root may open, as nobody.
func TestPersonality(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const nobody = 65534
	r := newRing(t, Config{Entries: 4})
	path, _ := tempFile(t, []byte("secret"))
	if err := unix.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := openFD(t, path[:len(path)-len("/file")], unix.O_DIRECTORY) // its parents may be closed to nobody
	name := cstr("file")
	id, err := r.RegisterPersonality()
	if err != nil || id == 0 {
		t.Fatalf("RegisterPersonality: got %d, %v", id, err)
	}
	if err := unix.Fchmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The system call itself changes the thread only, not the process.
	setEUID := func(uid int) {
		t.Helper()
		keep := ^uintptr(0)
		if _, _, errno := syscall.Syscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
			t.Fatal(errno)
		}
	}
	setEUID(nobody)
	defer setEUID(0)
	open := func(e *SQE) { e.PrepOpenat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0) }
	mustFail(t, r, syscall.EACCES, open)
	fd := must(t, r, func(e *SQE) { open(e); e.SetPersonality(id) })
	unix.Close(fd)
	setEUID(0)
	if err := r.UnregisterPersonality(id); err != nil {
		t.Error(err)
	}
	mustFail(t, r, syscall.EINVAL, func(e *SQE) { open(e); e.SetPersonality(id) })
}

func TestRestrictions(t *testing.T) {
	r := newRing(t, Config{Entries: 4, Flags: SetupRDisabled})
	nop(t, r, 1)
	if _, err := r.Submit(); !errors.Is(err, syscall.EBADFD) {
		t.Errorf("Submit to a disabled ring: got %v, want %v", err, syscall.EBADFD)
	}
	if err := r.RegisterRestrictions(nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no restrictions: got %v, want %v", err, syscall.EINVAL)
	}
	if err := r.RegisterRestrictions([]Restriction{
		AllowOp(OpNop), AllowOp(OpRead), AllowSQEFlags(SQEAsync | SQEFixedFile), RequireSQEFlags(SQEFixedFile),
		AllowRegister(RegFiles), AllowRegister(RegEnableRings),
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.EnableRings(); err != nil {
		t.Fatal(err)
	}
	// The entry from before has not the required flag.
	if c := reap(t, r, 1)[1]; c.Err() != syscall.EACCES {
		t.Errorf("without the required flag: got %v, want %v", c.Err(), syscall.EACCES)
	}
	_, fd := tempFile(t, []byte("r"))
	if err := r.RegisterFiles([]int32{int32(fd)}); err != nil {
		t.Error("a register call that is allowed:", err)
	}
	if _, err := r.RegisterFilesUpdate(0, []int32{-1}); !errors.Is(err, syscall.EACCES) {
		t.Errorf("a register call that is not allowed: got %v, want %v", err, syscall.EACCES)
	}
	wantSlots(t, r, "r")
	mustFail(t, r, syscall.EACCES, func(e *SQE) { e.PrepWrite(0, []byte("w"), 0); e.SetFlags(SQEFixedFile) })
	mustFail(t, r, syscall.EACCES, func(e *SQE) {
		e.PrepRead(0, make([]byte, 1), 0)
		e.SetFlags(SQEFixedFile | SQEIODrain)
	})
}

func TestSyncCancel(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	pr, _ := tempPipe(t)
	pr2, _ := tempPipe(t)
	buf := make([]byte, 1)
	for i, fd := range []int{pr, pr, pr2} {
		prepare(t, r, uint64(i), func(e *SQE) { e.PrepRead(fd, buf, OffCurrent) })
	}
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	needReg(t, "6.0", r.SyncCancel(0, -1, 0, Forever))
	canceled(t, reap(t, r, 1)[0])
	if err := r.SyncCancel(0, -1, 0, time.Second); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("what is gone: got %v, want %v", err, syscall.ENOENT)
	}
	if err := r.SyncCancel(0, pr2, CancelFD|CancelAll, time.Second); err != nil {
		t.Error(err)
	}
	canceled(t, reap(t, r, 1)[2])
	if err := r.SyncCancel(0, -1, CancelAny|CancelAll, time.Second); err != nil {
		t.Error(err)
	}
	canceled(t, reap(t, r, 1)[1])
}

func TestRegisterClock(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	needReg(t, "6.12", r.RegisterClock(unix.CLOCK_BOOTTIME))
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	at := time.Duration(now.Nano()) + 20*time.Millisecond
	if _, err := r.EnterTimeout(0, 1, EnterAbsTimer, at, new(WaitArg)); err != syscall.ETIME {
		t.Errorf("got %v, want %v", err, syscall.ETIME)
	}
	if d := time.Since(start); d < 15*time.Millisecond || d > 5*time.Second {
		t.Errorf("a wait of 20ms took %v", d)
	}
	if err := r.RegisterClock(12345); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no such clock: got %v, want %v", err, syscall.EINVAL)
	}
}

// TestRegisterErrors checks what an error says.
func TestRegisterErrors(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	err := r.UnregisterBuffers()
	const want = "io_uring_register UNREGISTER_BUFFERS: no such device or address"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	r2, err := New(Config{Entries: 4})
	if err != nil {
		t.Fatal(err)
	}
	r2.Close()
	if _, err := r2.Probe(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Probe of a closed ring: got %v, want %v", err, syscall.EBADF)
	}
}

func TestRegisterCloneBuffers(t *testing.T) {
	src, dst := newRing(t, Config{Entries: 4}), newRing(t, Config{Entries: 4})
	bufs := [][]byte{mapBuffer(t, 4096), mapBuffer(t, 4096)}
	if err := src.RegisterBuffers(bufs); err != nil {
		t.Fatal(err)
	}
	needReg(t, "5.19", dst.RegisterBuffersSparse(8))
	err := dst.RegisterCloneBuffers(src, 1, 5, 1)
	if errors.Is(err, syscall.EBUSY) {
		t.Skip("needs Linux 6.13: before, only whole tables are cloned, into rings without one")
	}
	needReg(t, "6.13", err)
	path, fd := tempFile(t, pattern(4096))
	if n := must(t, dst, func(e *SQE) { e.PrepReadFixed(fd, bufs[1], 0, 5) }); n != 4096 || !bytes.Equal(bufs[1], pattern(4096)) {
		t.Errorf("read of %s: got %d, or wrong bytes", path, n)
	}
	mustFail(t, dst, syscall.EFAULT, func(e *SQE) { e.PrepReadFixed(fd, bufs[0], 0, 1) })
	if err := src.UnregisterBuffers(); err != nil { // the clone stays
		t.Fatal(err)
	}
	if n := must(t, dst, func(e *SQE) { e.PrepReadFixed(fd, bufs[1], 0, 5) }); n != 4096 {
		t.Errorf("read after the original is gone: got %d", n)
	}
	if err := dst.RegisterCloneBuffers(src, 0, 0, 1); err == nil {
		t.Error("cloned from a table that is gone")
	}
}
