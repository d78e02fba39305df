package uring

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOps executes every operation on files for real, on each kind of ring, and checks its effect.
func TestOps(t *testing.T) {
	for _, tt := range []struct {
		name string
		ops  []Op
		run  func(t *testing.T, r *Ring)
	}{
		{"nop", []Op{OpNop}, testNop},
		{"read write", []Op{OpRead, OpWrite}, testReadWrite},
		{"file position", []Op{OpRead, OpWrite}, testFilePosition},
		{"vectors", []Op{OpReadv, OpWritev}, testVectors},
		{"fixed buffers", []Op{OpReadFixed, OpWriteFixed}, testFixed},
		{"fixed vectors", []Op{OpReadvFixed, OpWritevFixed}, testFixedVectors},
		{"read multishot", []Op{OpReadMultishot, OpProvideBuffers, OpRemoveBuffers}, testReadMultishot},
		{"buffer select", []Op{OpRead, OpProvideBuffers, OpRemoveBuffers}, testBufferSelect},
		{"sync", []Op{OpFsync, OpSyncFileRange}, testSync},
		{"fallocate", []Op{OpFallocate}, testFallocate},
		{"ftruncate", []Op{OpFtruncate}, testFtruncate},
		{"open close", []Op{OpOpenat, OpOpenat2, OpClose}, testOpenClose},
		{"open direct", []Op{OpOpenat, OpOpenat2, OpClose, OpFilesUpdate}, testOpenDirect},
		{"statx", []Op{OpStatx}, testStatx},
		{"unlinkat", []Op{OpUnlinkat}, testUnlinkat},
		{"renameat", []Op{OpRenameat}, testRenameat},
		{"mkdirat", []Op{OpMkdirat}, testMkdirat},
		{"links", []Op{OpSymlinkat, OpLinkat}, testLinks},
		{"fadvise", []Op{OpFadvise}, testFadvise},
		{"madvise", []Op{OpMadvise}, testMadvise},
		{"splice tee", []Op{OpSplice, OpTee}, testSpliceTee},
		{"xattr", []Op{OpSetxattr, OpGetxattr, OpFsetxattr, OpFgetxattr}, testXattr},
		{"timeout", []Op{OpTimeout, OpTimeoutRemove}, testTimeout},
		{"link timeout", []Op{OpLinkTimeout}, testLinkTimeout},
		{"cancel", []Op{OpAsyncCancel}, testCancel},
		{"cancel more", []Op{OpAsyncCancel}, testCancelMore},
		{"poll", []Op{OpPollAdd, OpPollRemove}, testPoll},
		{"poll multishot", []Op{OpPollAdd, OpPollRemove}, testPollMultishot},
		{"files update", []Op{OpFilesUpdate}, testFilesUpdate},
		{"msg ring", []Op{OpMsgRing}, testMsgRing},
		{"fixed fd install", []Op{OpFixedFDInstall}, testFixedFDInstall},
		{"futex", []Op{OpFutexWait, OpFutexWake}, testFutex},
		{"epoll wait", []Op{OpEpollWait}, testEpollWait},
		{"pipe", []Op{OpPipe}, testPipe},
		{"link", nil, testLink},
		{"hardlink", nil, testHardlink},
		{"drain", nil, testDrain},
		{"async", nil, testAsync},
		{"fixed file", nil, testFixedFile},
		{"skip success", nil, testSkipSuccess},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachRing(t, func(t *testing.T, r *Ring) {
				for _, op := range tt.ops {
					needOp(t, r, op)
				}
				tt.run(t, r)
				if n := r.CQReady(); n != 0 {
					t.Errorf("%d completions left over", n)
				}
			})
		})
	}
}

func testNop(t *testing.T, r *Ring) {
	if c := do(t, r, func(e *SQE) { e.PrepNop() }); c.Res != 0 || c.Flags != 0 {
		t.Errorf("got %+v, want 0", c)
	}
	if !kernelAtLeast(t, "6.10") {
		return
	}
	for _, res := range []int32{7, -int32(syscall.ENOSPC)} {
		if c := do(t, r, func(e *SQE) { e.PrepNopResult(res) }); c.Res != res {
			t.Errorf("injected %d: got %d", res, c.Res)
		}
	}
}

