package uring

import (
	"strconv"
	"strings"
)

// SetupFlags select what kind of ring io_uring_setup(2) makes.
type SetupFlags uint32

// The flags of io_uring_setup(2).
const (
	SetupIOPoll           SetupFlags = 1 << 0  // poll for completions, for O_DIRECT on devices that support it (IORING_SETUP_IOPOLL, Linux 5.1)
	SetupSQPoll           SetupFlags = 1 << 1  // a kernel thread consumes the submissions (IORING_SETUP_SQPOLL, Linux 5.1)
	SetupSQAff            SetupFlags = 1 << 2  // bind that thread to Config.SQThreadCPU (IORING_SETUP_SQ_AFF, Linux 5.1)
	SetupCQSize           SetupFlags = 1 << 3  // Config.CQEntries applies; set by New (IORING_SETUP_CQSIZE, Linux 5.5)
	SetupClamp            SetupFlags = 1 << 4  // sizes that are too large are reduced, not refused (IORING_SETUP_CLAMP, Linux 5.6)
	SetupAttachWQ         SetupFlags = 1 << 5  // share the kernel's workers with ring Config.AttachFD (IORING_SETUP_ATTACH_WQ, Linux 5.6)
	SetupRDisabled        SetupFlags = 1 << 6  // start disabled, see Ring.EnableRings (IORING_SETUP_R_DISABLED, Linux 5.10)
	SetupSubmitAll        SetupFlags = 1 << 7  // a bad entry does not end the batch (IORING_SETUP_SUBMIT_ALL, Linux 5.18)
	SetupCoopTaskrun      SetupFlags = 1 << 8  // completion work does not interrupt the thread (IORING_SETUP_COOP_TASKRUN, Linux 5.19)
	SetupTaskrunFlag      SetupFlags = 1 << 9  // sq.flags tell when completion work waits (IORING_SETUP_TASKRUN_FLAG, Linux 5.19)
	SetupSQE128           SetupFlags = 1 << 10 // entries of 128 bytes; refused by New (IORING_SETUP_SQE128, Linux 5.19)
	SetupCQE32            SetupFlags = 1 << 11 // completions of 32 bytes; refused by New (IORING_SETUP_CQE32, Linux 5.19)
	SetupSingleIssuer     SetupFlags = 1 << 12 // only one thread submits: lock its goroutine to it (IORING_SETUP_SINGLE_ISSUER, Linux 6.0)
	SetupDeferTaskrun     SetupFlags = 1 << 13 // completion work runs only in an enter that waits, by the only thread that submits (IORING_SETUP_DEFER_TASKRUN, Linux 6.1)
	SetupNoMmap           SetupFlags = 1 << 14 // the caller brings the memory; refused by New (IORING_SETUP_NO_MMAP, Linux 6.5)
	SetupRegisteredFDOnly SetupFlags = 1 << 15 // only a registered descriptor; refused by New (IORING_SETUP_REGISTERED_FD_ONLY, Linux 6.5)
	SetupNoSQArray        SetupFlags = 1 << 16 // entries are taken in order, without an index array (IORING_SETUP_NO_SQARRAY, Linux 6.6)
	SetupHybridIOPoll     SetupFlags = 1 << 17 // with SetupIOPoll: sleep first, then poll (IORING_SETUP_HYBRID_IOPOLL, Linux 6.13)
	SetupCQEMixed         SetupFlags = 1 << 18 // completions of 16 and 32 bytes; refused by New (IORING_SETUP_CQE_MIXED, Linux 6.18)
	SetupSQEMixed         SetupFlags = 1 << 19 // entries of 64 and 128 bytes; refused by New (IORING_SETUP_SQE_MIXED, Linux 6.19)
	SetupSQRewind         SetupFlags = 1 << 20 // each enter starts at entry 0; refused by New (IORING_SETUP_SQ_REWIND, Linux 7.0)
)

