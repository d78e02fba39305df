package guest

import (
	"io"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/kernels/plan"
	"github.com/ringfile/ringfile/uring"
)

// TestEndOfFile reads sparse files that nobody has read before, many parts at once, and must not be
// told that they end before they do, as the engine was on Linux 5.10.
func TestEndOfFile(t *testing.T) {
	needGuest(t)
	const size, part = 1 << 20, 64 << 10
	e, err := ringfile.New(ringfile.Config{Backend: ringfile.BackendURing})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var byCall, byRing int
	for i := range 30 {
		dir := []string{plan.Ext4, plan.XFS}[i%2]
		fresh := func(read func(fd int, f *ringfile.File, p []byte, off int64) (end bool)) int {
			f, err := e.CreateTemp(dir, "sparse-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.Remove(f.Name())
			defer f.Close()
			if err := f.Truncate(size); err != nil {
				t.Fatal(err)
			}
			fd := int(f.Fd())
			return each(size/part, func(i int) bool { return read(fd, f, make([]byte, part), int64(i*part)) })
		}
		byCall += fresh(func(fd int, _ *ringfile.File, p []byte, off int64) bool {
			for range 2 { // the first starts the readahead, the second meets it
				if n, err := unix.Preadv2(fd, [][]byte{p}, off, unix.RWF_NOWAIT); n == 0 && err == nil {
					return true
				}
			}
			return false
		})
		byRing += fresh(func(fd int, _ *ringfile.File, p []byte, off int64) bool {
			unix.Preadv2(fd, [][]byte{p}, off, unix.RWF_NOWAIT)
			n, err := ringRead(fd, p, off)
			return n == 0 && err == nil
		})
		fresh(func(_ int, f *ringfile.File, p []byte, off int64) bool {
			if n, err := f.ReadAt(p, off); n != part || err != nil && err != io.EOF {
				t.Errorf("%s: ReadAt(%d): %d, %v, want %d", dir, off, n, err, part)
			}
			return false
		})
	}
	t.Logf("false ends that the kernel told: %d by preadv2(RWF_NOWAIT), %d by a ring", byCall, byRing)
	if byRing != 0 {
		t.Error("rings tell false ends as well")
	}
}

// each runs do for 0..n-1 at once and counts for how many it is true.
func each(n int, do func(i int) bool) (count int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if do(i) {
				mu.Lock()
				count++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return count
}

// ringRead reads once through a ring of its own.
func ringRead(fd int, p []byte, off int64) (int, error) {
	r, err := uring.New(uring.Config{Entries: 1})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	r.GetSQE().PrepRead(fd, p, uint64(off))
	if _, err := r.SubmitAndWait(1); err != nil {
		return 0, err
	}
	c, err := r.WaitCQE()
	if err != nil {
		return 0, err
	}
	n := int(c.Res)
	r.CQESeen(c)
	if n < 0 {
		return 0, unix.Errno(-n)
	}
	return n, nil
}