func testReadWrite(t *testing.T, r *Ring) {
	path, fd := tempFile(t, nil)
	data := pattern(10000)
	if n := must(t, r, func(e *SQE) { e.PrepWrite(fd, data, 5) }); n != len(data) {
		t.Fatalf("write: got %d, want %d", n, len(data))
	}
	wantFile(t, path, append(make([]byte, 5), data...))

	buf := make([]byte, 4096)
	if n := must(t, r, func(e *SQE) { e.PrepRead(fd, buf, 105) }); n != 4096 || !bytes.Equal(buf, data[100:4196]) {
		t.Errorf("read: got %d bytes, right: %v", n, bytes.Equal(buf, data[100:4196]))
	}
	// Short at the end of the file, and nothing beyond.
	if n := must(t, r, func(e *SQE) { e.PrepRead(fd, buf, 10000) }); n != 5 || !bytes.Equal(buf[:5], data[9995:]) {
		t.Errorf("read at the end: got %d", n)
	}
	if n := must(t, r, func(e *SQE) { e.PrepRead(fd, buf, 1<<40) }); n != 0 {
		t.Errorf("read beyond the end: got %d, want 0", n)
	}
	if n := must(t, r, func(e *SQE) { e.PrepRead(fd, nil, 0) }); n != 0 {
		t.Errorf("read of nothing: got %d, want 0", n)
	}
	mustFail(t, r, syscall.EBADF, func(e *SQE) { e.PrepRead(-1, buf, 0) })
	// An offset beyond 4 GiB.
	if n := must(t, r, func(e *SQE) { e.PrepWrite(fd, data[:3], 5<<30) }); n != 3 {
		t.Errorf("write at 5 GiB: got %d, want 3", n)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 5<<30+3 {
		t.Errorf("size after a write at 5 GiB: got %v (%v)", st.Size(), err)
	}
	if n := must(t, r, func(e *SQE) { e.PrepRead(fd, buf[:3], 5<<30) }); n != 3 || !bytes.Equal(buf[:3], data[:3]) {
		t.Errorf("read at 5 GiB: got %d, %x", n, buf[:3])
	}
	// Flags, on an append-only write.
	must(t, r, func(e *SQE) { e.PrepWrite(fd, []byte("end"), 0); e.SetRWFlags(unix.RWF_APPEND) })
	if n := must(t, r, func(e *SQE) { e.PrepRead(fd, buf, 5<<30) }); n != 6 || string(buf[3:6]) != "end" {
		t.Errorf("after RWF_APPEND: got %q", buf[:n])
	}
}

func testFilePosition(t *testing.T, r *Ring) {
	if !r.Features().Has(FeatRWCurPos) {
		t.Fatal("no FeatRWCurPos")
	}
	path, fd := tempFile(t, nil)
	must(t, r, func(e *SQE) { e.PrepWrite(fd, []byte("hello "), OffCurrent) })
	must(t, r, func(e *SQE) { e.PrepWrite(fd, []byte("world"), OffCurrent) })
	wantFile(t, path, []byte("hello world"))
	if _, err := unix.Seek(fd, 3, 0); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	must(t, r, func(e *SQE) { e.PrepRead(fd, buf, OffCurrent) })
	if pos, err := unix.Seek(fd, 0, 1); string(buf) != "lo wo" || pos != 8 || err != nil {
		t.Errorf("got %q and position %d (%v), want %q and 8", buf, pos, err, "lo wo")
	}
}

func testVectors(t *testing.T, r *Ring) {
	path, fd := tempFile(t, []byte("....."))
	out := []unix.Iovec{unixIovec([]byte("abc")), unixIovec([]byte("d")), unixIovec([]byte("efgh"))}
	if n := must(t, r, func(e *SQE) { e.PrepWritev(fd, out, 2, unix.RWF_DSYNC) }); n != 8 {
		t.Errorf("writev: got %d, want 8", n)
	}
	wantFile(t, path, []byte("..abcdefgh"))
	a, b := make([]byte, 4), make([]byte, 10)
	in := []unix.Iovec{unixIovec(a), unixIovec(b)}
	if n := must(t, r, func(e *SQE) { e.PrepReadv(fd, in, 1, 0) }); n != 9 || string(a) != ".abc" || string(b[:5]) != "defgh" {
		t.Errorf("readv: got %d, %q, %q", n, a, b)
	}
	// The flags arrive: no kernel knows this one.
	mustFail(t, r, syscall.EOPNOTSUPP, func(e *SQE) { e.PrepReadv(fd, in, 0, 1<<30) })
}

func testFixed(t *testing.T, r *Ring) {
	path, fd := tempFile(t, nil)
	bufs := [][]byte{mapBuffer(t, 8192), mapBuffer(t, 16384)}
	if err := r.RegisterBuffers(bufs); err != nil {
		t.Fatal(err)
	}
	copy(bufs[1][100:], pattern(9000))
	if n := must(t, r, func(e *SQE) { e.PrepWriteFixed(fd, bufs[1][100:9100], 7, 1) }); n != 9000 {
		t.Errorf("write: got %d, want 9000", n)
	}
	wantFile(t, path, append(make([]byte, 7), pattern(9000)...))
	if n := must(t, r, func(e *SQE) { e.PrepReadFixed(fd, bufs[0][1:4097], 7, 0) }); n != 4096 || !bytes.Equal(bufs[0][1:4097], pattern(9000)[:4096]) {
		t.Errorf("read: got %d, or wrong bytes", n)
	}
	// The memory is that of another buffer, or of none.
	mustFail(t, r, syscall.EFAULT, func(e *SQE) { e.PrepReadFixed(fd, bufs[0][:10], 0, 1) })
	mustFail(t, r, syscall.EFAULT, func(e *SQE) { e.PrepReadFixed(fd, bufs[0][:10], 0, 2) })
	if err := r.UnregisterBuffers(); err != nil {
		t.Fatal(err)
	}
	mustFail(t, r, syscall.EFAULT, func(e *SQE) { e.PrepReadFixed(fd, bufs[0][:10], 0, 0) })
}

func testFixedVectors(t *testing.T, r *Ring) {
	path, fd := tempFile(t, nil)
	buf := mapBuffer(t, 8192)
	if err := r.RegisterBuffers([][]byte{buf}); err != nil {
		t.Fatal(err)
	}
	defer r.UnregisterBuffers()
	copy(buf, "abcdefgh")
	out := []unix.Iovec{unixIovec(buf[4:8]), unixIovec(buf[:4])}
	if n := must(t, r, func(e *SQE) { e.PrepWritevFixed(fd, out, 1, 0, 0) }); n != 8 {
		t.Errorf("writev: got %d, want 8", n)
	}
	wantFile(t, path, []byte("\x00efghabcd"))
	in := []unix.Iovec{unixIovec(buf[4096:4099]), unixIovec(buf[5000:5005])}
	if n := must(t, r, func(e *SQE) { e.PrepReadvFixed(fd, in, 1, 0, 0) }); n != 8 || string(buf[4096:4099]) != "efg" || string(buf[5000:5005]) != "habcd" {
		t.Errorf("readv: got %d, %q, %q", n, buf[4096:4099], buf[5000:5005])
	}
	out[0] = unixIovec([]byte("not registered"))
	mustFail(t, r, syscall.EFAULT, func(e *SQE) { e.PrepWritevFixed(fd, out, 1, 0, 0) })
}

func testReadMultishot(t *testing.T, r *Ring) {
	const group, size, nr = 3, 64, 4
	pr, pw := tempPipe(t)
	mem := mapBuffer(t, size*nr)
	must(t, r, func(e *SQE) { e.PrepProvideBuffers(mem, size, nr, group, 10) })
	prepare(t, r, 1, func(e *SQE) { e.PrepReadMultishot(pr, 0, OffCurrent, group) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "two", "three"} {
		if _, err := unix.Write(pw, []byte(word)); err != nil {
			t.Fatal(err)
		}
		c := reap(t, r, 1)[1]
		id, ok := c.Flags.BufferID()
		if c.Res != int32(len(word)) || !ok || c.Flags&CQEMore == 0 || id < 10 || id >= 10+nr {
			t.Fatalf("%q: got %+v (%v)", word, c, c.Err())
		}
		if got := mem[int(id-10)*size:][:c.Res]; string(got) != word {
			t.Errorf("got %q, want %q", got, word)
		}
	}
	if n := must(t, r, func(e *SQE) { e.PrepRemoveBuffers(100, group) }); n != 1 {
		t.Errorf("remove buffers: got %d, want 1", n)
	}
	// Without a buffer it ends.
	unix.Write(pw, []byte("four"))
	if c := reap(t, r, 1)[1]; c.Err() != syscall.ENOBUFS || c.Flags&CQEMore != 0 {
		t.Errorf("out of buffers: got %+v, want %v", c, syscall.ENOBUFS)
	}
}

func testBufferSelect(t *testing.T, r *Ring) {
	const group, size, nr = 5, 128, 3
	_, fd := tempFile(t, []byte("select me"))
	mem := mapBuffer(t, size*nr)
	must(t, r, func(e *SQE) { e.PrepProvideBuffers(mem, size, nr, group, 0) })
	c := do(t, r, func(e *SQE) {
		e.PrepRead(fd, nil, 0)
		e.Len = size
		e.BufIndex = group
		e.SetFlags(SQEBufferSelect)
	})
	id, ok := c.Flags.BufferID()
	if c.Res != 9 || !ok || id >= nr || string(mem[int(id)*size:][:9]) != "select me" {
		t.Errorf("got %+v (%v)", c, c.Err())
	}
	if n := must(t, r, func(e *SQE) { e.PrepRemoveBuffers(nr, group) }); n != nr-1 {
		t.Errorf("remove buffers: got %d, want %d", n, nr-1)
	}
	mustFail(t, r, syscall.ENOENT, func(e *SQE) { e.PrepRemoveBuffers(1, 99) })
}

// testSync cannot see dirty pages, so it does not check the effect of a sync, only that the right file
// is meant: a pipe cannot be synced.
func testSync(t *testing.T, r *Ring) {
	_, fd := tempFile(t, pattern(100000))
	pipe, _ := tempPipe(t)
	for _, tt := range []struct {
		name string
		prep func(e *SQE, fd int)
		pipe syscall.Errno
	}{
		{"fsync", func(e *SQE, fd int) { e.PrepFsync(fd, 0) }, syscall.EINVAL},
		{"fdatasync", func(e *SQE, fd int) { e.PrepFsync(fd, FsyncDatasync) }, syscall.EINVAL},
		{"fsync range", func(e *SQE, fd int) { e.PrepFsyncRange(fd, 4096, 8192, 0) }, syscall.EINVAL},
		{"sync_file_range", func(e *SQE, fd int) {
			e.PrepSyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
		}, syscall.ESPIPE},
	} {
		if n := must(t, r, func(e *SQE) { tt.prep(e, fd) }); n != 0 {
			t.Errorf("%s: got %d, want 0", tt.name, n)
		}
		mustFail(t, r, tt.pipe, func(e *SQE) { tt.prep(e, pipe) })
	}
	mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepFsync(fd, 1<<7) })
	mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepSyncFileRange(fd, 0, 0, 1<<7) })
}

