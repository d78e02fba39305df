package uring

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// New makes a ring. An error from the kernel is an [*os.SyscallError] that names the call; common ones
// are ENOSYS (no io_uring), EPERM (forbidden by seccomp or the sysctl kernel.io_uring_disabled), ENOMEM
// (no memory, or RLIMIT_MEMLOCK reached) and EINVAL (a flag or a size that the kernel does not accept).
// A kernel or a flag that this package does not support gives an error that wraps
// [errors.ErrUnsupported]. If New fails, nothing is left allocated.
func New(c Config) (*Ring, error) {
	wanted, err := c.check()
	if err != nil {
		return nil, err
	}
	var p Params
	var fd int
	for n := len(wanted); ; n-- {
		p = c.params(wanted, n)
		var errno syscall.Errno
		fd, errno = sysSetup(c.Entries, &p)
		if errno == 0 {
			break
		}
		if errno != syscall.EINVAL || n == 0 {
			return nil, os.NewSyscallError("io_uring_setup", errno)
		}
	}
	return newRingFrom(fd, &p)
}

// newRingFrom makes a Ring of what io_uring_setup(2) has returned. It closes fd if it fails.
func newRingFrom(fd int, p *Params) (*Ring, error) {
	r := &Ring{fd: fd, enterFD: fd, waitArg: new(WaitArg)}
	if err := r.mapMemory(p); err != nil {
		return nil, errors.Join(err, closeFD(fd))
	}
	return r, nil
}

// mapMemory maps the memory of the ring that p describes, and leaves no mapping if it fails.
func (r *Ring) mapMemory(p *Params) (err error) {
	if err := checkFeatures(p.Features); err != nil {
		return err
	}
	// One mapping holds both rings; its size is that of the larger part.
	size := uint64(p.CQOff.CQEs) + uint64(p.CQEntries)*sizeofCQE
	if !p.Flags.Has(SetupNoSQArray) {
		size = max(size, uint64(p.SQOff.Array)+uint64(p.SQEntries)*4)
	}
	rings, err := mapRegion(r.fd, mmapOffSQRing, size, "mmap rings")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unmapRegion(rings))
		}
	}()
	sqes, err := mapRegion(r.fd, mmapOffSQEs, uint64(p.SQEntries)*sizeofSQE, "mmap sqes")
	if err != nil {
		return err
	}
	if err := r.attach(p, rings, sqes); err != nil {
		return errors.Join(err, unmapRegion(sqes))
	}
	r.unmap = unmapRegion
	return nil
}

const (
	sizeofSQE = 64
	sizeofCQE = 16
)

// mapRegion maps size bytes of a ring. A child made by fork does not get the mapping: it could not do
// anything but harm with it.
func mapRegion(fd int, off int64, size uint64, what string) (region, error) {
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if size > uint64(^uint32(0)>>1) {
		return nil, os.NewSyscallError(what, syscall.EINVAL)
	}
	mem, err := unix.Mmap(fd, off, int(size), prot, flags)
	if err != nil {
		return nil, os.NewSyscallError(what, err)
	}
	if err := unix.Madvise(mem, unix.MADV_DONTFORK); err != nil {
		return nil, errors.Join(os.NewSyscallError("madvise", err), unmapRegion(mem))
	}
	return mem, nil
}

func unmapRegion(m region) error {
	return os.NewSyscallError("munmap", unix.Munmap(m))
}

func closeFD(fd int) error {
	return os.NewSyscallError("close", unix.Close(fd))
}
