package uring

import (
	"math/bits"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// runScheduled is run with a P: for a ring with a hook, which may be any function, under the race detector, whose atomic
// operations need one, and without the links to the runtime.
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
