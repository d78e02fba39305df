package uring

import (
	"bufio"
	"embed"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// testdata goes into the test binary, so that it can run alone on another machine.
//
//go:embed testdata/*.tsv
var testdata embed.FS

// abiRow is a line of testdata/io_uring_abi.tsv: what a C compiler makes of the kernel's header.
type abiRow struct {
	kind, group, name string
	value             uint64
}

func readTSV(t *testing.T, name string, fields int) [][]string {
	t.Helper()
	f, err := testdata.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows [][]string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		row := strings.Split(s.Text(), "\t")
		if len(row) < fields {
			t.Fatalf("%s: line %q has %d fields, want %d", name, s.Text(), len(row), fields)
		}
		rows = append(rows, row)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return rows
}

func readABI(t *testing.T) []abiRow {
	var rows []abiRow
	for _, f := range readTSV(t, "io_uring_abi.tsv", 4) {
		v, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, abiRow{f[0], f[1], f[2], v})
	}
	return rows
}

// abiConstants are the constants that this package has, by the kernel's names.
func abiConstants() map[string]uint64 {
	skip := int64(FilesSkip) // sign-extended, as the header has it
	m := map[string]uint64{
		"IORING_OP_LAST":                        uint64(opLast),
		"IORING_REGISTER_LAST":                  uint64(regLast),
		"IORING_REGISTER_USE_REGISTERED_RING":   uint64(RegUseRegisteredRing),
		"IORING_REGISTER_FILES_SKIP":            uint64(skip),
		"IORING_FILE_INDEX_ALLOC":               uint64(FileIndexAlloc),
		"IORING_CQE_BUFFER_SHIFT":               cqeBufferShift,
		"IORING_CQ_EVENTFD_DISABLED":            uint64(CQEventFDDisabled),
		"IORING_OFF_SQ_RING":                    mmapOffSQRing,
		"IORING_OFF_CQ_RING":                    mmapOffCQRing,
		"IORING_OFF_SQES":                       mmapOffSQEs,
		"IORING_FSYNC_DATASYNC":                 uint64(FsyncDatasync),
		"IORING_TIMEOUT_ABS":                    uint64(TimeoutAbs),
		"IORING_TIMEOUT_UPDATE":                 uint64(TimeoutUpdate),
		"IORING_TIMEOUT_BOOTTIME":               uint64(TimeoutBoottime),
		"IORING_TIMEOUT_REALTIME":               uint64(TimeoutRealtime),
		"IORING_LINK_TIMEOUT_UPDATE":            uint64(LinkTimeoutUpdate),
		"IORING_TIMEOUT_ETIME_SUCCESS":          uint64(TimeoutETimeSuccess),
		"IORING_TIMEOUT_MULTISHOT":              uint64(TimeoutMultishot),
		"IORING_TIMEOUT_IMMEDIATE_ARG":          uint64(TimeoutImmediateArg),
		"IORING_TIMEOUT_CLOCK_MASK":             uint64(TimeoutClockMask),
		"IORING_TIMEOUT_UPDATE_MASK":            uint64(TimeoutUpdateMask),
		"IORING_POLL_ADD_MULTI":                 uint64(PollAddMulti),
		"IORING_POLL_UPDATE_EVENTS":             uint64(PollUpdateEvents),
		"IORING_POLL_UPDATE_USER_DATA":          uint64(PollUpdateUserData),
		"IORING_POLL_ADD_LEVEL":                 uint64(PollAddLevel),
		"IORING_ASYNC_CANCEL_ALL":               uint64(CancelAll),
		"IORING_ASYNC_CANCEL_FD":                uint64(CancelFD),
		"IORING_ASYNC_CANCEL_ANY":               uint64(CancelAny),
		"IORING_ASYNC_CANCEL_FD_FIXED":          uint64(CancelFDFixed),
		"IORING_ASYNC_CANCEL_USERDATA":          uint64(CancelUserData),
		"IORING_ASYNC_CANCEL_OP":                uint64(CancelOp),
		"IORING_MSG_DATA":                       MsgData,
		"IORING_MSG_SEND_FD":                    MsgSendFD,
		"IORING_MSG_RING_CQE_SKIP":              uint64(MsgRingCQESkip),
		"IORING_MSG_RING_FLAGS_PASS":            uint64(MsgRingFlagsPass),
		"IORING_FIXED_FD_NO_CLOEXEC":            uint64(FixedFDNoCloexec),
		"IORING_NOP_INJECT_RESULT":              uint64(NopInjectResult),
		"IORING_NOP_CQE32":                      uint64(NopCQE32),
		"IORING_RSRC_REGISTER_SPARSE":           uint64(RsrcRegisterSparse),
		"IORING_REGISTER_DST_REPLACE":           uint64(cloneReplace),
		"IO_URING_OP_SUPPORTED":                 uint64(opSupported),
		"IO_WQ_BOUND":                           wqBound,
		"IO_WQ_UNBOUND":                         wqUnbound,
		"IORING_RESTRICTION_REGISTER_OP":        restrictRegisterOp,
		"IORING_RESTRICTION_SQE_OP":             restrictSQEOp,
		"IORING_RESTRICTION_SQE_FLAGS_ALLOWED":  restrictSQEFlagsAllowed,
		"IORING_RESTRICTION_SQE_FLAGS_REQUIRED": restrictSQEFlagsRequired,
	}
	// The constants with a String method are found by it, which checks the method as well.
	for op := range opLast {
		m["IORING_OP_"+op.String()] = uint64(op)
	}
	for op := range regLast {
		m["IORING_"+op.String()] = uint64(op)
	}
	for bit := range 32 {
		v := uint32(1) << bit
		for prefix, name := range map[string]string{
			"IORING_SETUP_": SetupFlags(v).String(),
			"IORING_FEAT_":  Features(v).String(),
			"IORING_ENTER_": EnterFlags(v).String(),
			"IOSQE_":        SQEFlags(v).String(),
		} {
			if name != "0" && !strings.HasPrefix(name, "0x") {
				m[prefix+name] = uint64(v)
			}
		}
	}
	for name, v := range map[string]CQEFlags{
		"BUFFER": CQEBuffer, "MORE": CQEMore, "SOCK_NONEMPTY": CQESockNonempty, "NOTIF": CQENotif,
		"BUF_MORE": CQEBufMore, "SKIP": CQESkip, "32": CQE32,
	} {
		m["IORING_CQE_F_"+name] = uint64(v)
	}
	for name, v := range map[string]SQFlags{
		"NEED_WAKEUP": SQNeedWakeup, "CQ_OVERFLOW": SQCQOverflow, "TASKRUN": SQTaskrun,
	} {
		m["IORING_SQ_"+name] = uint64(v)
	}
	return m
}

