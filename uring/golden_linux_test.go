package uring

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// goldenCalls prepares what testdata/sqe_golden.tsv lists. An address there is a made-up number; here
// it is a pointer, which the test replaces by that number before it compares: a is ...7788 (or, for
// madvise, ...7000), b is ...ff00, c is 0x0102030405060708.
func goldenCalls(a, b, c *goldenMem) map[string]func(e *SQE) {
	const off = 0x0102030405060708
	const userData, userData2 = 0x1122334455667788, 0x99aabbccddeeff00
	return map[string]func(e *SQE){
		"nop":              func(e *SQE) { e.PrepNop() },
		"readv":            func(e *SQE) { e.PrepReadv(7, a.iovs[:3], off, 0) },
		"readv2":           func(e *SQE) { e.PrepReadv(7, a.iovs[:3], off, unix.RWF_NOWAIT) },
		"writev":           func(e *SQE) { e.PrepWritev(7, a.iovs[:3], off, 0) },
		"writev2":          func(e *SQE) { e.PrepWritev(7, a.iovs[:3], off, unix.RWF_DSYNC) },
		"read":             func(e *SQE) { e.PrepRead(9, a.bytes[:4096], off) },
		"read_off_current": func(e *SQE) { e.PrepRead(9, a.bytes[:4096], OffCurrent) },
		"write":            func(e *SQE) { e.PrepWrite(9, a.bytes[:4096], off) },
		"read_fixed":       func(e *SQE) { e.PrepReadFixed(9, a.bytes[:4096], 65536, 5) },
		"write_fixed":      func(e *SQE) { e.PrepWriteFixed(9, a.bytes[:4096], 65536, 5) },
		"readv_fixed":      func(e *SQE) { e.PrepReadvFixed(9, a.iovs[:2], 65536, 0, 5) },
		"writev_fixed":     func(e *SQE) { e.PrepWritevFixed(9, a.iovs[:2], 65536, 0, 5) },
		"read_multishot":   func(e *SQE) { e.PrepReadMultishot(9, 0, OffCurrent, 3) },
		"fsync":            func(e *SQE) { e.PrepFsync(11, 0) },
		"fdatasync":        func(e *SQE) { e.PrepFsync(11, FsyncDatasync) },
		"sync_file_range":  func(e *SQE) { e.PrepSyncFileRange(11, 4096, 8192, 7) },
		"fallocate":        func(e *SQE) { e.PrepFallocate(11, 1, 4096, 1048576) },
		"ftruncate":        func(e *SQE) { e.PrepFtruncate(11, 12345678901) },
		"openat": func(e *SQE) {
			e.PrepOpenat(unix.AT_FDCWD, &a.bytes[0], unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
		},
		"openat_direct": func(e *SQE) {
			e.PrepOpenatDirect(unix.AT_FDCWD, &a.bytes[0], unix.O_RDONLY, 0, 6)
		},
		"openat2":      func(e *SQE) { e.PrepOpenat2(unix.AT_FDCWD, &a.bytes[0], &b.how) },
		"close":        func(e *SQE) { e.PrepClose(13) },
		"close_direct": func(e *SQE) { e.PrepCloseDirect(6) },
		"statx": func(e *SQE) {
			e.PrepStatx(unix.AT_FDCWD, &a.bytes[0], unix.AT_SYMLINK_NOFOLLOW, 0x7ff, &b.statx)
		},
		"unlinkat": func(e *SQE) {
			e.PrepUnlinkat(unix.AT_FDCWD, &a.bytes[0], unix.AT_REMOVEDIR)
		},
		"renameat": func(e *SQE) {
			e.PrepRenameat(3, &a.bytes[0], 4, &b.bytes[0], unix.RENAME_NOREPLACE)
		},
		"mkdirat":   func(e *SQE) { e.PrepMkdirat(3, &a.bytes[0], 0o755) },
		"symlinkat": func(e *SQE) { e.PrepSymlinkat(&a.bytes[0], 4, &b.bytes[0]) },
		"linkat": func(e *SQE) {
			e.PrepLinkat(3, &a.bytes[0], 4, &b.bytes[0], unix.AT_SYMLINK_FOLLOW)
		},
		"fadvise":        func(e *SQE) { e.PrepFadvise(11, 4096, 8192, unix.FADV_WILLNEED) },
		"fadvise64":      func(e *SQE) { e.PrepFadvise64(11, 4096, 8589934592, unix.FADV_WILLNEED) },
		"madvise":        func(e *SQE) { e.PrepMadvise(a.bytes[:8192], unix.MADV_WILLNEED) },
		"splice":         func(e *SQE) { e.PrepSplice(3, 4096, 5, OffCurrent, 65536, 1) },
		"tee":            func(e *SQE) { e.PrepTee(3, 5, 65536, 2) },
		"timeout":        func(e *SQE) { e.PrepTimeout(&a.ts, 4, TimeoutAbs) },
		"timeout_remove": func(e *SQE) { e.PrepTimeoutRemove(userData, 0) },
		"timeout_update": func(e *SQE) { e.PrepTimeoutUpdate(&a.ts, userData2, 0) },
		"link_timeout":   func(e *SQE) { e.PrepLinkTimeout(&a.ts, 0) },
		"cancel64":       func(e *SQE) { e.PrepCancel64(userData, CancelAll) },
		"cancel_fd":      func(e *SQE) { e.PrepCancelFD(17, CancelAll) },
		"poll_add":       func(e *SQE) { e.PrepPollAdd(17, unix.POLLIN) },
		"poll_multishot": func(e *SQE) { e.PrepPollMultishot(17, unix.POLLIN) },
		"poll_remove":    func(e *SQE) { e.PrepPollRemove(userData) },
		"files_update":   func(e *SQE) { e.PrepFilesUpdate(a.fds[:4], 2) },
		"msg_ring":       func(e *SQE) { e.PrepMsgRing(19, 42, userData, 0) },
		"msg_ring_fd":    func(e *SQE) { e.PrepMsgRingFD(19, 3, 4, userData, 0) },
		"provide_buffers": func(e *SQE) {
			e.PrepProvideBuffers(a.bytes[:16*4096], 4096, 16, 3, 0)
		},
		"remove_buffers":   func(e *SQE) { e.PrepRemoveBuffers(16, 3) },
		"fgetxattr":        func(e *SQE) { e.PrepFgetxattr(7, &a.bytes[0], b.bytes[:64]) },
		"fsetxattr":        func(e *SQE) { e.PrepFsetxattr(7, &a.bytes[0], b.bytes[:64], 1) },
		"getxattr":         func(e *SQE) { e.PrepGetxattr(&c.bytes[0], &a.bytes[0], b.bytes[:64]) },
		"setxattr":         func(e *SQE) { e.PrepSetxattr(&c.bytes[0], &a.bytes[0], b.bytes[:64], 1) },
		"fixed_fd_install": func(e *SQE) { e.PrepFixedFDInstall(5, 0) },
		"futex_wait":       func(e *SQE) { e.PrepFutexWait(&a.word, 1, 0xffffffff, 2, 0) },
		"futex_wake":       func(e *SQE) { e.PrepFutexWake(&a.word, 1, 0xffffffff, 2, 0) },
		"epoll_wait":       func(e *SQE) { e.PrepEpollWait(5, a.epoll[:16], 0) },
		"pipe":             func(e *SQE) { e.PrepPipe(&a.pipe, unix.O_CLOEXEC) },
	}
}

// goldenMem is something to point at, of each type that the Prep methods take.
type goldenMem struct {
	bytes [65536]byte
	iovs  [3]unix.Iovec
	how   unix.OpenHow
	statx unix.Statx_t
	ts    Timespec
	fds   [4]int32
	word  uint32
	epoll [16]unix.EpollEvent
	pipe  [2]int32
}

// addrs are the addresses that may turn up in an entry for m.
func (m *goldenMem) addrs() []uint64 {
	return []uint64{
		addrOf(&m.bytes), addrOf(&m.iovs), addrOf(&m.how), addrOf(&m.statx), addrOf(&m.ts),
		addrOf(&m.fds), addrOf(&m.word), addrOf(&m.epoll), addrOf(&m.pipe),
	}
}

func TestGolden(t *testing.T) {
	a, b, c := new(goldenMem), new(goldenMem), new(goldenMem)
	calls := goldenCalls(a, b, c)
	rows := readTSV(t, "sqe_golden.tsv", 3)
	if len(rows) != len(calls) {
		t.Errorf("%d calls for %d rows of the file", len(calls), len(rows))
	}
	for _, row := range rows {
		name := row[0]
		t.Run(name, func(t *testing.T) {
			want, err := hex.DecodeString(row[2])
			if err != nil || len(want) != 64 {
				t.Fatalf("row has %d bytes, want 64 (%v)", len(want), err)
			}
			call, ok := calls[name]
			if !ok {
				t.Fatal("no such call here")
			}
			var e SQE
			dirty := bytes.Repeat([]byte{0xa5}, 64)
			if _, err := binary.Decode(dirty, binary.LittleEndian, &e); err != nil {
				t.Fatal(err)
			}
			call(&e)
			addrA := uint64(0x1122334455667788)
			if name == "madvise" {
				addrA = 0x1122334455667000
			}
			for _, f := range []*uint64{&e.Off, &e.Addr, &e.Addr3} {
				switch {
				case slices.Contains(a.addrs(), *f):
					*f = addrA
				case slices.Contains(b.addrs(), *f):
					*f = 0x99aabbccddeeff00
				case slices.Contains(c.addrs(), *f):
					*f = 0x0102030405060708
				}
			}
			if bigEndian && e.Opcode == OpPollAdd {
				e.OpFlags = pollMask(e.OpFlags)
			}
			// The file is little-endian. TestABILayout and TestSQEHasNoHoles make sure that the fields
			// are the 64 bytes in memory.
			got, err := binary.Append(nil, binary.LittleEndian, &e)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s(%s):\n got %x\nwant %x", name, row[1], got, want)
			}
		})
	}
}