var setupNames = []string{
	"IOPOLL",
	"SQPOLL",
	"SQ_AFF",
	"CQSIZE",
	"CLAMP",
	"ATTACH_WQ",
	"R_DISABLED",
	"SUBMIT_ALL",
	"COOP_TASKRUN",
	"TASKRUN_FLAG",
	"SQE128",
	"CQE32",
	"SINGLE_ISSUER",
	"DEFER_TASKRUN",
	"NO_MMAP",
	"REGISTERED_FD_ONLY",
	"NO_SQARRAY",
	"HYBRID_IOPOLL",
	"CQE_MIXED",
	"SQE_MIXED",
	"SQ_REWIND",
}

// Has reports whether all of flags are set in f.
func (f SetupFlags) Has(flags SetupFlags) bool { return f&flags == flags }

// String returns the kernel's names without their prefix, like "IOPOLL|SQPOLL".
func (f SetupFlags) String() string { return flagString(uint32(f), setupNames) }

// Features are the capabilities that the kernel reports at setup.
type Features uint32

// The features that io_uring_setup(2) reports.
const (
	FeatSingleMmap     Features = 1 << 0  // one mapping holds both rings; New needs it (IORING_FEAT_SINGLE_MMAP, Linux 5.4)
	FeatNoDrop         Features = 1 << 1  // completions are kept when the ring is full; New needs it (IORING_FEAT_NODROP, Linux 5.5)
	FeatSubmitStable   Features = 1 << 2  // what an entry points to, except the data, is read at submission (IORING_FEAT_SUBMIT_STABLE, Linux 5.5)
	FeatRWCurPos       Features = 1 << 3  // offset OffCurrent is the file position (IORING_FEAT_RW_CUR_POS, Linux 5.6)
	FeatCurPersonality Features = 1 << 4  // credentials are those of the submitter (IORING_FEAT_CUR_PERSONALITY, Linux 5.6)
	FeatFastPoll       Features = 1 << 5  // pipes and sockets wait without a worker (IORING_FEAT_FAST_POLL, Linux 5.7)
	FeatPoll32Bits     Features = 1 << 6  // poll masks have 32 bits (IORING_FEAT_POLL_32BITS, Linux 5.9)
	FeatSQPollNonfixed Features = 1 << 7  // SetupSQPoll does not need registered files (IORING_FEAT_SQPOLL_NONFIXED, Linux 5.11)
	FeatExtArg         Features = 1 << 8  // Ring.EnterTimeout (IORING_FEAT_EXT_ARG, Linux 5.11)
	FeatNativeWorkers  Features = 1 << 9  // workers are threads of the process (IORING_FEAT_NATIVE_WORKERS, Linux 5.12)
	FeatRsrcTags       Features = 1 << 10 // tags on registered files and buffers, and buffer updates (IORING_FEAT_RSRC_TAGS, Linux 5.13)
	FeatCQESkip        Features = 1 << 11 // SQECQESkipSuccess (IORING_FEAT_CQE_SKIP, Linux 5.17)
	FeatLinkedFile     Features = 1 << 12 // a linked entry's file is looked up when it runs (IORING_FEAT_LINKED_FILE, Linux 5.17)
	FeatRegRegRing     Features = 1 << 13 // register through a registered ring (IORING_FEAT_REG_REG_RING, Linux 6.3)
	FeatRecvSendBundle Features = 1 << 14 // bundles of buffers on sockets (IORING_FEAT_RECVSEND_BUNDLE, Linux 6.10)
	FeatMinTimeout     Features = 1 << 15 // WaitArg.MinWait (IORING_FEAT_MIN_TIMEOUT, Linux 6.12)
	FeatRWAttr         Features = 1 << 16 // attributes on reads and writes (IORING_FEAT_RW_ATTR, Linux 6.14)
	FeatNoIowait       Features = 1 << 17 // EnterNoIowait (IORING_FEAT_NO_IOWAIT, Linux 6.15)
)

