package guest

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/kernels/plan"
)

// TestAtomic writes atomically on the disk, which has that for its sectors, and in files on it where the file system
// has it.
func TestAtomic(t *testing.T) {
	needGuest(t)
	for _, c := range []struct {
		name string
		must bool
	}{{plan.RawDisk, true}, {plan.Ext4 + "/atomic", false}, {plan.XFS + "/atomic", false}} {
		f, err := ringfile.OpenFile(c.name, os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		smallest, largest, err := f.AtomicWriteUnits()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: from %d to %d bytes", c.name, smallest, largest)
		p := ringfile.AlignedBuffer(8192, 4096)
		if smallest == 0 {
			if err := f.WriteAtAtomic(p[:512], 0); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v", c.name, err)
			}
			if c.must {
				t.Skip("needs Linux 6.11: RWF_ATOMIC")
			}
			continue
		}
		for i := range p {
			p[i] = byte(smallest >> 9)
		}
		if err := f.WriteAtAtomic(p[:smallest], int64(smallest)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := ringfile.AlignedBuffer(smallest, 4096)
		if n, err := f.ReadAt(got, int64(smallest)); err != nil || !bytes.Equal(got, p[:smallest]) {
			t.Errorf("%s: other data is there (%d, %v)", c.name, n, err)
		}
		if err := f.WriteAtAtomic(p[:2*smallest], int64(smallest)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: not at a multiple of the size: %v", c.name, err)
		}
	}
}
