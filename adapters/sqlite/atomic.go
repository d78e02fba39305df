//go:build linux || darwin

package sqlite

import (
	"io"
	"math/bits"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/ringfile/ringfile"
)

// atomic writes pages of a database so that none is torn, through a descriptor of its own with O_DIRECT. Then SQLite
// needs no journal for a transaction that changes one page.
type atomic struct {
	*ringfile.File
	smallest, largest int
	page              []byte // aligned
}

// openAtomic returns nil where there are no atomic writes of pages.
func openAtomic(e *ringfile.Engine, name string) *atomic {
	f, err := e.OpenFile(name, openFlags(vfs.OPEN_READWRITE)|direct, 0)
	if err != nil {
		return nil // there is no O_DIRECT here
	}
	smallest, largest, err := f.AtomicWriteUnits()
	smallest, largest = max(smallest, 512), min(largest, 64<<10) // of SQLite's pages
	align, err1 := f.DirectAlign()
	if err != nil || err1 != nil || smallest > largest {
		f.Close()
		return nil
	}
	return &atomic{f, smallest, largest, ringfile.AlignedBuffer(largest, align.Memory)}
}

// can tells SQLite the sizes: SQLITE_IOCAP_ATOMIC512 is 2, and so on.
func (a *atomic) can() (c vfs.DeviceCharacteristic) {
	for size := a.smallest; size <= a.largest; size *= 2 {
		c |= vfs.DeviceCharacteristic(size >> 8)
	}
	return c
}

// writes reports whether p at off is to be written atomically. What is beyond the end of the file is not, as that
// cannot be everywhere; nor need it be: a transaction that makes a database longer changes more than one page.
func (a *atomic) writes(p []byte, off int64) bool {
	n := len(p)
	if n < a.smallest || n > a.largest || bits.OnesCount(uint(n)) != 1 || off%int64(n) != 0 {
		return false
	}
	end, err := a.Seek(0, io.SeekEnd)
	return err == nil && off+int64(n) <= end
}

// WriteAt writes what may be written atomically.
func (a *atomic) WriteAt(p []byte, off int64) (int, error) {
	copy(a.page, p)
	if err := a.WriteAtAtomic(a.page[:len(p)], off); err != nil {
		return 0, err
	}
	return len(p), nil
}