var featNames = []string{
	"SINGLE_MMAP",
	"NODROP",
	"SUBMIT_STABLE",
	"RW_CUR_POS",
	"CUR_PERSONALITY",
	"FAST_POLL",
	"POLL_32BITS",
	"SQPOLL_NONFIXED",
	"EXT_ARG",
	"NATIVE_WORKERS",
	"RSRC_TAGS",
	"CQE_SKIP",
	"LINKED_FILE",
	"REG_REG_RING",
	"RECVSEND_BUNDLE",
	"MIN_TIMEOUT",
	"RW_ATTR",
	"NO_IOWAIT",
}

// Has reports whether all of feats are set in f.
func (f Features) Has(feats Features) bool { return f&feats == feats }

// String returns the kernel's names without their prefix, like "NODROP|EXT_ARG".
func (f Features) String() string { return flagString(uint32(f), featNames) }

// EnterFlags select what an io_uring_enter(2) does besides submitting.
type EnterFlags uint32

// The flags of io_uring_enter(2).
const (
	EnterGetEvents      EnterFlags = 1 << 0 // wait for completions, and flush an overflow (IORING_ENTER_GETEVENTS, Linux 5.1)
	EnterSQWakeup       EnterFlags = 1 << 1 // wake the SQPOLL thread (IORING_ENTER_SQ_WAKEUP, Linux 5.1)
	EnterSQWait         EnterFlags = 1 << 2 // wait for room in an SQPOLL ring (IORING_ENTER_SQ_WAIT, Linux 5.10)
	EnterExtArg         EnterFlags = 1 << 3 // the argument is extended; set by EnterTimeout (IORING_ENTER_EXT_ARG, Linux 5.11)
	EnterRegisteredRing EnterFlags = 1 << 4 // the descriptor is a registered index; set after RegisterRingFD (IORING_ENTER_REGISTERED_RING, Linux 5.18)
	EnterAbsTimer       EnterFlags = 1 << 5 // the timeout is a point in time (IORING_ENTER_ABS_TIMER, Linux 6.12)
	EnterExtArgReg      EnterFlags = 1 << 6 // the argument is in a registered region (IORING_ENTER_EXT_ARG_REG, Linux 6.13)
	EnterNoIowait       EnterFlags = 1 << 7 // the wait does not count as I/O wait in CPU statistics (IORING_ENTER_NO_IOWAIT, Linux 6.15)
)

var enterNames = []string{
	"GETEVENTS",
	"SQ_WAKEUP",
	"SQ_WAIT",
	"EXT_ARG",
	"REGISTERED_RING",
	"ABS_TIMER",
	"EXT_ARG_REG",
	"NO_IOWAIT",
}

// String returns the kernel's names without their prefix, like "GETEVENTS|EXT_ARG".
func (f EnterFlags) String() string { return flagString(uint32(f), enterNames) }

// SQEFlags say how an entry is executed, whatever its operation.
type SQEFlags uint8

// The flags of a submission queue entry.
const (
	SQEFixedFile      SQEFlags = 1 << 0 // FD is an index into the registered files (IOSQE_FIXED_FILE, Linux 5.1)
	SQEIODrain        SQEFlags = 1 << 1 // start after everything before it has completed, and before everything after it (IOSQE_IO_DRAIN, Linux 5.2)
	SQEIOLink         SQEFlags = 1 << 2 // the next entry starts after this one, and is canceled if this one fails or moves less than it was asked to (IOSQE_IO_LINK, Linux 5.3)
	SQEIOHardlink     SQEFlags = 1 << 3 // as SQEIOLink, but a failure does not break the chain (IOSQE_IO_HARDLINK, Linux 5.5)
	SQEAsync          SQEFlags = 1 << 4 // hand to a worker at once (IOSQE_ASYNC, Linux 5.6)
	SQEBufferSelect   SQEFlags = 1 << 5 // take a buffer from group BufIndex (IOSQE_BUFFER_SELECT, Linux 5.7)
	SQECQESkipSuccess SQEFlags = 1 << 6 // no completion if it succeeds (IOSQE_CQE_SKIP_SUCCESS, Linux 5.17)
)