func testFallocate(t *testing.T, r *Ring) {
	path, fd := tempFile(t, pattern(3*4096))
	must(t, r, func(e *SQE) { e.PrepFallocate(fd, 0, 1<<20, 65536) })
	if st, err := os.Stat(path); err != nil || st.Size() != 1<<20+65536 {
		t.Errorf("size: got %d (%v), want %d", st.Size(), err, 1<<20+65536)
	}
	must(t, r, func(e *SQE) {
		e.PrepFallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 4096)
	})
	want := pattern(3 * 4096)
	clear(want[4096:8192])
	got := make([]byte, len(want))
	if _, err := unix.Pread(fd, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("punched file is wrong (%v)", err)
	}
	mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepFallocate(fd, 0, 0, 0) })
}

func testFtruncate(t *testing.T, r *Ring) {
	path, fd := tempFile(t, pattern(1000))
	must(t, r, func(e *SQE) { e.PrepFtruncate(fd, 300) })
	wantFile(t, path, pattern(1000)[:300])
	must(t, r, func(e *SQE) { e.PrepFtruncate(fd, 6<<30) })
	if st, err := os.Stat(path); err != nil || st.Size() != int64(6)<<30 {
		t.Errorf("size: got %d (%v), want %d", st.Size(), err, int64(6)<<30)
	}
}

func testOpenClose(t *testing.T, r *Ring) {
	dir := t.TempDir()
	dfd := openFD(t, dir, unix.O_RDONLY|unix.O_DIRECTORY)
	mask := unix.Umask(0)
	defer unix.Umask(mask)
	fd := must(t, r, func(e *SQE) {
		e.PrepOpenat(dfd, cstr("new"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	})
	if st, err := os.Stat(filepath.Join(dir, "new")); err != nil || st.Mode() != 0o640 {
		t.Errorf("new file: %v, %v", st.Mode(), err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != unix.FD_CLOEXEC {
		t.Errorf("flags of the descriptor: got %d, %v", flags, err)
	}
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Error("write to the new file:", err)
	}
	must(t, r, func(e *SQE) { e.PrepClose(fd) })
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("descriptor after close: got %v, want %v", err, unix.EBADF)
	}
	mustFail(t, r, syscall.EBADF, func(e *SQE) { e.PrepClose(fd) })
	mustFail(t, r, syscall.EEXIST, func(e *SQE) {
		e.PrepOpenat(dfd, cstr("new"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o640)
	})
	mustFail(t, r, syscall.ENOENT, func(e *SQE) { e.PrepOpenat(dfd, cstr("none"), unix.O_RDONLY, 0) })

	// openat2, and that its structure arrives: the path leaves the directory.
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH}
	fd = must(t, r, func(e *SQE) { e.PrepOpenat2(dfd, cstr("new"), how) })
	buf := make([]byte, 2)
	if n, err := unix.Read(fd, buf); n != 1 || buf[0] != 'x' {
		t.Errorf("read: got %d, %v", n, err)
	}
	must(t, r, func(e *SQE) { e.PrepClose(fd) })
	mustFail(t, r, syscall.EXDEV, func(e *SQE) { e.PrepOpenat2(dfd, cstr("../"), how) })
}

func testOpenDirect(t *testing.T, r *Ring) {
	if !kernelAtLeast(t, "5.15") {
		t.Skip("needs Linux 5.15")
	}
	path, _ := tempFile(t, []byte("direct"))
	if err := r.RegisterFiles([]int32{-1, -1, -1, -1}); err != nil {
		t.Fatal(err)
	}
	defer r.UnregisterFiles()
	name := cstr(path)
	read := func(slot int) string {
		buf := make([]byte, 10)
		n := must(t, r, func(e *SQE) { e.PrepRead(slot, buf, 0); e.SetFlags(SQEFixedFile) })
		return string(buf[:n])
	}
	must(t, r, func(e *SQE) { e.PrepOpenatDirect(unix.AT_FDCWD, name, unix.O_RDONLY, 0, 0) })
	how := &unix.OpenHow{Flags: unix.O_RDONLY}
	must(t, r, func(e *SQE) { e.PrepOpenat2Direct(unix.AT_FDCWD, name, how, 2) })
	if got := read(0) + read(2); got != "directdirect" {
		t.Errorf("got %q", got)
	}
	if kernelAtLeast(t, "5.19") {
		if slot := must(t, r, func(e *SQE) {
			e.PrepOpenatDirect(unix.AT_FDCWD, name, unix.O_RDONLY, 0, FileIndexAlloc)
		}); slot != 1 && slot != 3 || read(slot) != "direct" {
			t.Errorf("free slot: got %d, want 1 or 3", slot)
		}
	}
	must(t, r, func(e *SQE) { e.PrepCloseDirect(0) })
	mustFail(t, r, syscall.EBADF, func(e *SQE) { e.PrepRead(0, make([]byte, 1), 0); e.SetFlags(SQEFixedFile) })
	if got := read(2); got != "direct" {
		t.Errorf("slot 2 after closing slot 0: got %q", got)
	}
	mustFail(t, r, syscall.EBADF, func(e *SQE) { e.PrepCloseDirect(0) })
}

func testStatx(t *testing.T, r *Ring) {
	path, fd := tempFile(t, pattern(12345))
	link := path + ".link"
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		dfd   int
		path  string
		flags uint32
	}{
		{"path", unix.AT_FDCWD, path, 0},
		{"link", unix.AT_FDCWD, link, unix.AT_SYMLINK_NOFOLLOW},
		{"through link", unix.AT_FDCWD, link, 0},
		{"descriptor", fd, "", unix.AT_EMPTY_PATH},
	} {
		var got, want unix.Statx_t
		must(t, r, func(e *SQE) {
			e.PrepStatx(tt.dfd, cstr(tt.path), tt.flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &got)
		})
		if err := unix.Statx(tt.dfd, tt.path, int(tt.flags), unix.STATX_BASIC_STATS|unix.STATX_BTIME, &want); err != nil {
			t.Fatal(err)
		}
		got.Atime, want.Atime = unix.StatxTimestamp{}, unix.StatxTimestamp{}
		if got != want || got.Ino == 0 {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, want)
		}
	}
	var st unix.Statx_t
	mustFail(t, r, syscall.ENOENT, func(e *SQE) { e.PrepStatx(unix.AT_FDCWD, cstr(path+"x"), 0, unix.STATX_SIZE, &st) })
}

