package ringfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Writeback has the kernel begin to write back what has been written to the length bytes at off, and does not wait
// for the end of that; a length of zero means up to the end of the file. It makes a later Sync short, and promises
// nothing itself: not that anything is on the device, and neither the file's size nor what its blocks are. It may
// wait while the device's queue is full.
//
// Where the kernel does not do that reliably (file systems other than ext4, XFS and btrfs, systems other than Linux)
// it makes a Datasync, with what that promises, and reports synced. See sync_file_range(2), SYNC_FILE_RANGE_WRITE.
// It never takes from a Sync the report that data could not be written.
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
