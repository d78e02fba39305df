package uring

import "math"

// MaxRW is the most bytes that one read or write transfers; longer buffers are cut to it, which the
// caller sees as a short transfer, as with read(2).
const MaxRW = 0x7ffff000

// prep sets all fields of e.
func (e *SQE) prep(op Op, fd int, addr uint64, n uint32, off uint64) {
	*e = SQE{Opcode: op, FD: int32(fd), Off: off, Addr: addr, Len: n}
}

// count is the length of a buffer or an array as an entry holds it.
func count[T any](s []T) uint32 { return uint32(min(len(s), MaxRW)) }

// fileSlot is how an entry names slot index of the registered files as a target: 0 means none, so
// everything is one up, except FileIndexAlloc.
func fileSlot(index uint32) uint32 {
	if index == FileIndexAlloc {
		return index
	}
	return index + 1
}

// SetUserData sets the number that comes back in [CQE.UserData]. It is 0 after a Prep method.
func (e *SQE) SetUserData(v uint64) { e.UserData = v }

// SetFlags adds flags to those of the entry. A Prep method starts with none, except those that its
// operation needs.
func (e *SQE) SetFlags(flags SQEFlags) { e.Flags |= flags }

// SetPersonality makes the operation run with credentials registered by [Ring.RegisterPersonality].
func (e *SQE) SetPersonality(id uint16) { e.Personality = id }

// SetIOPrio sets the I/O priority of a read or write, as in ioprio_set(2).
func (e *SQE) SetIOPrio(prio uint16) { e.IOPrio = prio }

// SetRWFlags sets the flags of preadv2(2) and pwritev2(2), RWF_NOWAIT and so on, for any kind of read
// or write.
func (e *SQE) SetRWFlags(flags uint32) { e.OpFlags = flags }

// PrepNop does nothing and completes with 0.
func (e *SQE) PrepNop() { e.prep(OpNop, -1, 0, 0, 0) }

// PrepNopResult does nothing and completes with res. It needs Linux 6.10.
func (e *SQE) PrepNopResult(res int32) {
	e.prep(OpNop, -1, 0, uint32(res), 0)
	e.OpFlags = NopInjectResult
}

// PrepRead reads up to len(p) bytes at offset off, as pread(2), or from the file position if off is
// [OffCurrent]. The result is the number of bytes; 0 means the end of the file.
func (e *SQE) PrepRead(fd int, p []byte, off uint64) {
	e.prep(OpRead, fd, addrOfSlice(p), count(p), off)
}

// PrepWrite writes p at offset off, as pwrite(2), or at the file position if off is [OffCurrent]. The
// result is the number of bytes, which may be less than len(p).
func (e *SQE) PrepWrite(fd int, p []byte, off uint64) {
	e.prep(OpWrite, fd, addrOfSlice(p), count(p), off)
}

// PrepReadFixed is PrepRead into p, which lies inside registered buffer bufIndex.
func (e *SQE) PrepReadFixed(fd int, p []byte, off uint64, bufIndex uint16) {
	e.prep(OpReadFixed, fd, addrOfSlice(p), count(p), off)
	e.BufIndex = bufIndex
}

// PrepWriteFixed is PrepWrite of p, which lies inside registered buffer bufIndex.
func (e *SQE) PrepWriteFixed(fd int, p []byte, off uint64, bufIndex uint16) {
	e.prep(OpWriteFixed, fd, addrOfSlice(p), count(p), off)
	e.BufIndex = bufIndex
}

// PrepReadMultishot reads repeatedly from a file that can be polled, like a pipe, each time into a
// buffer of the group bufGroup; n limits each read if it is not 0. It needs Linux 6.7.
func (e *SQE) PrepReadMultishot(fd int, n uint32, off uint64, bufGroup uint16) {
	e.prep(OpReadMultishot, fd, 0, n, off)
	e.BufIndex = bufGroup
	e.Flags = SQEBufferSelect
}

