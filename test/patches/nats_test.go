package patches

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile/test/faults"
)

// nats has JetStream's message blocks as ringfile.File, without a place in the queue for disk I/O, and what it writes
// atomically and synced replaced by package durable.
var nats = kit{
	module: "github.com/nats-io/nats-server/v2@v2.15.3",
	edits: []edit{
		{natsStore, "\t\"cmp\"\n", "\t\"cmp\"\n\t\"context\"\n"},
		{natsStore, `"golang.org/x/crypto/chacha20"`,
			"\"github.com/ringfile/ringfile\"\n\t\"github.com/ringfile/ringfile/durable\"\n\t\"golang.org/x/crypto/chacha20\""},
		{natsStore, `mfd         *os.File`, `mfd         *ringfile.File`},
		// newMsgBlockForWrite, enableForWriting
		{natsStore, "\tfs.dios.acquire()\n\tmfd, err := os.", "\tfs.dios.acquire()\n\tmfd, err := ringfile."},
		{natsStore, "mb.fs.dios.acquire()\n\tmfd, err := os.", "mb.fs.dios.acquire()\n\tmfd, err := ringfile."},
		// rebuildStateFromBufLocked
		{natsStore, "\t\tvar fd *os.File\n\t\tif mb.", "\t\tvar fd *ringfile.File\n\t\tif mb."},
		{natsStore, "\t\t\tfd, err = os.OpenFile(mb.", "\t\t\tfd, err = ringfile.OpenFile(mb."},
		// syncFile
		{natsStore, "\tmb.fs.dios.acquire()\n\tdefer mb.fs.dios.release()\n", ""},
		{natsStore, "\t\tfd, err = os.OpenFile(mb.", "\t\tfd, err = ringfile.OpenFile(mb."},
		// writeAt
		{natsStore, "\tmb.fs.dios.acquire()\n\tn, err := mb.mfd.WriteAt(buf, woff)\n\tmb.fs.dios.release()\n\treturn n, err\n",
			"\treturn mb.mfd.WriteAt(buf, woff)\n"},
		// openBlock, loadBlock
		{natsStore, `openBlock() (*os.File, error)`, `openBlock() (*ringfile.File, error)`},
		{natsStore, `os.Open(mb.mfn)`, `ringfile.Open(mb.mfn)`},
		{natsStore, "\tvar f *os.File\n", "\tvar f *ringfile.File\n"},
		{natsStore, "\tmb.fs.dios.acquire()\n\tn, err := io.ReadFull(f, buf[:sz])\n\tmb.fs.dios.release()\n",
			"\tn, err := io.ReadFull(f, buf[:sz])\n"},
		// writeAtomicallyWithTemp
		{natsStore, "sync bool) error {\n\tflags :=", `sync bool) error {
	if sync {
		return durable.ReplaceFile(context.Background(), name, data, perm)
	}
	flags :=`},
	},
	touch: []string{"./server"},
	suites: []suite{{dir: "./server", long: true, flags: []string{
		"-timeout", "1h",
		"-tags", "skip_js_cluster_tests_3,skip_js_cluster_tests_4,skip_js_super_cluster_tests,skip_js_consumer_tests," +
			"skip_mqtt_tests,skip_msgtrace_tests,skip_no_race_tests",
		"-run", "^(TestFileStore|TestNRG.*(Snap|TermVote|PeerState|PeerSet)|TestZRingfile)",
		// It holds up a writer by taking all places in the queue for disk I/O, where that does not wait any more.
		"-skip", "^TestNRGCheckpointInstallSnapshotAbortDuringWrite$",
	}}},
	rigs: []rig{{dir: "server", source: "nats.go", cells: []cell{
		{Name: "votes", Goroutines: 1, Ops: 500, fresh: true},
		{Name: "votes", Goroutines: 128, Ops: 5_000, fresh: true},
		{Name: "votes", Goroutines: 2_000, Ops: 8_000, fresh: true},
		{Name: "publish", Goroutines: 1, Ops: 2_000, fresh: true},
		{Name: "publish", Goroutines: 128, Ops: 5_000, fresh: true},
		{Name: "publish", Goroutines: 1_000, Ops: 5_000, fresh: true},
		{Name: "load, cold", Goroutines: 1, Ops: 1_000},
		{Name: "load, cold", Goroutines: 16, Ops: 1_000},
		{Name: "load, cold", Goroutines: 128, Ops: 1_000},
		{Name: "votes, slow disk", Goroutines: 2_000, Ops: 4_000, fresh: true, rules: slowFlush},
		{Name: "publish, slow disk", Goroutines: 2_000, Ops: 4_000, fresh: true, rules: slowFlush},
	}}},
}

// slowFlush is a disk whose flush takes 10 ms, as on a network or on a spindle.
var slowFlush = []faults.Rule{{Effect: faults.Slow, Kind: faults.Flush, Delay: 10 * time.Millisecond}}

const natsStore = "server/filestore.go"

func TestNATS(t *testing.T)        { nats.test(t) }
func TestMeasureNATS(t *testing.T) { nats.measure(t) }

// TestNATSHang: a disk that hangs, below more streams than Go allows threads, ends the program as it is, and only holds up
// the patched one.
func TestNATSHang(t *testing.T) {
	if !long {
		t.Skip("starts ten thousand threads: set RINGFILE_SUITES=long")
	}
	d := newDisk(t)
	r, bin := nats.rigs[0], t.TempDir()
	c := cell{Name: "publish", Goroutines: 11_000, Ops: 11_000, fresh: true,
		rules: []faults.Rule{{Effect: faults.Hang, Kind: faults.Flush, Delay: 20 * time.Second}}}
	w, m := nats.plain(t)
	if _, err := c.run(t, r.build(t, w, m, filepath.Join(bin, "before")), d.Mount, d); err == nil || !strings.Contains(err.Error(), "thread exhaustion") {
		t.Errorf("before: %v, want thread exhaustion", err)
	}
	w, m = nats.patched(t)
	res, err := c.run(t, r.build(t, w, m, filepath.Join(bin, "after")), d.Mount, d)
	t.Logf("after: %+v, %v", res, err)
	if err != nil || res.Threads > 3_000 {
		t.Error("after: want all messages stored, with fewer threads")
	}
}