var sqeNames = []string{
	"FIXED_FILE",
	"IO_DRAIN",
	"IO_LINK",
	"IO_HARDLINK",
	"ASYNC",
	"BUFFER_SELECT",
	"CQE_SKIP_SUCCESS",
}

// String returns the kernel's names without their prefix, like "FIXED_FILE|IO_LINK".
func (f SQEFlags) String() string { return flagString(uint32(f), sqeNames) }

// CQEFlags describe a completion. With CQEBuffer the upper half is the buffer's number.
type CQEFlags uint32

// The flags of a completion queue entry.
const (
	CQEBuffer       CQEFlags = 1 << 0  // a provided buffer was used, see BufferID (IORING_CQE_F_BUFFER, Linux 5.7)
	CQEMore         CQEFlags = 1 << 1  // more completions will come from the same entry (IORING_CQE_F_MORE, Linux 5.13)
	CQESockNonempty CQEFlags = 1 << 2  // more data waits in the socket (IORING_CQE_F_SOCK_NONEMPTY, Linux 5.19)
	CQENotif        CQEFlags = 1 << 3  // a zero-copy send lets go of its buffer (IORING_CQE_F_NOTIF, Linux 6.0)
	CQEBufMore      CQEFlags = 1 << 4  // the provided buffer is not used up (IORING_CQE_F_BUF_MORE, Linux 6.12)
	CQESkip         CQEFlags = 1 << 5  // filler at the end of a ring of mixed sizes (IORING_CQE_F_SKIP, Linux 6.18)
	CQE32           CQEFlags = 1 << 15 // a completion of 32 bytes in a ring of mixed sizes (IORING_CQE_F_32, Linux 6.18)
)

// cqeBufferShift is where the buffer's number starts (IORING_CQE_BUFFER_SHIFT, Linux 5.7).
const cqeBufferShift = 16

// BufferID returns the number of the provided buffer that was used, and whether one was.
func (f CQEFlags) BufferID() (id uint16, ok bool) {
	return uint16(f >> cqeBufferShift), f&CQEBuffer != 0
}

// SQFlags are the flags that the kernel sets in the submission ring.
type SQFlags uint32

// The flags of the submission ring, written by the kernel.
const (
	SQNeedWakeup SQFlags = 1 << 0 // the SQPOLL thread sleeps: enter with EnterSQWakeup (IORING_SQ_NEED_WAKEUP, Linux 5.1)
	SQCQOverflow SQFlags = 1 << 1 // completions wait for room: enter with EnterGetEvents (IORING_SQ_CQ_OVERFLOW, Linux 5.8)
	SQTaskrun    SQFlags = 1 << 2 // completion work waits: enter with EnterGetEvents (IORING_SQ_TASKRUN, Linux 5.19)
)

// CQRingFlags are the flags of the completion ring that the program sets.
type CQRingFlags uint32

// The flags of the completion ring, written by the program.
const (
	CQEventFDDisabled CQRingFlags = 1 << 0 // no eventfd notifications (IORING_CQ_EVENTFD_DISABLED, Linux 5.8)
)

// RegisterOp is the code of a call of io_uring_register(2).
type RegisterOp uint32

