package ringfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Writeback tells the kernel to start writing what was written to the length bytes at off to the
// device, and does not wait for that to finish; a length of zero means to the end of the file. It makes
// a later Sync shorter. It promises no durability itself: neither the data nor the metadata (size,
// block allocation) is known to be on the device. It may wait while the device's queue is full.
//
// Where the kernel does not do this reliably (file systems other than ext4, XFS and btrfs, systems
// other than Linux) Writeback does a Datasync instead, with the promises of that, and returns synced as
// true. It never hides a write error from a later Sync. See sync_file_range(2), SYNC_FILE_RANGE_WRITE.
func (f *File) Writeback(off, length int64) (synced bool, err error) {
	if !f.valid() {
		return false, fs.ErrInvalid
	}
	if off < 0 || length < 0 {
		return false, f.t.wrap("writeback", syscall.EINVAL)
	}
	err = osDo(f, "writeback", func(*os.File) error {
		return f.t.wrap("writeback", f.t.Writeback(off, length))
	})
	if !errors.Is(err, errors.ErrUnsupported) {
		return false, err
	}
	err = f.Datasync()
	return err == nil, err
}
