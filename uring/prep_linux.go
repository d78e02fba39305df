package uring

import (
	"golang.org/x/sys/unix"
)

// sizeofOpenHow is how the kernel tells versions of struct open_how apart.
const sizeofOpenHow = unix.SizeofOpenHow

// PrepReadv reads into the buffers iovs in turn, as preadv2(2) with the flags rwf. The vector itself
// also belongs to the kernel until the completion.
func (e *SQE) PrepReadv(fd int, iovs []unix.Iovec, off uint64, rwf uint32) {
	e.prep(OpReadv, fd, addrOfSlice(iovs), count(iovs), off)
	e.OpFlags = rwf
}

// PrepWritev writes the buffers iovs in turn, as pwritev2(2) with the flags rwf.
func (e *SQE) PrepWritev(fd int, iovs []unix.Iovec, off uint64, rwf uint32) {
	e.prep(OpWritev, fd, addrOfSlice(iovs), count(iovs), off)
	e.OpFlags = rwf
}

// PrepReadvFixed is PrepReadv with buffers that all lie inside registered buffer bufIndex. It needs
// Linux 6.15, as PrepWritevFixed does.
func (e *SQE) PrepReadvFixed(fd int, iovs []unix.Iovec, off uint64, rwf uint32, bufIndex uint16) {
	e.prep(OpReadvFixed, fd, addrOfSlice(iovs), count(iovs), off)
	e.OpFlags = rwf
	e.BufIndex = bufIndex
}

// PrepWritevFixed is PrepWritev with buffers that all lie inside registered buffer bufIndex.
func (e *SQE) PrepWritevFixed(fd int, iovs []unix.Iovec, off uint64, rwf uint32, bufIndex uint16) {
	e.prep(OpWritevFixed, fd, addrOfSlice(iovs), count(iovs), off)
	e.OpFlags = rwf
	e.BufIndex = bufIndex
}

// PrepOpenat2 is openat2(2). The result is the descriptor.
func (e *SQE) PrepOpenat2(dfd int, path *byte, how *unix.OpenHow) {
	e.prep(OpOpenat2, dfd, addrOf(path), sizeofOpenHow, addrOf(how))
}

// PrepOpenat2Direct is PrepOpenat2 into the registered files, see [SQE.PrepOpenatDirect].
func (e *SQE) PrepOpenat2Direct(dfd int, path *byte, how *unix.OpenHow, index uint32) {
	e.PrepOpenat2(dfd, path, how)
	e.FileIndex = fileSlot(index)
}

// PrepStatx is statx(2), into st.
func (e *SQE) PrepStatx(dfd int, path *byte, flags, mask uint32, st *unix.Statx_t) {
	e.prep(OpStatx, dfd, addrOf(path), mask, addrOf(st))
	e.OpFlags = flags
}

// PrepEpollWait is epoll_wait(2) without its timeout. The result is the number of events. It needs
// Linux 6.15.
func (e *SQE) PrepEpollWait(fd int, events []unix.EpollEvent, flags uint32) {
	e.prep(OpEpollWait, fd, addrOfSlice(events), count(events), 0)
	e.OpFlags = flags
}
