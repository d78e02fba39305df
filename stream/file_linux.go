package stream

import (
	"bytes"
	"context"
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

// alignment returns what direct transfers on fd ask for, 0 if that is not told. It is what
// ringfile.File.DirectAlign reports, within one call for all. See statx(2), STATX_DIOALIGN.
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

// serial tells whether the file system of fd takes direct writes to a file one at a time: those that
// make it longer, as disks' file systems do, and, on btrfs, all. Several in flight would only make the
// kernel's threads wait for one another there (docs/decisions.md). File servers may take many.
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

// call makes system calls on the descriptor of f, which stays open meanwhile, as one of the bounded
// blocking calls of f's engine. When ctx ends first, it returns, and do runs on or is never started.
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

// retry makes a system call until no signal interrupts it.
func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}

// writeCached writes p at off through the page cache, with O_DIRECT switched off in that moment, so that
// p needs no alignment. Other transfers on f go through the page cache in that time, with the same
// results. One such write at a time: a context ends the wait for another. p is the caller's again at the
// return.
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