// PrepFsync is fsync(2), or fdatasync(2) with flags [FsyncDatasync].
func (e *SQE) PrepFsync(fd int, flags uint32) {
	e.prep(OpFsync, fd, 0, 0, 0)
	e.OpFlags = flags
}

// PrepFsyncRange is PrepFsync for n bytes at off. Most file systems sync the whole file nevertheless.
func (e *SQE) PrepFsyncRange(fd int, off uint64, n uint32, flags uint32) {
	e.prep(OpFsync, fd, 0, n, off)
	e.OpFlags = flags
}

// PrepSyncFileRange is sync_file_range(2); n = 0 means up to the end of the file.
func (e *SQE) PrepSyncFileRange(fd int, off uint64, n uint32, flags uint32) {
	e.prep(OpSyncFileRange, fd, 0, n, off)
	e.OpFlags = flags
}

// PrepFallocate is fallocate(2).
func (e *SQE) PrepFallocate(fd int, mode uint32, off, length uint64) {
	e.prep(OpFallocate, fd, length, mode, off)
}

// PrepFtruncate is ftruncate(2). It needs Linux 6.9.
func (e *SQE) PrepFtruncate(fd int, length uint64) {
	e.prep(OpFtruncate, fd, 0, 0, length)
}

// PrepOpenat is openat(2). The path ends with a zero byte. The result is the descriptor.
func (e *SQE) PrepOpenat(dfd int, path *byte, flags, mode uint32) {
	e.prep(OpOpenat, dfd, addrOf(path), mode, 0)
	e.OpFlags = flags
}

// PrepOpenatDirect is PrepOpenat into slot index of the registered files, or a free one with
// [FileIndexAlloc]. The result is 0, or the slot that was chosen. The flags are without O_CLOEXEC.
// It needs Linux 5.15.
func (e *SQE) PrepOpenatDirect(dfd int, path *byte, flags, mode uint32, index uint32) {
	e.PrepOpenat(dfd, path, flags, mode)
	e.FileIndex = fileSlot(index)
}

// PrepClose is close(2).
func (e *SQE) PrepClose(fd int) { e.prep(OpClose, fd, 0, 0, 0) }

// PrepCloseDirect empties slot index of the registered files. It needs Linux 5.15.
func (e *SQE) PrepCloseDirect(index uint32) {
	e.prep(OpClose, 0, 0, 0, 0)
	e.FileIndex = fileSlot(index)
}

// PrepUnlinkat is unlinkat(2). It needs Linux 5.11, as PrepRenameat does.
func (e *SQE) PrepUnlinkat(dfd int, path *byte, flags uint32) {
	e.prep(OpUnlinkat, dfd, addrOf(path), 0, 0)
	e.OpFlags = flags
}

// PrepRenameat is renameat2(2).
func (e *SQE) PrepRenameat(oldDFD int, oldPath *byte, newDFD int, newPath *byte, flags uint32) {
	e.prep(OpRenameat, oldDFD, addrOf(oldPath), uint32(newDFD), addrOf(newPath))
	e.OpFlags = flags
}

// PrepMkdirat is mkdirat(2). It needs Linux 5.15, as PrepSymlinkat and PrepLinkat do.
func (e *SQE) PrepMkdirat(dfd int, path *byte, mode uint32) {
	e.prep(OpMkdirat, dfd, addrOf(path), mode, 0)
}

// PrepSymlinkat is symlinkat(2): linkPath, relative to newDFD, will point to target.
func (e *SQE) PrepSymlinkat(target *byte, newDFD int, linkPath *byte) {
	e.prep(OpSymlinkat, newDFD, addrOf(target), 0, addrOf(linkPath))
}

