package stream

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// describe describes f. See fcntl(2), F_GETFL, and fstat(2).
func describe(ctx context.Context, f *ringfile.File) (description, error) {
	result := make(chan description, 1)
	err := call(ctx, f, func(fd int) error {
		var d description
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		var st unix.Stat_t
		if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		d.direct = flags&unix.O_DIRECT != 0
		d.append = flags&unix.O_APPEND != 0
		d.size = math.MaxInt64
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			d.seeks, d.size = true, st.Size
		case unix.S_IFBLK:
			d.seeks = true
		}
		if d.direct {
			d.align = alignment(fd)
			d.serialGrowth, d.serialWrites = serial(fd)
		}
		result <- d
		return nil
	})
	if err != nil {
		return description{}, err
	}
	return <-result, nil
}

// alignment returns the alignment that direct transfers on fd require, 0 if it is not reported. It is
// what ringfile.File.DirectAlign reports, within one call for all properties. See statx(2),
// STATX_DIOALIGN.
func alignment(fd int) int64 {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return 0
	}
	return int64(max(st.Dio_mem_align, st.Dio_offset_align))
}

// f2fsMagic is F2FS_SUPER_MAGIC of the kernel's include/uapi/linux/magic.h.
const f2fsMagic = 0xf2f52010

// serial reports whether the file system of fd serializes direct writes to a file: those that extend
// it, as file systems on disks do, and, on btrfs, all. Several in flight would only make kernel threads
// wait for one another there (docs/decisions.md). File servers may accept many.
func serial(fd int) (growth, all bool) {
	var st unix.Statfs_t
	if retry(func() error { return unix.Fstatfs(fd, &st) }) != nil {
		return false, false
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, f2fsMagic:
		return true, false
	case unix.BTRFS_SUPER_MAGIC:
		return true, true
	}
	return false, false
}

// call makes system calls on the descriptor of f, which stays open in the meantime, as one of the
// bounded blocking calls of f's engine. When ctx ends first, it returns, and do runs on or is never
// started.
func call(ctx context.Context, f *ringfile.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return f.Engine().Call(ctx, f.Name(), func() error {
		var err error
		if conn.Control(func(fd uintptr) { err = do(int(fd)) }) != nil {
			return fs.ErrClosed
		}
		return err
	})
}

// uncachedSupported: there are calls that leave nothing in the page cache.
const uncachedSupported = true

// dropAfter is how many bytes pass before they are waited for, or dropped where RWF_DONTCACHE is
// refused. It is also the most that a call of an uncached stream transfers: a multiple of uncachedUnit.
const dropAfter = 8 << 20

// Replaced by a test.
var (
	dontCache = unix.RWF_DONTCACHE
	preadv2   = unix.Preadv2
	pwritev2  = unix.Pwritev2
)

// readUncached reads into p at off, as much as there is, and drops from the page cache what that has
// brought in; at the end of the file it returns io.EOF. If left is true the context has ended, and the
// kernel may still use p. An error that matches errors.ErrUnsupported means that the file system, or
// the kernel, does not support it. See preadv2(2) and RWF_DONTCACHE of the kernel's
// include/uapi/linux/fs.h (Linux 6.14).
func readUncached(ctx context.Context, f *ringfile.File, p []byte, off int64) (n int, left bool, err error) {
	return moveUncached(ctx, f, p, off, io.EOF, preadv2)
}

// writeUncached writes p at off, starts writing it to the device, and has it dropped from the page
// cache once it is there. Otherwise it is like readUncached, except that it cannot be abandoned: the
// File would not know of the abandoned write, and a newer one to the same range has to wait for it.
func writeUncached(f *ringfile.File, p []byte, off int64) (n int, err error) {
	n, _, err = moveUncached(context.Background(), f, p, off, io.ErrUnexpectedEOF, pwritev2)
	return n, err
}

func moveUncached(ctx context.Context, f *ringfile.File, p []byte, off int64, end error, move func(fd int, iovs [][]byte, off int64, flags int) (int, error)) (n int, left bool, err error) {
	done := make(chan int, 1)
	err = call(ctx, f, func(fd int) error {
		n := 0
		defer func() { done <- n }()
		for n < len(p) {
			m, err := move(fd, [][]byte{p[n:]}, off+int64(n), dontCache)
			switch {
			case err == unix.EINTR:
				continue
			case err != nil:
				return err
			case m == 0:
				return end
			}
			n += m
		}
		return nil
	})
	select {
	case n = <-done:
	default:
		left = true
	}
	return n, left, err
}

// drop drops the range between two offsets, as far as it is on the device, from the page cache. It is a
// hint.
func drop(ctx context.Context, f *ringfile.File, from, to int64) {
	if from < to {
		call(ctx, f, func(fd int) error { return unix.Fadvise(fd, from, to-from, unix.FADV_DONTNEED) })
	}
}

// writeOut starts writing the range between two offsets to the device. See sync_file_range(2).
func writeOut(ctx context.Context, f *ringfile.File, from, to int64) {
	if from < to {
		call(ctx, f, func(fd int) error { return unix.SyncFileRange(fd, from, to-from, unix.SYNC_FILE_RANGE_WRITE) })
	}
}

// beingWritten reports whether a part of the range between two offsets is being written to the device,
// as far as the kernel tells (Linux 6.5): unlike sync_file_range(2) it leaves errors to whoever syncs
// the file. See cachestat(2).
func beingWritten(ctx context.Context, f *ringfile.File, from, to int64) bool {
	if from >= to {
		return false
	}
	pages := make(chan uint64, 1)
	err := call(ctx, f, func(fd int) error {
		var st unix.Cachestat_t
		err := unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(from), Len: uint64(to - from)}, &st, 0)
		pages <- st.Writeback
		return err
	})
	return err == nil && <-pages > 0
}

// retry makes a system call until no signal interrupts it.
func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}

// writeCached writes p at off through the page cache, with O_DIRECT switched off in that moment, so
// that p needs no alignment. Other transfers on f go through the page cache meanwhile, with the same
// results. There is one such write at a time: a context ends the wait for another. p belongs to the
// caller again when it returns. f does not know of such a write that is abandoned: only another one
// waits for it. (With WriteAtContext f would know, but an engine with IOPOLL accepts no writes without
// O_DIRECT.)
func writeCached(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
	t, err := takeTurn(ctx, f)
	if err != nil {
		return err
	}
	if ctx.Done() != nil {
		p = bytes.Clone(p) // the kernel may go on with it after the return
	}
	err = call(ctx, f, func(fd int) error {
		if !t.claim() {
			return nil // the caller has left
		}
		defer t.pass()
		return withoutDirect(fd, func() error { return pwrite(fd, p, off) })
	})
	if t.claim() {
		t.pass() // it has not been started, and never will be
	}
	return err
}

// withoutDirect calls do while O_DIRECT is off for fd. See fcntl(2), F_SETFL.
func withoutDirect(fd int, do func() error) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_DIRECT); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	err = do()
	if _, err1 := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_DIRECT); err1 != nil && err == nil {
		err = os.NewSyscallError("fcntl", err1)
	}
	return err
}

// pwrite writes all of p. See pwrite(2).
func pwrite(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.EIO // as no write of some bytes answers
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}
