package ringfile

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// newFixedMemory maps memory for n buffers. A child made by fork does not get it: the kernel may be
// about to write to it, and copying it on write would part it from its registration.
func newFixedMemory(n, size int) (*fixedMemory, error) {
	m := &fixedMemory{size: size, stride: roundTo(size, fixedStride)}
	mem, err := unix.Mmap(-1, 0, n*m.stride, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	m.mem = mem
	if err := unix.Madvise(mem, unix.MADV_DONTFORK); err != nil {
		m.unmap()
		return nil, os.NewSyscallError("madvise", err)
	}
	m.init(n)
	return m, nil
}

func (m *fixedMemory) unmap() { unix.Munmap(m.mem) }

// register puts mem into a slot of each ring's table, or into none.
func (g *registry) register(e *Engine, slot int, mem []byte) error {
	if !g.ready {
		for i, r := range e.rings {
			if err := r.u.RegisterBuffersSparse(fixedSlots); err != nil {
				for _, r := range e.rings[:i] {
					r.u.UnregisterBuffers()
				}
				return err
			}
		}
		g.ready = true
	}
	bufs := [][]byte{mem}
	for i, r := range e.rings {
		// A clone is pinned, and counted against the limit, once for all rings (Linux 6.13).
		if i > 0 && r.u.RegisterCloneBuffers(e.rings[0].u, uint32(slot), uint32(slot), 1) == nil {
			continue
		}
		if _, err := r.u.RegisterBuffersUpdate(uint32(slot), bufs, nil); err != nil {
			g.unregister(e, slot)
			return err
		}
	}
	return nil
}

// unregister empties a slot of each ring.
func (g *registry) unregister(e *Engine, slot int) {
	for _, r := range e.rings {
		r.u.RegisterBuffersUpdate(uint32(slot), [][]byte{nil}, nil)
	}
}

// unregistered explains why memory could not be registered.
func unregistered(err error) *UnavailableError {
	e := &UnavailableError{Op: "register", Err: err, feature: "registered buffers are"}
	facts := readFacts()
	switch {
	case errors.Is(err, syscall.ENOMEM):
		e.Hint = "registered memory counts against RLIMIT_MEMLOCK, now " + facts.memlock + "; raise it (ulimit -l, LimitMEMLOCK=), or make the pool smaller"
	case errors.Is(err, syscall.EINVAL):
		e.Hint = "the kernel (" + facts.release + ") has no sparse tables; Linux 5.19 or newer is needed"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOSYS):
		e.Hint = "a seccomp or security policy refuses io_uring_register"
	}
	return e
}
