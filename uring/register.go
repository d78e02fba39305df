package uring

import (
	"os"
	"runtime"
	"structs"
	"syscall"
	"time"
)

// register is one io_uring_register(2). An error names the call.
func register[T any](r *Ring, op RegisterOp, arg *T, n uint32) (int, error) {
	res, errno := 0, syscall.EBADF
	if r.fd >= 0 { // -1 is no error to the kernel: some calls need no ring
		res, errno = sysRegister(r.fd, op, arg, n)
	}
	if errno != 0 {
		return 0, os.NewSyscallError("io_uring_register "+op.String(), errno)
	}
	return res, nil
}

// noArg is for calls without an argument.
var noArg *byte

// RegisterFiles creates a table of the descriptors fds, for entries with [SQEFixedFile]; -1 makes an
// empty slot. The table keeps the files open, not the descriptors.
func (r *Ring) RegisterFiles(fds []int32) error {
	if len(fds) == 0 {
		return os.NewSyscallError("io_uring_register "+RegFiles.String(), syscall.EINVAL)
	}
	_, err := register(r, RegFiles, &fds[0], uint32(len(fds)))
	return err
}

// RegisterFilesSparse creates a table of n empty slots. It needs Linux 5.19; on older kernels
// RegisterFiles with -1 in every slot does the same.
func (r *Ring) RegisterFilesSparse(n uint32) error {
	_, err := register(r, RegFiles2, &rsrcRegister{nr: n, flags: RsrcRegisterSparse}, sizeofRsrc)
	return err
}

// RegisterFilesTags is RegisterFiles with a tag for each slot: when a file with a nonzero tag has been
// replaced and its last request has completed, a completion with the tag as user data is posted. From
// Linux 6.13 on, that also happens when the whole table is unregistered. It needs FeatRsrcTags.
func (r *Ring) RegisterFilesTags(fds []int32, tags []uint64) error {
	if len(tags) != len(fds) {
		panic("uring: RegisterFilesTags with a different number of tags")
	}
	arg := &rsrcRegister{nr: uint32(len(fds)), data: addrOfSlice(fds), tags: addrOfSlice(tags)}
	_, err := register(r, RegFiles2, arg, sizeofRsrc)
	runtime.KeepAlive(fds)
	runtime.KeepAlive(tags)
	return err
}

// RegisterFilesUpdate puts the descriptors fds into the table from slot offset on: -1 empties a slot,
// [FilesSkip] leaves it unchanged. It returns the number of slots updated.
func (r *Ring) RegisterFilesUpdate(offset uint32, fds []int32) (int, error) {
	arg := &rsrcUpdate{offset: offset, data: addrOfSlice(fds)}
	n, err := register(r, RegFilesUpdate, arg, uint32(len(fds)))
	runtime.KeepAlive(fds)
	return n, err
}

// RegisterFilesUpdateTags is RegisterFilesUpdate with tags, see RegisterFilesTags.
func (r *Ring) RegisterFilesUpdateTags(offset uint32, fds []int32, tags []uint64) (int, error) {
	if len(tags) != len(fds) {
		panic("uring: RegisterFilesUpdateTags with a different number of tags")
	}
	arg := &rsrcUpdate2{offset: offset, nr: uint32(len(fds)), data: addrOfSlice(fds), tags: addrOfSlice(tags)}
	n, err := register(r, RegFilesUpdate2, arg, sizeofRsrc)
	runtime.KeepAlive(fds)
	runtime.KeepAlive(tags)
	return n, err
}

// UnregisterFiles removes the table. It does not wait for requests that use it.
func (r *Ring) UnregisterFiles() error {
	_, err := register(r, RegUnregFiles, noArg, 0)
	return err
}

// RegisterFileAllocRange restricts [FileIndexAlloc] to the n slots from offset on. It needs Linux 6.0.
func (r *Ring) RegisterFileAllocRange(offset, n uint32) error {
	_, err := register(r, RegFileAllocRange, &fileIndexRange{off: offset, len: n}, 0)
	return err
}

// sizeofRsrc is the size of both rsrcRegister and rsrcUpdate2, which their calls want as a number.
const sizeofRsrc = 32

// iovecs returns bufs in the form that the kernel wants. The array holds the memory reachable.
func iovecs(bufs [][]byte) []iovec {
	iovs := make([]iovec, len(bufs))
	for i, b := range bufs {
		if len(b) > 0 {
			iovs[i] = iovec{base: &b[0], len: uintptr(len(b))}
		}
	}
	return iovs
}