// The calls of io_uring_register(2).
const (
	RegBuffers          RegisterOp = 0  // (IORING_REGISTER_BUFFERS, Linux 5.1)
	RegUnregBuffers     RegisterOp = 1  // (IORING_UNREGISTER_BUFFERS, Linux 5.1)
	RegFiles            RegisterOp = 2  // (IORING_REGISTER_FILES, Linux 5.1)
	RegUnregFiles       RegisterOp = 3  // (IORING_UNREGISTER_FILES, Linux 5.1)
	RegEventFD          RegisterOp = 4  // (IORING_REGISTER_EVENTFD, Linux 5.2)
	RegUnregEventFD     RegisterOp = 5  // (IORING_UNREGISTER_EVENTFD, Linux 5.2)
	RegFilesUpdate      RegisterOp = 6  // (IORING_REGISTER_FILES_UPDATE, Linux 5.5)
	RegEventFDAsync     RegisterOp = 7  // (IORING_REGISTER_EVENTFD_ASYNC, Linux 5.6)
	RegProbe            RegisterOp = 8  // (IORING_REGISTER_PROBE, Linux 5.6)
	RegPersonality      RegisterOp = 9  // (IORING_REGISTER_PERSONALITY, Linux 5.6)
	RegUnregPersonality RegisterOp = 10 // (IORING_UNREGISTER_PERSONALITY, Linux 5.6)
	RegRestrictions     RegisterOp = 11 // (IORING_REGISTER_RESTRICTIONS, Linux 5.10)
	RegEnableRings      RegisterOp = 12 // (IORING_REGISTER_ENABLE_RINGS, Linux 5.10)
	RegFiles2           RegisterOp = 13 // (IORING_REGISTER_FILES2, Linux 5.13)
	RegFilesUpdate2     RegisterOp = 14 // (IORING_REGISTER_FILES_UPDATE2, Linux 5.13)
	RegBuffers2         RegisterOp = 15 // (IORING_REGISTER_BUFFERS2, Linux 5.13)
	RegBuffersUpdate    RegisterOp = 16 // (IORING_REGISTER_BUFFERS_UPDATE, Linux 5.13)
	RegIOWQAff          RegisterOp = 17 // (IORING_REGISTER_IOWQ_AFF, Linux 5.14)
	RegUnregIOWQAff     RegisterOp = 18 // (IORING_UNREGISTER_IOWQ_AFF, Linux 5.14)
	RegIOWQMaxWorkers   RegisterOp = 19 // (IORING_REGISTER_IOWQ_MAX_WORKERS, Linux 5.15)
	RegRingFDs          RegisterOp = 20 // (IORING_REGISTER_RING_FDS, Linux 5.18)
	RegUnregRingFDs     RegisterOp = 21 // (IORING_UNREGISTER_RING_FDS, Linux 5.18)
	RegPbufRing         RegisterOp = 22 // (IORING_REGISTER_PBUF_RING, Linux 5.19)
	RegUnregPbufRing    RegisterOp = 23 // (IORING_UNREGISTER_PBUF_RING, Linux 5.19)
	RegSyncCancel       RegisterOp = 24 // (IORING_REGISTER_SYNC_CANCEL, Linux 6.0)
	RegFileAllocRange   RegisterOp = 25 // (IORING_REGISTER_FILE_ALLOC_RANGE, Linux 6.0)
	RegPbufStatus       RegisterOp = 26 // (IORING_REGISTER_PBUF_STATUS, Linux 6.8)
	RegNAPI             RegisterOp = 27 // (IORING_REGISTER_NAPI, Linux 6.9)
	RegUnregNAPI        RegisterOp = 28 // (IORING_UNREGISTER_NAPI, Linux 6.9)
	RegClock            RegisterOp = 29 // (IORING_REGISTER_CLOCK, Linux 6.12)
	RegCloneBuffers     RegisterOp = 30 // (IORING_REGISTER_CLONE_BUFFERS, Linux 6.12)
	RegSendMsgRing      RegisterOp = 31 // (IORING_REGISTER_SEND_MSG_RING, Linux 6.13)
	RegZCRXIfq          RegisterOp = 32 // (IORING_REGISTER_ZCRX_IFQ, Linux 6.15)
	RegResizeRings      RegisterOp = 33 // (IORING_REGISTER_RESIZE_RINGS, Linux 6.13)
	RegMemRegion        RegisterOp = 34 // (IORING_REGISTER_MEM_REGION, Linux 6.13)
	RegQuery            RegisterOp = 35 // (IORING_REGISTER_QUERY, Linux 6.18)
	RegZCRXCtrl         RegisterOp = 36 // (IORING_REGISTER_ZCRX_CTRL, Linux 6.19)
	RegBPFFilter        RegisterOp = 37 // (IORING_REGISTER_BPF_FILTER, Linux 7.0)

	regLast RegisterOp = 38 // one more than the last call known here (IORING_REGISTER_LAST)

	// RegUseRegisteredRing is or'ed to a call whose descriptor is a registered index.
	// (IORING_REGISTER_USE_REGISTERED_RING, Linux 6.3)
	RegUseRegisteredRing RegisterOp = 1 << 31
)