// PrepLinkat is linkat(2).
func (e *SQE) PrepLinkat(oldDFD int, oldPath *byte, newDFD int, newPath *byte, flags uint32) {
	e.prep(OpLinkat, oldDFD, addrOf(oldPath), uint32(newDFD), addrOf(newPath))
	e.OpFlags = flags
}

// PrepFadvise is posix_fadvise(2); n = 0 means up to the end of the file.
func (e *SQE) PrepFadvise(fd int, off uint64, n uint32, advice uint32) {
	e.prep(OpFadvise, fd, 0, n, off)
	e.OpFlags = advice
}

// PrepFadvise64 is PrepFadvise with a length of 64 bits. It needs Linux 6.11; older kernels refuse it
// with EINVAL.
func (e *SQE) PrepFadvise64(fd int, off, n uint64, advice uint32) {
	e.prep(OpFadvise, fd, n, 0, off)
	e.OpFlags = advice
}

// PrepMadvise is madvise(2). The memory should be a mapping, not Go's heap. A length of more than 32
// bits needs Linux 6.11; older kernels refuse it with EINVAL.
func (e *SQE) PrepMadvise(p []byte, advice uint32) {
	e.prep(OpMadvise, -1, addrOfSlice(p), 0, 0)
	if n := uint64(len(p)); n <= math.MaxUint32 {
		e.Len = uint32(n)
	} else {
		e.Off = n
	}
	e.OpFlags = advice
}

// PrepSplice is splice(2): up to n bytes from fdIn to fdOut, one of which is a pipe, whose offset is
// [OffCurrent].
func (e *SQE) PrepSplice(fdIn int, offIn uint64, fdOut int, offOut uint64, n uint32, flags uint32) {
	e.prep(OpSplice, fdOut, offIn, n, offOut)
	e.OpFlags = flags
	e.FileIndex = uint32(fdIn)
}

// PrepTee is tee(2): up to n bytes from one pipe to another without taking them from the first.
func (e *SQE) PrepTee(fdIn, fdOut int, n uint32, flags uint32) {
	e.prep(OpTee, fdOut, 0, n, 0)
	e.OpFlags = flags
	e.FileIndex = uint32(fdIn)
}

// PrepGetxattr is getxattr(2): the attribute name of the file path, into value. The result is the
// length; with an empty value, the length that would be needed. It needs Linux 5.19, as the other
// operations on attributes do.
func (e *SQE) PrepGetxattr(path, name *byte, value []byte) {
	e.prep(OpGetxattr, 0, addrOf(name), count(value), addrOfSlice(value))
	e.Addr3 = addrOf(path)
}

// PrepSetxattr is setxattr(2).
func (e *SQE) PrepSetxattr(path, name *byte, value []byte, flags uint32) {
	e.prep(OpSetxattr, 0, addrOf(name), count(value), addrOfSlice(value))
	e.Addr3 = addrOf(path)
	e.OpFlags = flags
}

// PrepFgetxattr is fgetxattr(2), see PrepGetxattr.
func (e *SQE) PrepFgetxattr(fd int, name *byte, value []byte) {
	e.prep(OpFgetxattr, fd, addrOf(name), count(value), addrOfSlice(value))
}

// PrepFsetxattr is fsetxattr(2).
func (e *SQE) PrepFsetxattr(fd int, name *byte, value []byte, flags uint32) {
	e.prep(OpFsetxattr, fd, addrOf(name), count(value), addrOfSlice(value))
	e.OpFlags = flags
}

// PrepTimeout completes with -ETIME when ts has elapsed, or with 0 when as many other operations as
// completes says have completed first, if that is not 0.
func (e *SQE) PrepTimeout(ts *Timespec, completes uint32, flags uint32) {
	e.prep(OpTimeout, -1, addrOf(ts), 1, uint64(completes))
	e.OpFlags = flags
}

// PrepTimeoutRemove removes the timeout with the given user data.
func (e *SQE) PrepTimeoutRemove(userData uint64, flags uint32) {
	e.prep(OpTimeoutRemove, -1, userData, 0, 0)
	e.OpFlags = flags
}

