package uring

import (
	"structs"
	"syscall"
)

// SQE is a submission queue entry: the description of one operation (struct io_uring_sqe). Each union
// of the kernel's struct is one field, named after its most common use:
//
//   - Off is also addr2, Addr also splice_off_in, OpFlags every operation's own flags,
//   - BufIndex also buf_group, FileIndex also splice_fd_in and file_index.
//
// The entries of a ring lie in memory shared with the kernel and are reused without being cleared, so
// every Prep method sets all fields.
type SQE struct {
	_           structs.HostLayout
	Opcode      Op
	Flags       SQEFlags
	IOPrio      uint16
	FD          int32
	Off         uint64
	Addr        uint64
	Len         uint32
	OpFlags     uint32
	UserData    uint64
	BufIndex    uint16
	Personality uint16
	FileIndex   uint32
	Addr3       uint64
	Pad         uint64
}

// CQE is a completion queue entry: the result of one operation (struct io_uring_cqe). Res is what the
// system call of the same name returns, or a negated errno. UserData is the value that the submission
// entry carried.
type CQE struct {
	_        structs.HostLayout
	UserData uint64
	Res      int32
	Flags    CQEFlags
}

// Err returns the errno in c.Res as a [syscall.Errno], or nil if the operation succeeded.
func (c *CQE) Err() error {
	if c.Res >= 0 {
		return nil
	}
	return syscall.Errno(-c.Res)
}

// Params is the argument of io_uring_setup(2) (struct io_uring_params): the request on the way in; what
// was granted, and where it is mapped, on the way out.
type Params struct {
	_            structs.HostLayout
	SQEntries    uint32
	CQEntries    uint32
	Flags        SetupFlags
	SQThreadCPU  uint32
	SQThreadIdle uint32 // milliseconds
	Features     Features
	WQFD         uint32
	Resv         [3]uint32
	SQOff        SQRingOffsets
	CQOff        CQRingOffsets
}

// SQRingOffsets says where the parts of the submission ring are in its mapping (struct
// io_sqring_offsets).
type SQRingOffsets struct {
	_           structs.HostLayout
	Head        uint32
	Tail        uint32
	RingMask    uint32
	RingEntries uint32
	Flags       uint32
	Dropped     uint32
	Array       uint32
	Resv1       uint32
	UserAddr    uint64
}

// CQRingOffsets says where the parts of the completion ring are in its mapping (struct
// io_cqring_offsets).
type CQRingOffsets struct {
	_           structs.HostLayout
	Head        uint32
	Tail        uint32
	RingMask    uint32
	RingEntries uint32
	Overflow    uint32
	CQEs        uint32
	Flags       uint32
	Resv1       uint32
	UserAddr    uint64
}

// Timespec is a point in time or a span of it, 64-bit on every architecture
// (struct __kernel_timespec).
type Timespec struct {
	_    structs.HostLayout
	Sec  int64
	Nsec int64
}

// getEventsArg is the extended argument of io_uring_enter(2) (struct io_uring_getevents_arg).
type getEventsArg struct {
	_           structs.HostLayout
	sigmask     uint64
	sigmaskSize uint32
	minWaitUsec uint32
	ts          uint64
}

// probeOp tells about one operation (struct io_uring_probe_op).
type probeOp struct {
	_     structs.HostLayout
	op    Op
	resv  uint8
	flags uint16
	resv2 uint32
}

// probeOpsMax is the number of operations that fit an SQE's opcode.
const probeOpsMax = 256

// probeArg is the argument of RegProbe with its flexible array at full length
// (struct io_uring_probe).
type probeArg struct {
	_      structs.HostLayout
	lastOp Op
	opsLen uint8
	resv   uint16
	resv2  [3]uint32
	ops    [probeOpsMax]probeOp
}

// rsrcRegister is the argument of RegFiles2 and RegBuffers2 (struct io_uring_rsrc_register).
type rsrcRegister struct {
	_     structs.HostLayout
	nr    uint32
	flags uint32
	resv2 uint64
	data  uint64
	tags  uint64
}

// rsrcUpdate is the argument of RegFilesUpdate and RegRingFDs (struct io_uring_rsrc_update).
type rsrcUpdate struct {
	_      structs.HostLayout
	offset uint32
	resv   uint32
	data   uint64
}

// rsrcUpdate2 is the argument of RegFilesUpdate2 and RegBuffersUpdate
// (struct io_uring_rsrc_update2).
type rsrcUpdate2 struct {
	_      structs.HostLayout
	offset uint32
	resv   uint32
	data   uint64
	tags   uint64
	nr     uint32
	resv2  uint32
}

// syncCancelReg is the argument of RegSyncCancel (struct io_uring_sync_cancel_reg).
type syncCancelReg struct {
	_       structs.HostLayout
	addr    uint64
	fd      int32
	flags   uint32
	timeout Timespec
	opcode  Op
	pad     [7]uint8
	pad2    [3]uint64
}

// fileIndexRange is the argument of RegFileAllocRange (struct io_uring_file_index_range).
type fileIndexRange struct {
	_    structs.HostLayout
	off  uint32
	len  uint32
	resv uint64
}

// clockRegister is the argument of RegClock (struct io_uring_clock_register).
type clockRegister struct {
	_       structs.HostLayout
	clockID uint32
	resv    [3]uint32
}

// iovec is a buffer as the kernel wants it in RegBuffers2 (struct iovec).
type iovec struct {
	_    structs.HostLayout
	base *byte
	len  uintptr
}
