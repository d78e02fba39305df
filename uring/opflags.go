package uring

// OffCurrent is the offset that stands for the file position: the operation starts there and moves
// it, as read(2) and write(2) do. It needs FeatRWCurPos. Splice takes it for "no offset", on pipes.
const OffCurrent = ^uint64(0)

// FileIndexAlloc asks a direct operation to choose a free slot itself; the slot is the result.
// (IORING_FILE_INDEX_ALLOC, Linux 5.19)
const FileIndexAlloc uint32 = ^uint32(0)

// FilesSkip in a files update leaves its slot as it is. (IORING_REGISTER_FILES_SKIP, Linux 5.12)
const FilesSkip int32 = -2

// FsyncDatasync makes PrepFsync an fdatasync(2). (IORING_FSYNC_DATASYNC, Linux 5.1)
const FsyncDatasync uint32 = 1 << 0

// The flags of PrepTimeout, PrepTimeoutUpdate and PrepLinkTimeout.
const (
	TimeoutAbs          uint32 = 1 << 0 // a point in time, not a span (IORING_TIMEOUT_ABS, Linux 5.5)
	TimeoutUpdate       uint32 = 1 << 1 // set by PrepTimeoutUpdate (IORING_TIMEOUT_UPDATE, Linux 5.11)
	TimeoutBoottime     uint32 = 1 << 2 // CLOCK_BOOTTIME (IORING_TIMEOUT_BOOTTIME, Linux 5.15)
	TimeoutRealtime     uint32 = 1 << 3 // CLOCK_REALTIME (IORING_TIMEOUT_REALTIME, Linux 5.15)
	LinkTimeoutUpdate   uint32 = 1 << 4 // update a link timeout (IORING_LINK_TIMEOUT_UPDATE, Linux 5.15)
	TimeoutETimeSuccess uint32 = 1 << 5 // ETIME keeps a chain (IORING_TIMEOUT_ETIME_SUCCESS, Linux 5.16)
	TimeoutMultishot    uint32 = 1 << 6 // fire repeatedly (IORING_TIMEOUT_MULTISHOT, Linux 6.4)
	TimeoutImmediateArg uint32 = 1 << 7 // nanoseconds instead of a Timespec (IORING_TIMEOUT_IMMEDIATE_ARG, after Linux 6.19)

	TimeoutClockMask  = TimeoutBoottime | TimeoutRealtime // (IORING_TIMEOUT_CLOCK_MASK, Linux 5.15)
	TimeoutUpdateMask = TimeoutUpdate | LinkTimeoutUpdate // (IORING_TIMEOUT_UPDATE_MASK, Linux 5.15)
)

// The flags of the poll operations.
const (
	PollAddMulti       uint32 = 1 << 0 // a completion for every event (IORING_POLL_ADD_MULTI, Linux 5.13)
	PollUpdateEvents   uint32 = 1 << 1 // change the mask (IORING_POLL_UPDATE_EVENTS, Linux 5.13)
	PollUpdateUserData uint32 = 1 << 2 // change user_data (IORING_POLL_UPDATE_USER_DATA, Linux 5.13)
	PollAddLevel       uint32 = 1 << 3 // level-triggered (IORING_POLL_ADD_LEVEL, Linux 6.0)
)

// The flags of the cancel operations and of Ring.SyncCancel. Without any, the first request with
// the given user_data is canceled.
const (
	CancelAll      uint32 = 1 << 0 // all that match (IORING_ASYNC_CANCEL_ALL, Linux 5.19)
	CancelFD       uint32 = 1 << 1 // match by descriptor (IORING_ASYNC_CANCEL_FD, Linux 5.19)
	CancelAny      uint32 = 1 << 2 // match everything (IORING_ASYNC_CANCEL_ANY, Linux 5.19)
	CancelFDFixed  uint32 = 1 << 3 // the descriptor is registered (IORING_ASYNC_CANCEL_FD_FIXED, Linux 6.0)
	CancelUserData uint32 = 1 << 4 // match by user_data (IORING_ASYNC_CANCEL_USERDATA, Linux 6.6)
	CancelOp       uint32 = 1 << 5 // match by operation (IORING_ASYNC_CANCEL_OP, Linux 6.6)
)

// The commands and flags of the PrepMsgRing methods, which set the commands themselves.
const (
	MsgData   uint64 = 0 // a completion for the other ring (IORING_MSG_DATA, Linux 5.18)
	MsgSendFD uint64 = 1 // a registered file for the other ring (IORING_MSG_SEND_FD, Linux 6.0)

	MsgRingCQESkip   uint32 = 1 << 0 // the other ring gets no completion (IORING_MSG_RING_CQE_SKIP, Linux 6.0)
	MsgRingFlagsPass uint32 = 1 << 1 // set the completion's flags (IORING_MSG_RING_FLAGS_PASS, Linux 6.3)
)

// FixedFDNoCloexec makes the installed descriptor survive an exec.
// (IORING_FIXED_FD_NO_CLOEXEC, Linux 6.8)
const FixedFDNoCloexec uint32 = 1 << 0

// The flags of OpNop, see PrepNopResult.
const (
	NopInjectResult uint32 = 1 << 0 // Len is the result (IORING_NOP_INJECT_RESULT, Linux 6.10)
	NopCQE32        uint32 = 1 << 5 // a 32 byte completion (IORING_NOP_CQE32, Linux 6.18)
)

// RsrcRegisterSparse makes a table of empty slots. (IORING_RSRC_REGISTER_SPARSE, Linux 5.19)
const RsrcRegisterSparse uint32 = 1 << 0

// opSupported is set in a probe for an operation that there is.
// (IO_URING_OP_SUPPORTED, Linux 5.6)
const opSupported uint16 = 1 << 0

// The kinds of kernel worker, as indices into the arrays of Ring.RegisterIOWQMaxWorkers's call.
const (
	wqBound   = 0 // for regular files and block devices: short waits (IO_WQ_BOUND, Linux 5.15)
	wqUnbound = 1 // for everything else (IO_WQ_UNBOUND, Linux 5.15)
)

// What a Restriction may be about.
const (
	restrictRegisterOp       = 0 // (IORING_RESTRICTION_REGISTER_OP, Linux 5.10)
	restrictSQEOp            = 1 // (IORING_RESTRICTION_SQE_OP, Linux 5.10)
	restrictSQEFlagsAllowed  = 2 // (IORING_RESTRICTION_SQE_FLAGS_ALLOWED, Linux 5.10)
	restrictSQEFlagsRequired = 3 // (IORING_RESTRICTION_SQE_FLAGS_REQUIRED, Linux 5.10)
)

// Where the parts of a ring lie in its descriptor, for mmap(2).
const (
	mmapOffSQRing = 0          // (IORING_OFF_SQ_RING, Linux 5.1)
	mmapOffCQRing = 0x8000000  // not used, since FeatSingleMmap (IORING_OFF_CQ_RING, Linux 5.1)
	mmapOffSQEs   = 0x10000000 // (IORING_OFF_SQES, Linux 5.1)
)