// abiElsewhere are the constants that do not concern this package: beginnings of their names.
var abiElsewhere = []string{
	// Sockets and the network.
	"IORING_RECV", "IORING_SEND_", "IORING_NOTIF_", "IORING_ACCEPT_", "SOCKET_URING_OP_",
	"IORING_ZCRX_", "ZCRX_", "__ZCRX_", "IORING_TIMESTAMP_", "IORING_CQE_F_TSTAMP_HW",
	// Driver commands, provided buffer rings, memory regions, integrity data.
	"IORING_URING_CMD_", "IOU_PBUF_RING_", "IORING_OFF_PBUF_", "IORING_OFF_MMAP_MASK",
	"IORING_MEM_REGION_", "IORING_REG_WAIT_TS", "IORING_REGISTER_SRC_",
	"IORING_RW_ATTR_",
	// The numbers of what is here as a bit, and a count.
	"IOSQE_FIXED_FILE_BIT", "IOSQE_IO_DRAIN_BIT", "IOSQE_IO_LINK_BIT", "IOSQE_IO_HARDLINK_BIT",
	"IOSQE_ASYNC_BIT", "IOSQE_BUFFER_SELECT_BIT", "IOSQE_CQE_SKIP_SUCCESS_BIT",
	"IORING_RESTRICTION_LAST",
}

func TestABIConstants(t *testing.T) {
	ours := abiConstants()
	seen := make(map[string]bool)
	for _, row := range readABI(t) {
		if row.kind != "const" {
			continue
		}
		seen[row.name] = true
		got, ok := ours[row.name]
		switch {
		case ok && got != row.value:
			t.Errorf("%s: got %#x, want %#x", row.name, got, row.value)
		case !ok && !hasPrefixOf(row.name, abiElsewhere):
			t.Errorf("%s: missing", row.name)
		}
	}
	for name := range ours {
		if !seen[name] {
			t.Errorf("%s: not in the kernel's header", name)
		}
	}
}