// PrepTimeoutUpdate gives the timeout with the given user data a new time; with
// [LinkTimeoutUpdate], the link timeout. It needs Linux 5.11.
func (e *SQE) PrepTimeoutUpdate(ts *Timespec, userData uint64, flags uint32) {
	e.prep(OpTimeoutRemove, -1, userData, 0, addrOf(ts))
	e.OpFlags = flags | TimeoutUpdate
}

// PrepLinkTimeout cancels the entry before it, which has [SQEIOLink], when ts has elapsed.
func (e *SQE) PrepLinkTimeout(ts *Timespec, flags uint32) {
	e.prep(OpLinkTimeout, -1, addrOf(ts), 1, 0)
	e.OpFlags = flags
}

// PrepCancel64 cancels the request with the given user data. Its result is 0, -ENOENT if there is
// none, or -EALREADY if it may be too late; the canceled request completes with -ECANCELED or -EINTR.
// With [CancelAll] or [CancelAny] the result is the number of requests found.
func (e *SQE) PrepCancel64(userData uint64, flags uint32) {
	e.prep(OpAsyncCancel, -1, userData, 0, 0)
	e.OpFlags = flags
}

// PrepCancelFD cancels the first request on fd, or all of them with [CancelAll]; with
// [CancelFDFixed], fd is an index. It needs Linux 5.19.
func (e *SQE) PrepCancelFD(fd int, flags uint32) {
	e.prep(OpAsyncCancel, fd, 0, 0, 0)
	e.OpFlags = flags | CancelFD
}

// PrepCancelAny cancels the first request of the ring that can be, or all of them with [CancelAll].
// It needs Linux 5.19.
func (e *SQE) PrepCancelAny(flags uint32) {
	e.prep(OpAsyncCancel, -1, 0, 0, 0)
	e.OpFlags = flags | CancelAny
}

// PrepPollAdd completes once, when fd is ready for one of the events in mask. The result is the set of
// ready events, as in poll(2).
func (e *SQE) PrepPollAdd(fd int, mask uint32) {
	e.prep(OpPollAdd, fd, 0, 0, 0)
	e.OpFlags = pollMask(mask)
}

// PrepPollMultishot is PrepPollAdd with a completion every time fd becomes ready. It needs Linux 5.13.
func (e *SQE) PrepPollMultishot(fd int, mask uint32) {
	e.PrepPollAdd(fd, mask)
	e.Len = PollAddMulti
}

// PrepPollRemove removes the poll with the given user data.
func (e *SQE) PrepPollRemove(userData uint64) {
	e.prep(OpPollRemove, -1, userData, 0, 0)
}

// PrepPollUpdate changes the poll with the given user data: its mask with [PollUpdateEvents], its
// user data with [PollUpdateUserData]. It needs Linux 5.13.
func (e *SQE) PrepPollUpdate(userData, newUserData uint64, mask uint32, flags uint32) {
	e.prep(OpPollRemove, -1, userData, flags, newUserData)
	e.OpFlags = pollMask(mask)
}

// PrepFilesUpdate puts the descriptors in fds into the registered files from slot offset on, see
// [Ring.RegisterFilesUpdate]. The result is the number of slots updated. With offset FileIndexAlloc,
// the kernel chooses free slots and writes their numbers into fds.
func (e *SQE) PrepFilesUpdate(fds []int32, offset uint32) {
	// The kernel compares the lower half of off with FileIndexAlloc.
	e.prep(OpFilesUpdate, -1, addrOfSlice(fds), count(fds), uint64(offset))
}

// PrepMsgRing puts a completion into the ring with descriptor fd: n is its result, data its user
// data. It needs Linux 5.18.
func (e *SQE) PrepMsgRing(fd int, n uint32, data uint64, flags uint32) {
	e.prep(OpMsgRing, fd, MsgData, n, data)
	e.OpFlags = flags
}

