package patches

import "testing"

// nats has JetStream's message blocks as ringfile.File, without a place in the queue for disk I/O, and what it writes
// atomically and synced replaced by package durable.
var nats = kit{
	module: "github.com/nats-io/nats-server/v2@v2.15.3",
	edits: []edit{
		{natsStore, `"cmp"`, "\"cmp\"\n\t\"context\""},
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
}

const natsStore = "server/filestore.go"

func TestNATS(t *testing.T)        { nats.test(t) }
func TestMeasureNATS(t *testing.T) { nats.measure(t) }