func testUnlinkat(t *testing.T, r *Ring) {
	dir := t.TempDir()
	dfd := openFD(t, dir, unix.O_RDONLY|unix.O_DIRECTORY)
	os.WriteFile(filepath.Join(dir, "f"), nil, 0o600)
	os.Mkdir(filepath.Join(dir, "d"), 0o700)
	mustFail(t, r, syscall.EISDIR, func(e *SQE) { e.PrepUnlinkat(dfd, cstr("d"), 0) })
	must(t, r, func(e *SQE) { e.PrepUnlinkat(dfd, cstr("f"), 0) })
	must(t, r, func(e *SQE) { e.PrepUnlinkat(dfd, cstr("d"), unix.AT_REMOVEDIR) })
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("left over: %v, %v", names, err)
	}
}

func testRenameat(t *testing.T, r *Ring) {
	from, to := t.TempDir(), t.TempDir()
	fromFD, toFD := openFD(t, from, unix.O_DIRECTORY), openFD(t, to, unix.O_DIRECTORY)
	os.WriteFile(filepath.Join(from, "a"), []byte("a"), 0o600)
	os.WriteFile(filepath.Join(to, "b"), []byte("b"), 0o600)
	mustFail(t, r, syscall.EEXIST, func(e *SQE) {
		e.PrepRenameat(fromFD, cstr("a"), toFD, cstr("b"), unix.RENAME_NOREPLACE)
	})
	must(t, r, func(e *SQE) { e.PrepRenameat(fromFD, cstr("a"), toFD, cstr("b"), 0) })
	wantFile(t, filepath.Join(to, "b"), []byte("a"))
	if _, err := os.Stat(filepath.Join(from, "a")); !os.IsNotExist(err) {
		t.Errorf("the old name: %v", err)
	}
}

func testMkdirat(t *testing.T, r *Ring) {
	dir := t.TempDir()
	dfd := openFD(t, dir, unix.O_DIRECTORY)
	must(t, r, func(e *SQE) { e.PrepMkdirat(dfd, cstr("d"), 0o710) })
	if st, err := os.Stat(filepath.Join(dir, "d")); err != nil || st.Mode() != os.ModeDir|0o710 {
		t.Errorf("got %v, %v", st.Mode(), err)
	}
	mustFail(t, r, syscall.EEXIST, func(e *SQE) { e.PrepMkdirat(dfd, cstr("d"), 0o710) })
}

func testLinks(t *testing.T, r *Ring) {
	dir, dir2 := t.TempDir(), t.TempDir()
	fd, fd2 := openFD(t, dir, unix.O_DIRECTORY), openFD(t, dir2, unix.O_DIRECTORY)
	must(t, r, func(e *SQE) { e.PrepSymlinkat(cstr("the target"), fd, cstr("sym")) })
	if got, err := os.Readlink(filepath.Join(dir, "sym")); got != "the target" {
		t.Errorf("symlinkat: got %q, %v", got, err)
	}
	os.WriteFile(filepath.Join(dir, "f"), []byte("content"), 0o600)
	os.Symlink("f", filepath.Join(dir, "to-f"))
	must(t, r, func(e *SQE) { e.PrepLinkat(fd, cstr("f"), fd2, cstr("hard"), 0) })
	must(t, r, func(e *SQE) { e.PrepLinkat(fd, cstr("to-f"), fd2, cstr("hard2"), unix.AT_SYMLINK_FOLLOW) })
	must(t, r, func(e *SQE) { e.PrepLinkat(fd, cstr("to-f"), fd2, cstr("soft"), 0) })
	want, _ := os.Stat(filepath.Join(dir, "f"))
	for name, same := range map[string]bool{"hard": true, "hard2": true, "soft": false} {
		st, err := os.Lstat(filepath.Join(dir2, name))
		if err != nil || os.SameFile(st, want) != same {
			t.Errorf("%s: same file %v (%v), want %v", name, !same, err, same)
		}
	}
}

// resident counts the pages of a file that are in the page cache.
func resident(t *testing.T, fd, size int) (n int) {
	t.Helper()
	m, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	vec := make([]byte, (size+os.Getpagesize()-1)/os.Getpagesize())
	if err := mincore(m, vec); err != nil {
		t.Fatal(err)
	}
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}

func testFadvise(t *testing.T, r *Ring) {
	const size = 16 * 65536
	_, ref := tempFile(t, pattern(size))
	unix.Fsync(ref)
	if err := unix.Fadvise(ref, 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	want := resident(t, ref, size) // all of it on tmpfs
	for name, prep := range map[string]func(e *SQE, fd int, advice uint32){
		"fadvise":   func(e *SQE, fd int, advice uint32) { e.PrepFadvise(fd, 0, size, advice) },
		"fadvise64": func(e *SQE, fd int, advice uint32) { e.PrepFadvise64(fd, 0, 1<<33, advice) },
	} {
		_, fd := tempFile(t, pattern(size))
		if name == "fadvise64" && !kernelAtLeast(t, "6.11") {
			mustFail(t, r, syscall.EINVAL, func(e *SQE) { prep(e, fd, unix.FADV_DONTNEED) })
			continue
		}
		unix.Fsync(fd)
		if resident(t, fd, size) == 0 {
			t.Errorf("%s: nothing is cached", name)
		}
		must(t, r, func(e *SQE) { prep(e, fd, unix.FADV_DONTNEED) })
		if got := resident(t, fd, size); got != want {
			t.Errorf("%s: %d pages cached, want %d", name, got, want)
		}
		mustFail(t, r, syscall.EINVAL, func(e *SQE) { prep(e, fd, 77) })
	}
}

func testMadvise(t *testing.T, r *Ring) {
	page := os.Getpagesize()
	m := mapBuffer(t, 3*page)
	for i := range m {
		m[i] = 1
	}
	must(t, r, func(e *SQE) { e.PrepMadvise(m[page:2*page], unix.MADV_DONTNEED) })
	for i := range m {
		if want := byte(1); m[i] != want && i/page != 1 || m[i] != 0 && i/page == 1 {
			t.Fatalf("byte %d is %d", i, m[i])
		}
	}
	mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepMadvise(m, 7777) })
}

