//go:build !ringfile_nolinkname && !go1.28

package uring

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/race"
)

// The Go project calls these two internal details, and keeps them for gVisor and others that link to them
// (go.dev/issue/67401). A version of Go that this has not been tested with, and the build tag ringfile_nolinkname, do
// without (submitter_scheduled_linux.go). Between them a goroutine is in a system call,
// without a P, and may do what may be done there: no stack growth, so nothing but functions that are marked nosplit, also
// where the compiler does not inline; no pointer stored; no memory allocated. The stack is not moved, and the garbage
// collector scans it up to the caller of entersyscallblock.

// linked is whether the submitter works without a P.
const linked = !race.Enabled

//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// run is Run, but for its result.
//
//go:norace
//go:nosplit
func (s *Submitter) run() syscall.Errno {
	if s.ring.hook != nil || !linked {
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
