package uring

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/race"
)

// The runtime keeps these two for others to link to (go.dev/issue/67401). Between them a goroutine is in a system call,
// without a P, and may do what may be done there: no stack growth, so nothing but functions that are marked nosplit, also
// where the compiler does not inline; no pointer stored; no memory allocated. The stack is not moved, and the garbage
// collector scans it up to the caller of entersyscallblock.

//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// run is Run, but for its result.
//
//go:norace
//go:nosplit
func (s *Submitter) run() syscall.Errno {
	if s.ring.hook != nil || race.Enabled {
		return s.runScheduled()
	}
	l := submitLoop{
		head:      (*uint32)(unsafe.Pointer(s.ring.sq.head)),
		tail:      (*uint32)(unsafe.Pointer(s.ring.sq.tail)),
		asleep:    (*uint32)(unsafe.Pointer(&s.asleep)),
		interrupt: (*uint32)(unsafe.Pointer(&s.interrupt)),
		counts:    (*[2 + batchSizes]uint64)(unsafe.Pointer(s.counts)),
		fd:        uintptr(s.ring.enterFD),
		flags:     uintptr(s.ring.enterFlags),
	}
	entersyscallblock()
	errno := l.run()
	exitsyscall()
	runtime.KeepAlive(s)
	return errno
}

// submitLoop is what the loop needs: plain words instead of atomic types, the methods of which may split the stack. The
// frames are small, as the stack must suffice.
type submitLoop struct {
	head, tail        *uint32
	asleep, interrupt *uint32
	counts            *[2 + batchSizes]uint64 // SubmitCounts
	fd, flags         uintptr
}

// run runs outside of the scheduler.
//
//go:norace
//go:nosplit
//go:noinline
func (l *submitLoop) run() syscall.Errno {
	for {
		// In this order: what became visible after Interrupt is not submitted.
		n := atomic.LoadUint32(l.tail) - atomic.LoadUint32(l.head)
		if atomic.SwapUint32(l.interrupt, 0) != 0 {
			return 0
		}
		if n == 0 {
			// One of Wake and the second look sees the other.
			atomic.StoreUint32(l.asleep, asleep)
			if atomic.LoadUint32(l.tail) == atomic.LoadUint32(l.head) && atomic.LoadUint32(l.interrupt) == 0 {
				syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(l.asleep)), futexWaitPrivate, asleep, 0, 0, 0)
			}
			atomic.StoreUint32(l.asleep, awake)
			continue
		}
		done, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, l.fd, uintptr(n), 0, l.flags, 0, 0)
		atomic.AddUint64(&l.counts[0], 1)
		if errno != 0 && errno != syscall.EINTR {
			return errno
		}
		if errno != 0 || done == 0 {
			continue
		}
		atomic.AddUint64(&l.counts[1], uint64(done))
		size := uintptr(0)
		for ; done > 1 && size < batchSizes-1; done /= 2 {
			size++
		}
		// Without a check of bounds: what is called when that fails would want more stack.
		atomic.AddUint64((*uint64)(unsafe.Add(unsafe.Pointer(l.counts), (2+size)*8)), 1)
	}
}

// runScheduled is run with a P: for a ring with a hook, which may be any function, and under the race detector, whose
// atomic operations need one.
func (s *Submitter) runScheduled() syscall.Errno {
	for {
		n := s.ring.SQReady()
		if s.interrupt.Swap(0) != 0 {
			return 0
		}
		if n == 0 {
			s.asleep.Store(asleep)
			if s.ring.SQReady() == 0 && s.interrupt.Load() == 0 {
				syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.asleep)), futexWaitPrivate, asleep, 0, 0, 0)
			}
			s.asleep.Store(awake)
			continue
		}
		done, err := s.ring.Enter(n, 0, 0)
		s.counts.Enters.Add(1)
		if err != nil && err != syscall.EINTR {
			return err.(syscall.Errno)
		}
		if done > 0 {
			s.counts.Submitted.Add(uint64(done))
			s.counts.Batches[min(bits.Len(uint(done)), batchSizes)-1].Add(1)
		}
	}
}

// FUTEX_WAIT and FUTEX_WAKE with FUTEX_PRIVATE_FLAG (linux/futex.h).
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// futexWake wakes one thread. The call waits for nothing.
func futexWake(addr *atomic.Uint32) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(addr)), futexWakePrivate, 1, 0, 0, 0)
}