func testSpliceTee(t *testing.T, r *Ring) {
	_, in := tempFile(t, []byte("0123456789"))
	outPath, out := tempFile(t, []byte("......"))
	pr, pw := tempPipe(t)
	pr2, pw2 := tempPipe(t)
	if n := must(t, r, func(e *SQE) { e.PrepSplice(in, 3, pw, OffCurrent, 4, 0) }); n != 4 {
		t.Errorf("splice from the file: got %d, want 4", n)
	}
	if n := must(t, r, func(e *SQE) { e.PrepTee(pr, pw2, 100, 0) }); n != 4 {
		t.Errorf("tee: got %d, want 4", n)
	}
	if n := must(t, r, func(e *SQE) { e.PrepSplice(pr, OffCurrent, out, 1, 100, 0) }); n != 4 {
		t.Errorf("splice to the file: got %d, want 4", n)
	}
	wantFile(t, outPath, []byte(".3456."))
	buf := make([]byte, 10)
	if n, err := unix.Read(pr2, buf); string(buf[:max(n, 0)]) != "3456" {
		t.Errorf("the other pipe: got %q, %v", buf, err)
	}
	mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepSplice(in, 0, out, 0, 4, 0) })
}

func testXattr(t *testing.T, r *Ring) {
	path, fd := tempFile(t, nil)
	if err := unix.Setxattr(path, "user.probe", []byte("x"), 0); err != nil {
		t.Skip("no extended attributes on this file system:", err)
	}
	name, name2, cpath := cstr("user.one"), cstr("user.two"), cstr(path)
	must(t, r, func(e *SQE) { e.PrepSetxattr(cpath, name, []byte("value"), 0) })
	must(t, r, func(e *SQE) { e.PrepFsetxattr(fd, name2, []byte("second"), unix.XATTR_CREATE) })
	buf := make([]byte, 20)
	for attr, want := range map[string]string{"user.one": "value", "user.two": "second"} {
		if n, err := unix.Getxattr(path, attr, buf); err != nil || string(buf[:n]) != want {
			t.Errorf("%s: got %q, %v, want %q", attr, buf[:max(n, 0)], err, want)
		}
	}
	clear(buf)
	if n := must(t, r, func(e *SQE) { e.PrepGetxattr(cpath, name2, buf) }); string(buf[:n]) != "second" {
		t.Errorf("getxattr: got %q", buf[:n])
	}
	if n := must(t, r, func(e *SQE) { e.PrepFgetxattr(fd, name, buf) }); string(buf[:n]) != "value" {
		t.Errorf("fgetxattr: got %q", buf[:n])
	}
	if n := must(t, r, func(e *SQE) { e.PrepFgetxattr(fd, name, nil) }); n != 5 {
		t.Errorf("length of an attribute: got %d, want 5", n)
	}
	mustFail(t, r, syscall.EEXIST, func(e *SQE) { e.PrepSetxattr(cpath, name, []byte("v"), unix.XATTR_CREATE) })
	mustFail(t, r, syscall.EEXIST, func(e *SQE) { e.PrepFsetxattr(fd, name, []byte("v"), unix.XATTR_CREATE) })
	mustFail(t, r, syscall.ENODATA, func(e *SQE) { e.PrepGetxattr(cpath, cstr("user.none"), buf) })
}

func testTimeout(t *testing.T, r *Ring) {
	start := time.Now()
	ts := NewTimespec(30 * time.Millisecond)
	mustFail(t, r, syscall.ETIME, func(e *SQE) { e.PrepTimeout(&ts, 0, 0) })
	if d := time.Since(start); d < 30*time.Millisecond || d > 5*time.Second {
		t.Errorf("a timeout of 30ms took %v", d)
	}
	// A point in time that has passed.
	abs := Timespec{Sec: 1}
	mustFail(t, r, syscall.ETIME, func(e *SQE) { e.PrepTimeout(&abs, 0, TimeoutAbs) })

	// Ended by a number of completions.
	long := NewTimespec(time.Hour)
	prepare(t, r, 1, func(e *SQE) { e.PrepTimeout(&long, 2, 0) })
	prepare(t, r, 2, func(e *SQE) { e.PrepNop() })
	prepare(t, r, 3, func(e *SQE) { e.PrepNop() })
	if got := reap(t, r, 3); got[1].Res != 0 {
		t.Errorf("ended by completions: got %d, want 0", got[1].Res)
	}

	// Removed.
	prepare(t, r, 4, func(e *SQE) { e.PrepTimeout(&long, 0, 0) })
	prepare(t, r, 5, func(e *SQE) { e.PrepTimeoutRemove(4, 0) })
	got := reap(t, r, 2)
	if c := got[4]; c.Err() != syscall.ECANCELED || got[5].Res != 0 {
		t.Errorf("removed: got %v and %d, want %v and 0", c.Err(), got[5].Res, syscall.ECANCELED)
	}
	mustFail(t, r, syscall.ENOENT, func(e *SQE) { e.PrepTimeoutRemove(4, 0) })

	if !kernelAtLeast(t, "5.11") {
		return
	}
	// Updated.
	soon := NewTimespec(time.Millisecond)
	prepare(t, r, 6, func(e *SQE) { e.PrepTimeout(&long, 0, 0) })
	prepare(t, r, 7, func(e *SQE) { e.PrepTimeoutUpdate(&soon, 6, 0) })
	got = reap(t, r, 2)
	if c := got[6]; c.Err() != syscall.ETIME || got[7].Res != 0 {
		t.Errorf("updated: got %v and %d, want %v and 0", c.Err(), got[7].Res, syscall.ETIME)
	}
}