var registerNames = [regLast]string{
	RegBuffers:          "REGISTER_BUFFERS",
	RegUnregBuffers:     "UNREGISTER_BUFFERS",
	RegFiles:            "REGISTER_FILES",
	RegUnregFiles:       "UNREGISTER_FILES",
	RegEventFD:          "REGISTER_EVENTFD",
	RegUnregEventFD:     "UNREGISTER_EVENTFD",
	RegFilesUpdate:      "REGISTER_FILES_UPDATE",
	RegEventFDAsync:     "REGISTER_EVENTFD_ASYNC",
	RegProbe:            "REGISTER_PROBE",
	RegPersonality:      "REGISTER_PERSONALITY",
	RegUnregPersonality: "UNREGISTER_PERSONALITY",
	RegRestrictions:     "REGISTER_RESTRICTIONS",
	RegEnableRings:      "REGISTER_ENABLE_RINGS",
	RegFiles2:           "REGISTER_FILES2",
	RegFilesUpdate2:     "REGISTER_FILES_UPDATE2",
	RegBuffers2:         "REGISTER_BUFFERS2",
	RegBuffersUpdate:    "REGISTER_BUFFERS_UPDATE",
	RegIOWQAff:          "REGISTER_IOWQ_AFF",
	RegUnregIOWQAff:     "UNREGISTER_IOWQ_AFF",
	RegIOWQMaxWorkers:   "REGISTER_IOWQ_MAX_WORKERS",
	RegRingFDs:          "REGISTER_RING_FDS",
	RegUnregRingFDs:     "UNREGISTER_RING_FDS",
	RegPbufRing:         "REGISTER_PBUF_RING",
	RegUnregPbufRing:    "UNREGISTER_PBUF_RING",
	RegSyncCancel:       "REGISTER_SYNC_CANCEL",
	RegFileAllocRange:   "REGISTER_FILE_ALLOC_RANGE",
	RegPbufStatus:       "REGISTER_PBUF_STATUS",
	RegNAPI:             "REGISTER_NAPI",
	RegUnregNAPI:        "UNREGISTER_NAPI",
	RegClock:            "REGISTER_CLOCK",
	RegCloneBuffers:     "REGISTER_CLONE_BUFFERS",
	RegSendMsgRing:      "REGISTER_SEND_MSG_RING",
	RegZCRXIfq:          "REGISTER_ZCRX_IFQ",
	RegResizeRings:      "REGISTER_RESIZE_RINGS",
	RegMemRegion:        "REGISTER_MEM_REGION",
	RegQuery:            "REGISTER_QUERY",
	RegZCRXCtrl:         "REGISTER_ZCRX_CTRL",
	RegBPFFilter:        "REGISTER_BPF_FILTER",
}

// String returns the kernel's name without its prefix, like "REGISTER_FILES".
func (op RegisterOp) String() string {
	if op < regLast {
		return registerNames[op]
	}
	return "RegisterOp(" + strconv.FormatUint(uint64(op), 10) + ")"
}

// flagString joins the names of the bits set in v; bits without a name come last, as a number.
func flagString(v uint32, names []string) string {
	if v == 0 {
		return "0"
	}
	var parts []string
	for i, name := range names {
		if bit := uint32(1) << i; v&bit != 0 {
			parts = append(parts, name)
			v &^= bit
		}
	}
	if v != 0 {
		parts = append(parts, "0x"+strconv.FormatUint(uint64(v), 16))
	}
	return strings.Join(parts, "|")
}