// RegisterBuffers creates a table of the buffers bufs for the fixed reads and writes. The kernel pins
// their pages, which counts against RLIMIT_MEMLOCK. An empty buffer makes an empty slot (Linux 5.13 and
// newer).
//
// The memory should come from mmap(2). If it is on Go's heap, it must stay reachable until it has been
// unregistered and all requests that use it have completed: the pages stay pinned even if the heap
// releases them.
func (r *Ring) RegisterBuffers(bufs [][]byte) error {
	iovs := iovecs(bufs)
	if len(iovs) == 0 {
		return os.NewSyscallError("io_uring_register "+RegBuffers.String(), syscall.EINVAL)
	}
	_, err := register(r, RegBuffers, &iovs[0], uint32(len(iovs)))
	return err
}

// RegisterBuffersSparse creates a table of n empty slots. It needs Linux 5.19.
func (r *Ring) RegisterBuffersSparse(n uint32) error {
	_, err := register(r, RegBuffers2, &rsrcRegister{nr: n, flags: RsrcRegisterSparse}, sizeofRsrc)
	return err
}

// RegisterBuffersTags is RegisterBuffers with a tag for each slot, see RegisterFilesTags.
func (r *Ring) RegisterBuffersTags(bufs [][]byte, tags []uint64) error {
	if len(tags) != len(bufs) {
		panic("uring: RegisterBuffersTags with a different number of tags")
	}
	iovs := iovecs(bufs)
	arg := &rsrcRegister{nr: uint32(len(iovs)), data: addrOfSlice(iovs), tags: addrOfSlice(tags)}
	_, err := register(r, RegBuffers2, arg, sizeofRsrc)
	runtime.KeepAlive(iovs)
	runtime.KeepAlive(tags)
	return err
}

// RegisterBuffersUpdate puts bufs into the table from slot offset on; an empty buffer empties a slot.
// tags may be nil. It returns the number of slots updated. A replaced buffer stays pinned until the
// last request that uses it has completed, which its tag reports. It needs FeatRsrcTags.
func (r *Ring) RegisterBuffersUpdate(offset uint32, bufs [][]byte, tags []uint64) (int, error) {
	if tags != nil && len(tags) != len(bufs) {
		panic("uring: RegisterBuffersUpdate with a different number of tags")
	}
	iovs := iovecs(bufs)
	arg := &rsrcUpdate2{offset: offset, nr: uint32(len(iovs)), data: addrOfSlice(iovs), tags: addrOfSlice(tags)}
	n, err := register(r, RegBuffersUpdate, arg, sizeofRsrc)
	runtime.KeepAlive(iovs)
	runtime.KeepAlive(tags)
	return n, err
}

// UnregisterBuffers removes the table.
func (r *Ring) UnregisterBuffers() error {
	_, err := register(r, RegUnregBuffers, noArg, 0)
	return err
}

// RegisterRingFD registers the ring's own descriptor with the calling thread, which makes each enter a
// little cheaper. From then on, until UnregisterRingFD, only this thread may use the ring, so the
// goroutine must be locked to it with [runtime.LockOSThread]: in any other thread the index refers to
// another ring, or none. It needs Linux 5.18.
func (r *Ring) RegisterRingFD() error {
	arg := &rsrcUpdate{offset: ^uint32(0), data: uint64(r.fd)}
	if _, err := register(r, RegRingFDs, arg, 1); err != nil {
		return err
	}
	r.enterFD, r.enterFlags = int(arg.offset), EnterRegisteredRing
	return nil
}

// UnregisterRingFD undoes RegisterRingFD. It must be called in the same thread.
func (r *Ring) UnregisterRingFD() error {
	if r.enterFlags&EnterRegisteredRing == 0 {
		return nil
	}
	if _, err := register(r, RegUnregRingFDs, &rsrcUpdate{offset: uint32(r.enterFD)}, 1); err != nil {
		return err
	}
	r.enterFD, r.enterFlags = r.fd, 0
	return nil
}

// RegisterEventFD makes the kernel add to the eventfd(2) fd when completions arrive. The count is not
// the number of completions.
func (r *Ring) RegisterEventFD(fd int) error {
	arg := int32(fd)
	_, err := register(r, RegEventFD, &arg, 1)
	return err
}

// RegisterEventFDAsync is RegisterEventFD only for completions that did not happen during submission.
func (r *Ring) RegisterEventFDAsync(fd int) error {
	arg := int32(fd)
	_, err := register(r, RegEventFDAsync, &arg, 1)
	return err
}

// UnregisterEventFD undoes RegisterEventFD.
func (r *Ring) UnregisterEventFD() error {
	_, err := register(r, RegUnregEventFD, noArg, 0)
	return err
}