func testLinkTimeout(t *testing.T, r *Ring) {
	pr, _ := tempPipe(t)
	buf := make([]byte, 1)
	ts := NewTimespec(20 * time.Millisecond)
	prepare(t, r, 1, func(e *SQE) { e.PrepRead(pr, buf, OffCurrent); e.SetFlags(SQEIOLink) })
	prepare(t, r, 2, func(e *SQE) { e.PrepLinkTimeout(&ts, 0) })
	got := reap(t, r, 2)
	c1, c2 := got[1], got[2]
	if c1.Err() != syscall.ECANCELED && c1.Err() != syscall.EINTR {
		t.Errorf("timed out: got %v, want %v", c1.Err(), syscall.ECANCELED)
	}
	if c2.Err() != syscall.ETIME {
		t.Errorf("the timeout: got %v, want %v", c2.Err(), syscall.ETIME)
	}
	// In time.
	ts = NewTimespec(time.Hour)
	prepare(t, r, 3, func(e *SQE) { e.PrepNop(); e.SetFlags(SQEIOLink) })
	prepare(t, r, 4, func(e *SQE) { e.PrepLinkTimeout(&ts, 0) })
	got = reap(t, r, 2)
	if c := got[4]; got[3].Res != 0 || c.Err() != syscall.ECANCELED {
		t.Errorf("in time: got %d and %v, want 0 and %v", got[3].Res, c.Err(), syscall.ECANCELED)
	}
}

// canceled fails unless c is a request that was canceled.
func canceled(t *testing.T, c CQE) {
	t.Helper()
	if c.Err() != syscall.ECANCELED && c.Err() != syscall.EINTR {
		t.Errorf("request %d: got %d (%v), want %v", c.UserData, c.Res, c.Err(), syscall.ECANCELED)
	}
}

