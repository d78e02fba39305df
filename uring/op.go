package uring

import "strconv"

// Op is the code of an operation. The network operations have a name too, so that a [Probe] can be
// printed, but no Prep method.
type Op uint8

// The operations, in the kernel's order.
const (
	OpNop            Op = iota // (IORING_OP_NOP, Linux 5.1)
	OpReadv                    // (IORING_OP_READV, Linux 5.1)
	OpWritev                   // (IORING_OP_WRITEV, Linux 5.1)
	OpFsync                    // (IORING_OP_FSYNC, Linux 5.1)
	OpReadFixed                // (IORING_OP_READ_FIXED, Linux 5.1)
	OpWriteFixed               // (IORING_OP_WRITE_FIXED, Linux 5.1)
	OpPollAdd                  // (IORING_OP_POLL_ADD, Linux 5.1)
	OpPollRemove               // (IORING_OP_POLL_REMOVE, Linux 5.1)
	OpSyncFileRange            // (IORING_OP_SYNC_FILE_RANGE, Linux 5.2)
	OpSendmsg                  // (IORING_OP_SENDMSG, Linux 5.3)
	OpRecvmsg                  // (IORING_OP_RECVMSG, Linux 5.3)
	OpTimeout                  // (IORING_OP_TIMEOUT, Linux 5.4)
	OpTimeoutRemove            // (IORING_OP_TIMEOUT_REMOVE, Linux 5.5)
	OpAccept                   // (IORING_OP_ACCEPT, Linux 5.5)
	OpAsyncCancel              // (IORING_OP_ASYNC_CANCEL, Linux 5.5)
	OpLinkTimeout              // (IORING_OP_LINK_TIMEOUT, Linux 5.5)
	OpConnect                  // (IORING_OP_CONNECT, Linux 5.5)
	OpFallocate                // (IORING_OP_FALLOCATE, Linux 5.6)
	OpOpenat                   // (IORING_OP_OPENAT, Linux 5.6)
	OpClose                    // (IORING_OP_CLOSE, Linux 5.6)
	OpFilesUpdate              // (IORING_OP_FILES_UPDATE, Linux 5.6)
	OpStatx                    // (IORING_OP_STATX, Linux 5.6)
	OpRead                     // (IORING_OP_READ, Linux 5.6)
	OpWrite                    // (IORING_OP_WRITE, Linux 5.6)
	OpFadvise                  // (IORING_OP_FADVISE, Linux 5.6)
	OpMadvise                  // (IORING_OP_MADVISE, Linux 5.6)
	OpSend                     // (IORING_OP_SEND, Linux 5.6)
	OpRecv                     // (IORING_OP_RECV, Linux 5.6)
	OpOpenat2                  // (IORING_OP_OPENAT2, Linux 5.6)
	OpEpollCtl                 // (IORING_OP_EPOLL_CTL, Linux 5.6)
	OpSplice                   // (IORING_OP_SPLICE, Linux 5.7)
	OpProvideBuffers           // (IORING_OP_PROVIDE_BUFFERS, Linux 5.7)
	OpRemoveBuffers            // (IORING_OP_REMOVE_BUFFERS, Linux 5.7)
	OpTee                      // (IORING_OP_TEE, Linux 5.8)
	OpShutdown                 // (IORING_OP_SHUTDOWN, Linux 5.11)
	OpRenameat                 // (IORING_OP_RENAMEAT, Linux 5.11)
	OpUnlinkat                 // (IORING_OP_UNLINKAT, Linux 5.11)
	OpMkdirat                  // (IORING_OP_MKDIRAT, Linux 5.15)
	OpSymlinkat                // (IORING_OP_SYMLINKAT, Linux 5.15)
	OpLinkat                   // (IORING_OP_LINKAT, Linux 5.15)
	OpMsgRing                  // (IORING_OP_MSG_RING, Linux 5.18)
	OpFsetxattr                // (IORING_OP_FSETXATTR, Linux 5.19)
	OpSetxattr                 // (IORING_OP_SETXATTR, Linux 5.19)
	OpFgetxattr                // (IORING_OP_FGETXATTR, Linux 5.19)
	OpGetxattr                 // (IORING_OP_GETXATTR, Linux 5.19)
	OpSocket                   // (IORING_OP_SOCKET, Linux 5.19)
	OpURingCmd                 // (IORING_OP_URING_CMD, Linux 5.19)
	OpSendZC                   // (IORING_OP_SEND_ZC, Linux 6.0)
	OpSendmsgZC                // (IORING_OP_SENDMSG_ZC, Linux 6.1)
	OpReadMultishot            // (IORING_OP_READ_MULTISHOT, Linux 6.7)
	OpWaitid                   // (IORING_OP_WAITID, Linux 6.7)
	OpFutexWait                // (IORING_OP_FUTEX_WAIT, Linux 6.7)
	OpFutexWake                // (IORING_OP_FUTEX_WAKE, Linux 6.7)
	OpFutexWaitv               // (IORING_OP_FUTEX_WAITV, Linux 6.7)
	OpFixedFDInstall           // (IORING_OP_FIXED_FD_INSTALL, Linux 6.8)
	OpFtruncate                // (IORING_OP_FTRUNCATE, Linux 6.9)
	OpBind                     // (IORING_OP_BIND, Linux 6.11)
	OpListen                   // (IORING_OP_LISTEN, Linux 6.11)
	OpRecvZC                   // (IORING_OP_RECV_ZC, Linux 6.15)
	OpEpollWait                // (IORING_OP_EPOLL_WAIT, Linux 6.15)
	OpReadvFixed               // (IORING_OP_READV_FIXED, Linux 6.15)
	OpWritevFixed              // (IORING_OP_WRITEV_FIXED, Linux 6.15)
	OpPipe                     // (IORING_OP_PIPE, Linux 6.16)
	OpNop128                   // (IORING_OP_NOP128, Linux 6.19)
	OpURingCmd128              // (IORING_OP_URING_CMD128, Linux 6.19)

	opLast // one more than the last operation known here (IORING_OP_LAST)
)

