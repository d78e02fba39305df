package ringfile

import (
	"context"
	"os"
	"syscall"

	"github.com/ringfile/ringfile/internal/sysio"
)

// Advice says how a part of a file will be used, see [File.Advise].
type Advice uint32

const (
	// AdviceNormal takes back AdviceRandom and AdviceSequential (POSIX_FADV_NORMAL).
	AdviceNormal Advice = sysio.AdviceNormal
	// AdviceRandom turns the kernel's reading ahead off (POSIX_FADV_RANDOM).
	AdviceRandom Advice = sysio.AdviceRandom
	// AdviceSequential has it read twice as far ahead (POSIX_FADV_SEQUENTIAL).
	AdviceSequential Advice = sysio.AdviceSequential
	// AdviceWillNeed starts to read the range into the page cache (POSIX_FADV_WILLNEED).
	AdviceWillNeed Advice = sysio.AdviceWillNeed
	// AdviceDontNeed drops the range from the page cache, whoever may have brought it there
	// (POSIX_FADV_DONTNEED).
	AdviceDontNeed Advice = sysio.AdviceDontNeed
)

// Advise tells the kernel how the length bytes at off will be used; a length of zero means up to the end of
// the file. AdviceNormal, AdviceRandom and AdviceSequential are of the whole open file, whatever the range.
// AdviceWillNeed does not wait for what it starts to read, which may be less than all of a large range. AdviceDontNeed leaves what has been changed and is
// not on the device yet, so Sync comes first, what is mapped, and pages, or larger units of the page cache, that
// lie in the range in part. All of it is a hint: there may be no room, O_DIRECT transfers do not use the page
// cache, and where the system has no such call Advise does nothing. See posix_fadvise(2).
func (f *File) Advise(off, length int64, advice Advice) error {
	if f.valid() && length < 0 {
		return f.t.wrap("advise", syscall.EINVAL)
	}
	return f.control(context.Background(), operation{code: opAdvise, off: off, length: length, mode: uint32(advice)})
}

// Cached returns how many of the length bytes at off are in the page cache right now, in whole pages: one that
// lies in the range in part counts as a page. A length of zero means up to the end of the file. What is being
// read counts already. The error matches errors.ErrUnsupported where the system cannot tell: before Linux 6.5,
// elsewhere, and on hugetlbfs; and fs.ErrPermission, from some kernels, for a file that the caller neither owns
// nor may write. There is no fall-back: mincore(2) would have the file mapped, and reports all of it as
// resident to those callers. See cachestat(2).
func (f *File) Cached(off, length int64) (int64, error) {
	return osCall(f, "cachestat", func(*os.File) (int64, error) {
		if off < 0 || length < 0 {
			return 0, f.t.wrap("cachestat", syscall.EINVAL)
		}
		n, err := f.t.Handle.Cached(off, length)
		return n, f.t.wrap("cachestat", err)
	})
}