func testCancel(t *testing.T, r *Ring) {
	pr, _ := tempPipe(t)
	buf := make([]byte, 1)
	prepare(t, r, 1, func(e *SQE) { e.PrepRead(pr, buf, OffCurrent) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	mustFail(t, r, syscall.ENOENT, func(e *SQE) { e.PrepCancel64(2, 0) })
	prepare(t, r, 2, func(e *SQE) { e.PrepCancel64(1, 0) })
	got := reap(t, r, 2)
	canceled(t, got[1])
	if res := got[2].Res; res != 0 && res != -int32(syscall.EALREADY) {
		t.Errorf("cancel: got %d, want 0", res)
	}
}

func testCancelMore(t *testing.T, r *Ring) {
	if !kernelAtLeast(t, "5.19") {
		t.Skip("needs Linux 5.19")
	}
	a, _ := tempPipe(t)
	b, _ := tempPipe(t)
	poll := func(userData uint64, fd int) {
		prepare(t, r, userData, func(e *SQE) { e.PrepPollAdd(fd, unix.POLLIN) })
	}
	for _, tt := range []struct {
		name  string
		prep  func(e *SQE)
		res   int32
		which []uint64
	}{
		{"one by fd", func(e *SQE) { e.PrepCancelFD(b, 0) }, 0, []uint64{3}},
		{"all by user data", func(e *SQE) { e.PrepCancel64(4, CancelAll) }, 1, []uint64{4}},
		{"all by fd", func(e *SQE) { e.PrepCancelFD(a, CancelAll) }, 3, []uint64{1, 2, 4}},
		{"one of any", func(e *SQE) { e.PrepCancelAny(0) }, -1, nil},
		{"all", func(e *SQE) { e.PrepCancelAny(CancelAll) }, 4, []uint64{1, 2, 3, 4}},
	} {
		poll(1, a)
		poll(2, a)
		poll(3, b)
		poll(4, a)
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		prepare(t, r, 9, tt.prep)
		n := 1 + len(tt.which)
		if tt.which == nil {
			n = 2
		}
		got := reap(t, r, n)
		if res := got[9].Res; tt.res >= 0 && res != tt.res || res < 0 {
			t.Errorf("%s: got %d, want %d", tt.name, res, tt.res)
		}
		for _, u := range tt.which {
			canceled(t, got[u])
		}
		if left := 4 - (n - 1); left > 0 { // clear up
			prepare(t, r, 9, func(e *SQE) { e.PrepCancelAny(CancelAll) })
			reap(t, r, 1+left)
		}
	}
}

func testPoll(t *testing.T, r *Ring) {
	pr, pw := tempPipe(t)
	if n := must(t, r, func(e *SQE) { e.PrepPollAdd(pw, unix.POLLOUT|unix.POLLIN) }); n != unix.POLLOUT {
		t.Errorf("poll of a writable pipe: got %#x, want %#x", n, unix.POLLOUT)
	}
	prepare(t, r, 1, func(e *SQE) { e.PrepPollAdd(pr, unix.POLLIN) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	unix.Write(pw, []byte("x"))
	if c := reap(t, r, 1)[1]; c.Res&unix.POLLIN == 0 || c.Res < 0 {
		t.Errorf("poll of a pipe with data: got %#x", c.Res)
	}
	unix.Read(pr, make([]byte, 1))
	prepare(t, r, 2, func(e *SQE) { e.PrepPollAdd(pr, unix.POLLIN) })
	prepare(t, r, 3, func(e *SQE) { e.PrepPollRemove(2) })
	got := reap(t, r, 2)
	canceled(t, got[2])
	if got[3].Res != 0 {
		t.Errorf("poll remove: got %d, want 0", got[3].Res)
	}
	mustFail(t, r, syscall.ENOENT, func(e *SQE) { e.PrepPollRemove(2) })
}

func testPollMultishot(t *testing.T, r *Ring) {
	if !kernelAtLeast(t, "5.13") {
		t.Skip("needs Linux 5.13")
	}
	pr, pw := tempPipe(t)
	prepare(t, r, 1, func(e *SQE) { e.PrepPollMultishot(pr, unix.POLLIN) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		unix.Write(pw, []byte("x"))
		c := reap(t, r, 1)[1]
		if c.Res < 0 || c.Res&unix.POLLIN == 0 || c.Flags&CQEMore == 0 {
			t.Fatalf("got %+v", c)
		}
		unix.Read(pr, make([]byte, 1))
	}
	prepare(t, r, 2, func(e *SQE) { e.PrepPollRemove(1) })
	canceled(t, reap(t, r, 2)[1])

	// Updated to what is true already, and with new user data. Both ends must be open for nothing to
	// be true before.
	prepare(t, r, 3, func(e *SQE) { e.PrepPollAdd(pw, unix.POLLPRI) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	prepare(t, r, 4, func(e *SQE) {
		e.PrepPollUpdate(3, 5, unix.POLLOUT, PollUpdateEvents|PollUpdateUserData)
	})
	got := reap(t, r, 1)
	if _, err := r.WaitCQEs(1, 20*time.Second); err != nil && kernelAtLeast(t, "6.16") && !kernelAtLeast(t, "6.18") {
		t.Skip("this kernel loses the completion of a poll that is updated to what is true already:", err)
	}
	maps.Copy(got, reap(t, r, 1))
	if c, ok := got[5]; !ok || c.Res&unix.POLLOUT == 0 || got[4].Res != 0 {
		t.Errorf("poll update: got %v", got)
	}
}

func testFilesUpdate(t *testing.T, r *Ring) {
	_, fd := tempFile(t, []byte("A"))
	_, fd2 := tempFile(t, []byte("B"))
	if err := r.RegisterFiles([]int32{-1, -1, -1, -1}); err != nil {
		t.Fatal(err)
	}
	defer r.UnregisterFiles()
	fds := []int32{int32(fd), int32(fd2)}
	if n := must(t, r, func(e *SQE) { e.PrepFilesUpdate(fds, 1) }); n != 2 {
		t.Errorf("got %d, want 2", n)
	}
	for slot, want := range []byte{0, 'A', 'B', 0} {
		buf := make([]byte, 1)
		read := func(e *SQE) { e.PrepRead(slot, buf, 0); e.SetFlags(SQEFixedFile) }
		if want == 0 {
			mustFail(t, r, syscall.EBADF, read)
		} else if must(t, r, read); buf[0] != want {
			t.Errorf("slot %d: got %q, want %q", slot, buf, want)
		}
	}
	mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepFilesUpdate(fds, 4) })
	if kernelAtLeast(t, "5.19") {
		one := []int32{int32(fd2)}
		if n := must(t, r, func(e *SQE) { e.PrepFilesUpdate(one, FileIndexAlloc) }); n != 1 || one[0] != 0 && one[0] != 3 {
			t.Errorf("free slot: got %d and slot %d, want 1 and slot 0 or 3", n, one[0])
		}
	}
}

func testMsgRing(t *testing.T, r *Ring) {
	other := newRing(t, Config{Entries: 4})
	must(t, r, func(e *SQE) { e.PrepMsgRing(other.FD(), 42, 77, 0) })
	if c := reap(t, other, 1)[77]; c.Res != 42 {
		t.Errorf("got %+v, want result 42", c)
	}
	if !kernelAtLeast(t, "6.3") {
		return
	}
	must(t, r, func(e *SQE) { e.PrepMsgRingCQEFlags(other.FD(), 1, 78, 0, CQEFlags(0x120000)) })
	if c := reap(t, other, 1)[78]; c.Res != 1 || c.Flags != 0x120000 {
		t.Errorf("with flags: got %+v", c)
	}
	_, fd := tempFile(t, []byte("sent"))
	for _, x := range []*Ring{r, other} {
		if err := x.RegisterFiles([]int32{-1, -1, -1}); err != nil {
			t.Fatal(err)
		}
		defer x.UnregisterFiles()
	}
	if _, err := r.RegisterFilesUpdate(1, []int32{int32(fd)}); err != nil {
		t.Fatal(err)
	}
	must(t, r, func(e *SQE) { e.PrepMsgRingFD(other.FD(), 1, 2, 79, 0) })
	if _, ok := reap(t, other, 1)[79]; !ok {
		t.Error("no completion for a file")
	}
	buf := make([]byte, 4)
	must(t, other, func(e *SQE) { e.PrepRead(2, buf, 0); e.SetFlags(SQEFixedFile) })
	if string(buf) != "sent" {
		t.Errorf("through the file sent: got %q", buf)
	}
	// Without a completion, into a free slot.
	if slot := must(t, r, func(e *SQE) {
		e.PrepMsgRingFD(other.FD(), 1, FileIndexAlloc, 80, MsgRingCQESkip)
	}); slot != 0 && slot != 1 {
		t.Errorf("free slot: got %d, want 0 or 1", slot)
	}
	if other.CQReady() != 0 {
		t.Error("a completion in spite of MsgRingCQESkip")
	}
}

func testFixedFDInstall(t *testing.T, r *Ring) {
	_, fd := tempFile(t, []byte("installed"))
	if err := r.RegisterFiles([]int32{-1, int32(fd)}); err != nil {
		t.Fatal(err)
	}
	defer r.UnregisterFiles()
	for flags, want := range map[uint32]int{0: unix.FD_CLOEXEC, FixedFDNoCloexec: 0} {
		got := must(t, r, func(e *SQE) { e.PrepFixedFDInstall(1, flags) })
		buf := make([]byte, 9)
		if _, err := unix.Pread(got, buf, 0); err != nil || string(buf) != "installed" {
			t.Errorf("got %q, %v", buf, err)
		}
		if fdFlags, _ := unix.FcntlInt(uintptr(got), unix.F_GETFD, 0); fdFlags != want {
			t.Errorf("flags %d: the descriptor has %d, want %d", flags, fdFlags, want)
		}
		unix.Close(got)
	}
	mustFail(t, r, syscall.EBADF, func(e *SQE) { e.PrepFixedFDInstall(0, 0) })
}

func testFutex(t *testing.T, r *Ring) {
	const (
		size32  = 2         // FUTEX2_SIZE_U32
		private = 128       // FUTEX2_PRIVATE
		any     = 1<<32 - 1 // FUTEX_BITSET_MATCH_ANY
	)
	futex := new(uint32)
	*futex = 5
	mustFail(t, r, syscall.EAGAIN, func(e *SQE) { e.PrepFutexWait(futex, 6, any, size32|private, 0) })
	if n := must(t, r, func(e *SQE) { e.PrepFutexWake(futex, 1, any, size32|private, 0) }); n != 0 {
		t.Errorf("wake without a waiter: got %d, want 0", n)
	}
	prepare(t, r, 1, func(e *SQE) { e.PrepFutexWait(futex, 5, any, size32|private, 0) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	prepare(t, r, 2, func(e *SQE) { e.PrepFutexWake(futex, 1, any, size32|private, 0) })
	got := reap(t, r, 2)
	if got[1].Res != 0 || got[2].Res != 1 {
		t.Errorf("wait and wake: got %d and %d, want 0 and 1", got[1].Res, got[2].Res)
	}
}

func testEpollWait(t *testing.T, r *Ring) {
	pr, pw := tempPipe(t)
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ep)
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, pr, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: 99}); err != nil {
		t.Fatal(err)
	}
	events := make([]unix.EpollEvent, 4)
	prepare(t, r, 1, func(e *SQE) { e.PrepEpollWait(ep, events, 0) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	unix.Write(pw, []byte("x"))
	if c := reap(t, r, 1)[1]; c.Res != 1 || events[0].Fd != 99 || events[0].Events != unix.EPOLLIN {
		t.Errorf("got %d (%v), %+v", c.Res, c.Err(), events[0])
	}
}

func testPipe(t *testing.T, r *Ring) {
	var fds [2]int32
	must(t, r, func(e *SQE) { e.PrepPipe(&fds, unix.O_CLOEXEC) })
	if flags, _ := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); flags != unix.FD_CLOEXEC {
		t.Errorf("flags of the descriptor: got %d", flags)
	}
	buf := make([]byte, 1)
	unix.Write(int(fds[1]), []byte("p"))
	if _, err := unix.Read(int(fds[0]), buf); err != nil || buf[0] != 'p' {
		t.Errorf("got %q, %v", buf, err)
	}
	unix.Close(int(fds[0]))
	unix.Close(int(fds[1]))

	if err := r.RegisterFiles([]int32{-1, -1, -1}); err != nil {
		t.Fatal(err)
	}
	defer r.UnregisterFiles()
	must(t, r, func(e *SQE) { e.PrepPipeDirect(&fds, 0, 1) })
	must(t, r, func(e *SQE) { e.PrepWrite(2, []byte("q"), OffCurrent); e.SetFlags(SQEFixedFile) })
	must(t, r, func(e *SQE) { e.PrepRead(1, buf, OffCurrent); e.SetFlags(SQEFixedFile) })
	if buf[0] != 'q' {
		t.Errorf("through the registered pipe: got %q", buf)
	}
}

func testLink(t *testing.T, r *Ring) {
	_, fd := tempFile(t, pattern(100))
	buf := make([]byte, 100)
	// A short read breaks the chain.
	prepare(t, r, 1, func(e *SQE) { e.PrepRead(fd, buf, 50); e.SetFlags(SQEIOLink) })
	prepare(t, r, 2, func(e *SQE) { e.PrepNop(); e.SetFlags(SQEIOLink) })
	prepare(t, r, 3, func(e *SQE) { e.PrepNop() })
	prepare(t, r, 4, func(e *SQE) { e.PrepNop() })
	got := reap(t, r, 4)
	canceled(t, got[2])
	canceled(t, got[3])
	if got[1].Res != 50 || got[4].Res != 0 {
		t.Errorf("got %v", got)
	}
}

func testHardlink(t *testing.T, r *Ring) {
	_, fd := tempFile(t, pattern(100))
	buf := make([]byte, 100)
	prepare(t, r, 1, func(e *SQE) { e.PrepRead(fd, buf, 50); e.SetFlags(SQEIOHardlink) })
	prepare(t, r, 2, func(e *SQE) { e.PrepNop() })
	if got := reap(t, r, 2); got[1].Res != 50 || got[2].Res != 0 {
		t.Errorf("got %v", got)
	}
}

func testDrain(t *testing.T, r *Ring) {
	buf := make([]byte, 100)
	pr, pw := tempPipe(t)
	prepare(t, r, 1, func(e *SQE) { e.PrepRead(pr, buf[:1], OffCurrent) })
	prepare(t, r, 2, func(e *SQE) { e.PrepNop(); e.SetFlags(SQEIODrain) })
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	if c, err := r.PeekCQE(); c != nil || err != nil {
		t.Errorf("a completion before the drained one: %v, %v", c, err)
	}
	unix.Write(pw, []byte("x"))
	reap(t, r, 2)
}

func testAsync(t *testing.T, r *Ring) {
	_, fd := tempFile(t, pattern(100))
	buf := make([]byte, 100)
	n := must(t, r, func(e *SQE) { e.PrepRead(fd, buf, 0); e.SetFlags(SQEAsync) })
	if n != 100 || !bytes.Equal(buf, pattern(100)) {
		t.Errorf("got %d bytes %s", n, short(buf))
	}
}

func testFixedFile(t *testing.T, r *Ring) {
	_, fd := tempFile(t, pattern(100))
	buf := make([]byte, 100)
	if err := r.RegisterFiles([]int32{-1, int32(fd)}); err != nil {
		t.Fatal(err)
	}
	defer r.UnregisterFiles()
	n := must(t, r, func(e *SQE) { e.PrepRead(1, buf, 0); e.SetFlags(SQEFixedFile) })
	if n != 100 || !bytes.Equal(buf, pattern(100)) {
		t.Errorf("got %d bytes %s", n, short(buf))
	}
	mustFail(t, r, syscall.EBADF, func(e *SQE) { e.PrepRead(0, buf, 0); e.SetFlags(SQEFixedFile) })
}

func testSkipSuccess(t *testing.T, r *Ring) {
	buf := make([]byte, 100)
	if !r.Features().Has(FeatCQESkip) {
		skipBefore(t, "5.17", FeatCQESkip)
	}
	prepare(t, r, 1, func(e *SQE) { e.PrepNop(); e.SetFlags(SQECQESkipSuccess) })
	prepare(t, r, 2, func(e *SQE) { e.PrepRead(-1, buf, 0); e.SetFlags(SQECQESkipSuccess) })
	prepare(t, r, 3, func(e *SQE) { e.PrepNop() })
	got := reap(t, r, 2)
	if c := got[2]; c.Err() != syscall.EBADF || got[3].UserData != 3 {
		t.Errorf("got %v", got)
	}
}

// TestStackMemory prepares a read into an array that is declared on a goroutine's stack, has the
// stack move before the read happens, and finds the data in the array nevertheless: the preparation
// has put it on the heap.
func TestStackMemory(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	pr, pw := tempPipe(t)
	const text = "where is it?"
	done := make(chan string)
	go func() {
		var array [len(text)]byte
		e := r.GetSQE()
		e.PrepRead(pr, array[:], OffCurrent)
		if _, err := r.Submit(); err != nil {
			t.Error(err)
		}
		growStack(1000)
		runtime.GC()
		if _, err := unix.Write(pw, []byte(text)); err != nil {
			t.Error(err)
		}
		if _, err := r.WaitCQE(); err != nil {
			t.Error(err)
		}
		r.AdvanceCQ(1)
		done <- string(array[:])
	}()
	if got := <-done; got != text {
		t.Errorf("got %q, want %q", got, text)
	}
}

// growStack uses some hundred kilobytes of stack.
//
//go:noinline
func growStack(depth int) byte {
	var pad [256]byte
	pad[depth%256] = byte(depth)
	if depth > 0 {
		pad[0] += growStack(depth - 1)
	}
	return pad[0] + pad[depth%256]
}

// TestGCWhileInFlight has the collector run while reads into fresh memory are in flight.
func TestGCWhileInFlight(t *testing.T) {
	r := newRing(t, Config{Entries: 32})
	path, _ := tempFile(t, []byte(strings.Repeat("0123456789abcdef", 4096)))
	fd := openFD(t, path, unix.O_RDONLY)
	for range 20 {
		bufs := make(map[uint64][]byte) // holds the memory reachable, as every user must
		for i := range uint64(32) {
			bufs[i] = make([]byte, 4096)
			prepare(t, r, i, func(e *SQE) { e.PrepRead(fd, bufs[i], i*16); e.SetFlags(SQEAsync) })
		}
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		for u, c := range reap(t, r, 32) {
			if c.Res != 4096 || string(bufs[u][4080:]) != "0123456789abcdef" {
				t.Fatalf("read %d: got %d, %q", u, c.Res, bufs[u][4080:])
			}
		}
	}
}