func hasPrefixOf(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// abiStructs are the structures that this package has, by the kernel's names, and abiFields the
// names of their fields where they differ by more than underscores. An empty name is a field that we
// reach in another way: see abiUnions.
var abiStructs = map[string]any{
	"io_uring_sqe":              SQE{},
	"io_uring_cqe":              CQE{},
	"io_uring_params":           Params{},
	"io_sqring_offsets":         SQRingOffsets{},
	"io_cqring_offsets":         CQRingOffsets{},
	"io_timespec":               Timespec{},
	"io_uring_getevents_arg":    getEventsArg{},
	"io_uring_probe_op":         probeOp{},
	"io_uring_rsrc_register":    rsrcRegister{},
	"io_uring_rsrc_update":      rsrcUpdate{},
	"io_uring_rsrc_update2":     rsrcUpdate2{},
	"io_uring_sync_cancel_reg":  syncCancelReg{},
	"io_uring_file_index_range": fileIndexRange{},
	"io_uring_restriction":      Restriction{},
	"io_uring_clock_register":   clockRegister{},
	"io_uring_clone_buffers":    cloneBuffers{},
	"io_uring_probe":            probeArg{},
	"io_uring_files_update":     rsrcUpdate{}, // its old name
}

// abiFields has the fields whose names differ by more than case and underscores.
var abiFields = map[string]string{
	// The unions of an SQE.
	"io_uring_sqe.addr2":          "Off",
	"io_uring_sqe.cmd_op":         "Off",
	"io_uring_sqe.splice_off_in":  "Addr",
	"io_uring_sqe.rw_flags":       "OpFlags",
	"io_uring_sqe.fsync_flags":    "OpFlags",
	"io_uring_sqe.open_flags":     "OpFlags",
	"io_uring_sqe.statx_flags":    "OpFlags",
	"io_uring_sqe.buf_group":      "BufIndex",
	"io_uring_sqe.splice_fd_in":   "FileIndex",
	"io_uring_sqe.optlen":         "FileIndex",
	"io_uring_sqe.addr_len":       "FileIndex",
	"io_uring_sqe.attr_ptr":       "Addr3",
	"io_uring_sqe.attr_type_mask": "Pad",
	"io_uring_sqe.optval":         "Addr3",
	"io_uring_sqe.cmd":            "Addr3",

	"io_uring_getevents_arg.sigmask_sz": "sigmaskSize",
	"io_uring_files_update.fds":         "data",
	"io_uring_restriction.register_op":  "arg",
}

func TestABILayout(t *testing.T) {
	checked := make(map[string]bool)
	for _, row := range readABI(t) {
		switch row.kind {
		case "sizeof":
			v, ok := abiStructs[row.name]
			if !ok {
				continue
			}
			checked[row.name] = true
			got := uint64(reflect.TypeOf(v).Size())
			if row.name == "io_uring_probe" {
				got -= probeOpsMax * 8 // a flexible array, which counts for nothing in C
			}
			if got != row.value {
				t.Errorf("sizeof(struct %s): got %d, want %d", row.name, got, row.value)
			}
		case "offset":
			v, ok := abiStructs[row.group]
			if !ok {
				continue
			}
			want := row.name
			if name, ok := abiFields[row.group+"."+row.name]; ok {
				want = name
			}
			if got, ok := fieldOffset(v, want); !ok || got != row.value {
				t.Errorf("offsetof(struct %s, %s): got %d (found: %v), want %d",
					row.group, row.name, got, ok, row.value)
			}
		}
	}
	for name := range abiStructs {
		if !checked[name] {
			t.Errorf("struct %s: not in the kernel's header", name)
		}
	}
}

// fieldOffset finds a field by its name, whatever the case, and without underscores.
func fieldOffset(v any, name string) (uint64, bool) {
	name = strings.ReplaceAll(name, "_", "")
	typ := reflect.TypeOf(v)
	for i := range typ.NumField() {
		if f := typ.Field(i); strings.EqualFold(f.Name, name) {
			return uint64(f.Offset), true
		}
	}
	return 0, false
}

// TestSQEHasNoHoles makes sure that comparing two SQEs field by field compares all 64 bytes.
func TestSQEHasNoHoles(t *testing.T) {
	var sum uintptr
	typ := reflect.TypeOf(SQE{})
	for i := range typ.NumField() {
		sum += typ.Field(i).Type.Size()
	}
	if sum != 64 {
		t.Errorf("the fields of an SQE make %d bytes, want 64", sum)
	}
}

func TestFlagStrings(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{SetupFlags(0).String(), "0"},
		{(SetupIOPoll | SetupSQPoll).String(), "IOPOLL|SQPOLL"},
		{(SetupNoSQArray | 1<<30).String(), "NO_SQARRAY|0x40000000"},
		{(FeatNoDrop | FeatExtArg).String(), "NODROP|EXT_ARG"},
		{(EnterGetEvents | EnterExtArg).String(), "GETEVENTS|EXT_ARG"},
		{(SQEFixedFile | SQEIOLink).String(), "FIXED_FILE|IO_LINK"},
		{OpReadFixed.String(), "READ_FIXED"},
		{Op(200).String(), "Op(200)"},
		{RegFiles2.String(), "REGISTER_FILES2"},
		{RegisterOp(99).String(), "RegisterOp(99)"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	if id, ok := (CQEBuffer | 7<<cqeBufferShift).BufferID(); id != 7 || !ok {
		t.Errorf("BufferID: got %d, %v, want 7, true", id, ok)
	}
	if _, ok := CQEFlags(0).BufferID(); ok {
		t.Error("BufferID of a completion without a buffer: got true, want false")
	}
}