// TestPrepVariants checks the preparations that the golden file does not have, against those it has.
func TestPrepVariants(t *testing.T) {
	mem := new(goldenMem)
	for _, tt := range []struct {
		name      string
		got, want func(e *SQE)
	}{
		{
			"nop result",
			func(e *SQE) { e.PrepNopResult(-5) },
			func(e *SQE) { e.PrepNop(); e.Len = ^uint32(4); e.OpFlags = NopInjectResult },
		}, {
			"openat2 direct",
			func(e *SQE) { e.PrepOpenat2Direct(3, &mem.bytes[0], &mem.how, 6) },
			func(e *SQE) { e.PrepOpenat2(3, &mem.bytes[0], &mem.how); e.FileIndex = 7 },
		}, {
			"open into a free slot",
			func(e *SQE) { e.PrepOpenatDirect(3, &mem.bytes[0], 1, 2, FileIndexAlloc) },
			func(e *SQE) { e.PrepOpenat(3, &mem.bytes[0], 1, 2); e.FileIndex = ^uint32(0) },
		}, {
			"pipe direct",
			func(e *SQE) { e.PrepPipeDirect(&mem.pipe, 1, 6) },
			func(e *SQE) { e.PrepPipe(&mem.pipe, 1); e.FileIndex = 7 },
		}, {
			"fsync range",
			func(e *SQE) { e.PrepFsyncRange(3, 4096, 8192, 1) },
			func(e *SQE) { e.PrepFsync(3, 1); e.Off = 4096; e.Len = 8192 },
		}, {
			"cancel any",
			func(e *SQE) { e.PrepCancelAny(CancelAll) },
			func(e *SQE) { e.PrepCancel64(0, CancelAll|CancelAny) },
		}, {
			"poll update",
			func(e *SQE) { e.PrepPollUpdate(1, 2, unix.POLLOUT, PollUpdateEvents) },
			func(e *SQE) {
				e.PrepPollRemove(1)
				e.Off, e.Len, e.OpFlags = 2, PollUpdateEvents, pollMask(unix.POLLOUT)
			},
		}, {
			"msg ring with flags",
			func(e *SQE) { e.PrepMsgRingCQEFlags(3, 4, 5, MsgRingCQESkip, 6) },
			func(e *SQE) {
				e.PrepMsgRing(3, 4, 5, MsgRingCQESkip|MsgRingFlagsPass)
				e.FileIndex = 6
			},
		}, {
			"setters",
			func(e *SQE) {
				e.PrepFixedFDInstall(3, 0)
				e.SetFlags(SQEAsync)
				e.SetUserData(7)
				e.SetPersonality(8)
				e.SetIOPrio(9)
				e.SetRWFlags(10)
			},
			func(e *SQE) {
				e.PrepFixedFDInstall(3, 0)
				e.Flags, e.UserData, e.Personality = SQEFixedFile|SQEAsync, 7, 8
				e.IOPrio, e.OpFlags = 9, 10
			},
		},
	} {
		var got, want SQE
		tt.got(&got)
		tt.want(&want)
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, want)
		}
	}
}

// TestPrepLimits checks lengths that do not fit an entry.
func TestPrepLimits(t *testing.T) {
	if got := count(make([]struct{}, 1<<31-1)); got != MaxRW {
		t.Errorf("a buffer of 2 GiB-1: got length %#x, want %#x", got, MaxRW)
	}
	var e SQE
	e.PrepRead(3, nil, 0)
	if e.Addr != 0 || e.Len != 0 {
		t.Errorf("a nil buffer: got %#x, %d, want 0, 0", e.Addr, e.Len)
	}
	defer func() {
		if recover() == nil {
			t.Error("PrepProvideBuffers beyond the memory given: no panic")
		}
	}()
	e.PrepProvideBuffers(make([]byte, 4095), 1024, 4, 0, 0)
}