var opNames = [opLast]string{
	OpNop:            "NOP",
	OpReadv:          "READV",
	OpWritev:         "WRITEV",
	OpFsync:          "FSYNC",
	OpReadFixed:      "READ_FIXED",
	OpWriteFixed:     "WRITE_FIXED",
	OpPollAdd:        "POLL_ADD",
	OpPollRemove:     "POLL_REMOVE",
	OpSyncFileRange:  "SYNC_FILE_RANGE",
	OpSendmsg:        "SENDMSG",
	OpRecvmsg:        "RECVMSG",
	OpTimeout:        "TIMEOUT",
	OpTimeoutRemove:  "TIMEOUT_REMOVE",
	OpAccept:         "ACCEPT",
	OpAsyncCancel:    "ASYNC_CANCEL",
	OpLinkTimeout:    "LINK_TIMEOUT",
	OpConnect:        "CONNECT",
	OpFallocate:      "FALLOCATE",
	OpOpenat:         "OPENAT",
	OpClose:          "CLOSE",
	OpFilesUpdate:    "FILES_UPDATE",
	OpStatx:          "STATX",
	OpRead:           "READ",
	OpWrite:          "WRITE",
	OpFadvise:        "FADVISE",
	OpMadvise:        "MADVISE",
	OpSend:           "SEND",
	OpRecv:           "RECV",
	OpOpenat2:        "OPENAT2",
	OpEpollCtl:       "EPOLL_CTL",
	OpSplice:         "SPLICE",
	OpProvideBuffers: "PROVIDE_BUFFERS",
	OpRemoveBuffers:  "REMOVE_BUFFERS",
	OpTee:            "TEE",
	OpShutdown:       "SHUTDOWN",
	OpRenameat:       "RENAMEAT",
	OpUnlinkat:       "UNLINKAT",
	OpMkdirat:        "MKDIRAT",
	OpSymlinkat:      "SYMLINKAT",
	OpLinkat:         "LINKAT",
	OpMsgRing:        "MSG_RING",
	OpFsetxattr:      "FSETXATTR",
	OpSetxattr:       "SETXATTR",
	OpFgetxattr:      "FGETXATTR",
	OpGetxattr:       "GETXATTR",
	OpSocket:         "SOCKET",
	OpURingCmd:       "URING_CMD",
	OpSendZC:         "SEND_ZC",
	OpSendmsgZC:      "SENDMSG_ZC",
	OpReadMultishot:  "READ_MULTISHOT",
	OpWaitid:         "WAITID",
	OpFutexWait:      "FUTEX_WAIT",
	OpFutexWake:      "FUTEX_WAKE",
	OpFutexWaitv:     "FUTEX_WAITV",
	OpFixedFDInstall: "FIXED_FD_INSTALL",
	OpFtruncate:      "FTRUNCATE",
	OpBind:           "BIND",
	OpListen:         "LISTEN",
	OpRecvZC:         "RECV_ZC",
	OpEpollWait:      "EPOLL_WAIT",
	OpReadvFixed:     "READV_FIXED",
	OpWritevFixed:    "WRITEV_FIXED",
	OpPipe:           "PIPE",
	OpNop128:         "NOP128",
	OpURingCmd128:    "URING_CMD128",
}

// String returns the kernel's name for op without its prefix, like "READ_FIXED".
func (op Op) String() string {
	if op < opLast {
		return opNames[op]
	}
	return "Op(" + strconv.Itoa(int(op)) + ")"
}
