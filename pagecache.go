package ringfile

import (
	"context"
	"os"
	"syscall"

	"github.com/ringfile/ringfile/internal/sysio"
)

// Advice says how a range of a file will be used. See [File.Advise].
type Advice uint32

const (
	// AdviceNormal undoes AdviceRandom and AdviceSequential (POSIX_FADV_NORMAL).
	AdviceNormal Advice = sysio.AdviceNormal
	// AdviceRandom turns the kernel's read-ahead off (POSIX_FADV_RANDOM).
	AdviceRandom Advice = sysio.AdviceRandom
	// AdviceSequential doubles the kernel's read-ahead (POSIX_FADV_SEQUENTIAL).
	AdviceSequential Advice = sysio.AdviceSequential
	// AdviceWillNeed starts reading the range into the page cache (POSIX_FADV_WILLNEED).
	AdviceWillNeed Advice = sysio.AdviceWillNeed
	// AdviceDontNeed drops the range from the page cache, whoever brought it there
	// (POSIX_FADV_DONTNEED).
	AdviceDontNeed Advice = sysio.AdviceDontNeed
)

// Advise tells the kernel how the length bytes at off will be used; a length of zero means to the end
// of the file. AdviceNormal, AdviceRandom and AdviceSequential apply to the whole open file, whatever
// the range. AdviceWillNeed does not wait for the reads it starts, which may cover only a part of a
// large range. AdviceDontNeed does not drop data that has not been written to the device (call Sync
// first), mapped pages, or pages and larger units of the page cache that lie only partly in the range.
// All advice is a hint: there may be no memory for it, O_DIRECT transfers do not use the page cache,
// and on systems without the call Advise does nothing. See posix_fadvise(2).
func (f *File) Advise(off, length int64, advice Advice) error {
	if f.valid() && length < 0 {
		return f.t.wrap("advise", syscall.EINVAL)
	}
	return f.control(context.Background(), operation{code: opAdvise, off: off, length: length, mode: uint32(advice)})
}

// Cached returns how many of the length bytes at off are in the page cache right now; a length of zero
// means to the end of the file. It counts whole pages: a page that lies only partly in the range counts
// in full. Pages that are being read already count. The error matches errors.ErrUnsupported where the
// system cannot tell (before Linux 6.5, on other systems, on hugetlbfs), and fs.ErrPermission, on some
// kernels, for a file that the caller neither owns nor may write. There is no fallback: mincore(2)
// would need a mapping, and reports everything as resident to such callers. See cachestat(2).
func (f *File) Cached(off, length int64) (int64, error) {
	return osCall(f, "cachestat", func(*os.File) (int64, error) {
		if off < 0 || length < 0 {
			return 0, f.t.wrap("cachestat", syscall.EINVAL)
		}
		n, err := f.t.Handle.Cached(off, length)
		return n, f.t.wrap("cachestat", err)
	})
}