// PrepMsgRingCQEFlags is PrepMsgRing that also sets the flags of the completion. It needs Linux 6.3.
func (e *SQE) PrepMsgRingCQEFlags(fd int, n uint32, data uint64, flags uint32, cqeFlags CQEFlags) {
	e.PrepMsgRing(fd, n, data, flags|MsgRingFlagsPass)
	e.FileIndex = uint32(cqeFlags)
}

// PrepMsgRingFD gives the registered file in slot source to the ring with descriptor fd, in its slot
// target or a free one with [FileIndexAlloc]. The other ring gets a completion with user data data.
// It needs Linux 6.0.
func (e *SQE) PrepMsgRingFD(fd int, source, target uint32, data uint64, flags uint32) {
	e.prep(OpMsgRing, fd, MsgSendFD, 0, data)
	e.Addr3 = uint64(source)
	e.FileIndex = fileSlot(target)
	e.OpFlags = flags
}

// PrepProvideBuffers adds nr buffers of size bytes each, which lie one after another in p, to the group
// bufGroup, numbered from bufID on. They belong to the kernel until they are used or removed. It panics
// if p is too short.
func (e *SQE) PrepProvideBuffers(p []byte, size uint32, nr int, bufGroup, bufID uint16) {
	if nr < 0 || uint64(nr)*uint64(size) > uint64(len(p)) {
		panic("uring: PrepProvideBuffers beyond the memory given")
	}
	e.prep(OpProvideBuffers, nr, addrOfSlice(p), size, uint64(bufID))
	e.BufIndex = bufGroup
}

// PrepRemoveBuffers takes up to nr buffers from the group bufGroup. The result is their number.
func (e *SQE) PrepRemoveBuffers(nr int, bufGroup uint16) {
	e.prep(OpRemoveBuffers, nr, 0, 0, 0)
	e.BufIndex = bufGroup
}

// PrepFixedFDInstall makes an ordinary descriptor for the registered file in slot index. The result
// is the descriptor, close-on-exec unless flags say [FixedFDNoCloexec]. It needs Linux 6.8.
func (e *SQE) PrepFixedFDInstall(index uint32, flags uint32) {
	e.prep(OpFixedFDInstall, int(index), 0, 0, 0)
	e.Flags = SQEFixedFile
	e.OpFlags = flags
}

// PrepFutexWait waits until futex is woken, if it holds val. futexFlags are those of futex_wait(2),
// FUTEX2_SIZE_U32 and so on. It needs Linux 6.7, as PrepFutexWake does.
func (e *SQE) PrepFutexWait(futex *uint32, val, mask uint64, futexFlags uint32, flags uint32) {
	e.prep(OpFutexWait, int(futexFlags), addrOf(futex), 0, val)
	e.Addr3 = mask
	e.OpFlags = flags
}

// PrepFutexWake wakes up to val waiters of futex. The result is their number.
func (e *SQE) PrepFutexWake(futex *uint32, val, mask uint64, futexFlags uint32, flags uint32) {
	e.prep(OpFutexWake, int(futexFlags), addrOf(futex), 0, val)
	e.Addr3 = mask
	e.OpFlags = flags
}

// PrepPipe is pipe2(2): the descriptors are written to fds. It needs Linux 6.16.
func (e *SQE) PrepPipe(fds *[2]int32, flags uint32) {
	e.prep(OpPipe, 0, addrOf(fds), 0, 0)
	e.OpFlags = flags
}

// PrepPipeDirect is PrepPipe into the registered files, from slot index on, or into two free ones
// with [FileIndexAlloc], whose numbers are written to fds. It needs Linux 6.16.
func (e *SQE) PrepPipeDirect(fds *[2]int32, flags uint32, index uint32) {
	e.PrepPipe(fds, flags)
	e.FileIndex = fileSlot(index)
}