// SetEventFDEnabled turns the notifications of RegisterEventFD on or off without a system call. It
// reports whether the kernel supports that (Linux 5.8).
func (r *Ring) SetEventFDEnabled(on bool) bool {
	if r.cq.flags == nil {
		return false
	}
	if on {
		r.cq.flags.And(^uint32(CQEventFDDisabled))
	} else {
		r.cq.flags.Or(uint32(CQEventFDDisabled))
	}
	return true
}

// RegisterIOWQMaxWorkers limits the kernel's worker threads for bounded work (regular files, block
// devices) and unbounded work (everything else), and returns the previous limits; 0 means no change.
// The workers and the limit belong to the submitting thread; a new limit applies to the threads that
// have used the ring, and to those that use it later. It needs Linux 5.15.
func (r *Ring) RegisterIOWQMaxWorkers(bounded, unbounded uint32) (oldBounded, oldUnbounded uint32, err error) {
	arg := new([2]uint32)
	arg[wqBound], arg[wqUnbound] = bounded, unbounded
	if _, err := register(r, RegIOWQMaxWorkers, arg, 2); err != nil {
		return 0, 0, err
	}
	return arg[wqBound], arg[wqUnbound], nil
}

// RegisterPersonality registers the credentials of the calling thread, for [SQE.SetPersonality].
func (r *Ring) RegisterPersonality() (id uint16, err error) {
	n, err := register(r, RegPersonality, noArg, 0)
	return uint16(n), err
}

// UnregisterPersonality undoes RegisterPersonality.
func (r *Ring) UnregisterPersonality(id uint16) error {
	_, err := register(r, RegUnregPersonality, noArg, uint32(id))
	return err
}

// Restriction allows something on a ring, see [Ring.RegisterRestrictions]
// (struct io_uring_restriction).
type Restriction struct {
	_      structs.HostLayout
	opcode uint16
	arg    uint8
	resv   uint8
	resv2  [3]uint32
}

// AllowRegister allows op for io_uring_register(2).
func AllowRegister(op RegisterOp) Restriction {
	return Restriction{opcode: restrictRegisterOp, arg: uint8(op)}
}

// AllowOp allows entries with operation op.
func AllowOp(op Op) Restriction { return Restriction{opcode: restrictSQEOp, arg: uint8(op)} }

// AllowSQEFlags allows flags on entries.
func AllowSQEFlags(flags SQEFlags) Restriction {
	return Restriction{opcode: restrictSQEFlagsAllowed, arg: uint8(flags)}
}

// RequireSQEFlags requires flags on entries.
func RequireSQEFlags(flags SQEFlags) Restriction {
	return Restriction{opcode: restrictSQEFlagsRequired, arg: uint8(flags)}
}

// RegisterRestrictions limits what can be done with a ring that was made with [SetupRDisabled] and is not
// yet enabled: anything not allowed here is refused with EACCES. It works once.
func (r *Ring) RegisterRestrictions(rs []Restriction) error {
	if len(rs) == 0 {
		return os.NewSyscallError("io_uring_register "+RegRestrictions.String(), syscall.EINVAL)
	}
	_, err := register(r, RegRestrictions, &rs[0], uint32(len(rs)))
	return err
}

// EnableRings starts a ring that was made with [SetupRDisabled]. With SetupSingleIssuer, the calling
// thread becomes the one that may submit.
func (r *Ring) EnableRings() error {
	_, err := register(r, RegEnableRings, noArg, 0)
	return err
}

// Forever is a timeout that does not end.
const Forever time.Duration = -1

// SyncCancel cancels requests as an entry of [SQE.PrepCancel64] does, and then waits until they have
// completed, for at most timeout, or without limit if that is [Forever]. flags select the requests: by
// userData, by fd, or all. The error is ENOENT if there is none, ETIME if the timeout expired. The
// completions are posted as usual. It needs Linux 6.0.
func (r *Ring) SyncCancel(userData uint64, fd int, flags uint32, timeout time.Duration) error {
	arg := &syncCancelReg{addr: userData, fd: int32(fd), flags: flags, timeout: Timespec{Sec: -1, Nsec: -1}}
	if timeout >= 0 {
		arg.timeout = NewTimespec(timeout)
	}
	_, err := register(r, RegSyncCancel, arg, 1)
	return err
}

// RegisterClock selects the clock for the timeouts of waits: CLOCK_MONOTONIC, which is the default, or
// CLOCK_BOOTTIME. It needs Linux 6.12.
func (r *Ring) RegisterClock(clockID uint32) error {
	_, err := register(r, RegClock, &clockRegister{clockID: clockID}, 0)
	return err
}
