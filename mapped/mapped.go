// Package mapped reads files through memory mappings without letting page faults on cold pages block
// the program.
//
// A load from a mapped page that is not in memory is a page fault: the thread sleeps until the device
// answers, and its P with it, so that GOMAXPROCS such loads stop the whole program. A Mapping remembers
// which pages were recently seen in memory. It serves these for the cost of a load or two; it first
// reads the others through the engine, while the goroutine is parked.
//
// This is not a guarantee: the kernel may drop a page right after it has been read, and a load is then
// a page fault after all. See docs/mapped.md for when it pays off.
package mapped

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringfile/ringfile"
)

// Mapping is a file mapped into memory for reading. Its methods are safe for concurrent use.
type Mapping struct {
	file *ringfile.File
	data []byte // the file as long as it was when it was mapped

	// seen has a bit for each page that was in memory since the bitmap was last cleared. seenBefore has
	// those of the period before that.
	seen, seenBefore []atomic.Uint64
	aging            atomic.Bool // the timer is set that clears seen

	start    time.Time
	aged     atomic.Int64 // when seen was cleared last, in nanoseconds after start
	counting atomic.Bool  // a goroutine counts what has gone

	mu     sync.Mutex // held to set and stop the timer only
	timer  *time.Timer
	closed atomic.Bool
	uses   atomic.Int64 // calls that touch data, and one of the owner; the last one unmaps it

	loads, evicted, faults atomic.Uint64
}

var _ interface {
	io.ReaderAt
	io.Closer
} = (*Mapping)(nil)

const (
	pageShift = 12 // of the bitmap; what the system has may be larger
	pageSize  = 1 << pageShift

	// believed is how long a page that has been seen in memory is believed to be there.
	believed = 10 * time.Second

	// maxCopy is the largest size that ReadAt copies from the mapping.
	maxCopy = pageSize

	// pieceSize is how much Bytes reads at a time.
	pieceSize = 128 << 10
)

var cached = (*ringfile.File).Cached // but in tests

var pieces = ringfile.NewBufferPool(pieceSize, pageSize)

// Map maps the regular file f, at its current size, for reading. f must not have been opened with
// O_DIRECT, and must stay open as long as the Mapping does; the caller closes it. The error is a
// *fs.PathError; with O_DIRECT it matches syscall.EINVAL, on systems without mmap(2)
// errors.ErrUnsupported.
func Map(f *ringfile.File) (*Mapping, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := &Mapping{file: f, start: time.Now()}
	m.uses.Store(1)
	size := st.Size()
	switch {
	case !st.Mode().IsRegular():
		return nil, m.wrap(syscall.ENODEV)
	case f.Direct(): // its reads pass the page cache: nothing that they have read is in memory
		return nil, m.wrap(fmt.Errorf("the file was opened with O_DIRECT: %w", syscall.EINVAL))
	case size > math.MaxInt:
		return nil, m.wrap(syscall.ENOMEM)
	case size > 0:
		err := f.Engine().Call(context.Background(), f.Name(), func() (err error) {
			m.data, err = mmap(f, int(size))
			return err
		})
		if err != nil {
			return nil, m.wrap(err)
		}
	}
	words := (size>>pageShift)/64 + 1
	m.seen, m.seenBefore = make([]atomic.Uint64, words), make([]atomic.Uint64, words)
	return m, nil
}

// Len returns the number of bytes mapped: the size of the file when Map was called.
func (m *Mapping) Len() int64 { return int64(len(m.data)) }

// Bytes returns the n bytes at off, as a slice of the mapping: they must not be written, and may be
// used until Close. Pages that are not known to be in memory are read before Bytes returns, while the
// goroutine is parked. If ctx ends first, the error is the error of ctx in a *fs.PathError. The error
// is io.EOF for a range that is not within Len, or that the file, having become shorter, no longer has.
//
// What happens after that is the caller's risk. A page may be dropped before it is used, which costs a
// page fault. Using a part of the file that has been truncated away ends the program with SIGBUS,
// unless debug.SetPanicOnFault is set; Bytes may take up to ten seconds to notice that a file has
// become shorter. Later writes to the file are visible in the slice.
//
// A range that has not been requested within the last ten seconds is read once, in pieces, into memory
// that is thrown away, even if it is in the page cache: a large range then costs as much as a ReadAt.
func (m *Mapping) Bytes(ctx context.Context, off int64, n int) ([]byte, error) {
	switch {
	case m.closed.Load():
		return nil, m.wrap(fs.ErrClosed)
	case off < 0 || n < 0:
		return nil, m.wrap(syscall.EINVAL)
	case off > int64(len(m.data))-int64(n):
		return nil, io.EOF
	}
	if !m.known(off, n) {
		if err := m.load(ctx, off, n); err != nil {
			return nil, err
		}
	}
	return m.data[off : off+int64(n) : off+int64(n)], nil
}

// ReadAt is like the file's ReadAt, but up to 4 KiB that are known to be in memory are copied from the
// mapping, for a fraction of the cost of the system call. If a page is gone because the file has become
// shorter, the result is that of reading the file; within the file's last page, ReadAt may take up to
// ten seconds to notice, and returns zeros until then.
func (m *Mapping) ReadAt(p []byte, off int64) (n int, err error) {
	if !m.acquire() {
		return 0, m.wrap(fs.ErrClosed)
	}
	defer m.release()
	within := off >= 0 && len(p) > 0 && len(p) <= maxCopy && off <= int64(len(m.data))-int64(len(p))
	if within && m.known(off, len(p)) && m.copy(p, off) {
		return len(p), nil
	}
	n, err = m.file.ReadAt(p, off)
	if within && n == len(p) {
		m.note(off, n)
	}
	return n, err
}

// copy copies from the mapping; it reports whether everything was there.
func (m *Mapping) copy(p []byte, off int64) (ok bool) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if !ok {
			if _, fault := recover().(interface{ Addr() uintptr }); !fault {
				panic("mapped: a copy failed otherwise than by a fault")
			}
			m.faults.Add(1)
		}
	}()
	copy(p, m.data[off:])
	return true
}

// known reports whether all pages of a range were recently seen in memory.
func (m *Mapping) known(off int64, n int) bool {
	if page := off >> pageShift; (off+int64(n)-1)>>pageShift == page { // mostly
		return m.seen[page/64].Load()>>(page%64)&1 != 0
	}
	return m.allKnown(off, n)
}

func (m *Mapping) allKnown(off int64, n int) bool {
	for first, end := pagesOf(off, n); first < end; {
		mask, next := wordMask(first, end)
		if m.seen[first/64].Load()&mask != mask {
			return false
		}
		first = next
	}
	return true
}

// pagesOf returns the first page of a range and the one after its last.
func pagesOf(off int64, n int) (first, end int64) {
	return off >> pageShift, (off + int64(n) + pageSize - 1) >> pageShift
}

// wordMask returns the bits, in the word that holds first, of the pages from first up to end, and the
// next page after these.
func wordMask(first, end int64) (mask uint64, next int64) {
	next = min((first|63)+1, end)
	return ^uint64(0) >> (64 - uint(next-first)) << uint(first&63), next
}

// note records that all pages of a range are in memory.
func (m *Mapping) note(off int64, n int) {
	for first, end := pagesOf(off, n); first < end; {
		mask, next := wordMask(first, end)
		m.seen[first/64].Or(mask)
		first = next
	}
	if !m.aging.Load() && m.aging.CompareAndSwap(false, true) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.closed.Load() {
			m.timer = time.AfterFunc(believed, m.age)
		}
	}
}

// age starts a new period of the bitmap. If no call records anything meanwhile, it is not called again.
func (m *Mapping) age() {
	m.aging.Store(false)
	m.aged.Store(int64(time.Since(m.start)))
	for i := range m.seen {
		m.seenBefore[i].Store(m.seen[i].Swap(0))
	}
}

// load reads a range, so that it is in memory.
func (m *Mapping) load(ctx context.Context, off int64, n int) error {
	// Whole pages, as far as the file goes.
	from := off &^ (pageSize - 1)
	to := min((off+int64(n)+pageSize-1)&^(pageSize-1), int64(len(m.data)))
	m.loads.Add(1)
	m.countEvicted(ctx, from, to)
	// What is in the page cache is read all the same, once: it may be on its way into it.
	buf := pieces.Get()
	defer pieces.Put(buf)
	for from < to {
		p := buf[:min(to-from, pieceSize)]
		var k int
		var err error
		if ctx.Done() == nil {
			k, err = m.file.ReadAt(p, from)
		} else {
			k, err = m.file.ReadAtContext(ctx, p, from)
		}
		// The file may end in its last page, behind the range.
		if k < len(p) && err != nil && (err != io.EOF || from+int64(k) < off+int64(n)) {
			return err
		}
		m.note(from, k)
		if k < len(p) {
			return nil
		}
		from += int64(k)
	}
	return nil
}

// countEvicted counts the pages of a range that were believed to be in memory, if a part of it is not.
func (m *Mapping) countEvicted(ctx context.Context, from, to int64) {
	if time.Since(m.start)-time.Duration(m.aged.Load()) > believed {
		return // nothing in seenBefore has been believed since
	}
	pages := 0
	for first, end := pagesOf(from, int(to-from)); first < end; {
		mask, next := wordMask(first, end)
		pages += bits.OnesCount64(m.seenBefore[first/64].Load() & mask)
		first = next
	}
	if pages == 0 {
		return
	}
	count := func() {
		if n, err := cached(m.file, from, to-from); err == nil && n < to-from {
			m.evicted.Add(uint64(pages))
		}
	}
	if ctx.Done() == nil {
		count()
		return
	}
	// Cached takes no context: one goroutine of a mapping may be left with it, and no more.
	if !m.counting.CompareAndSwap(false, true) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer m.counting.Store(false)
		count()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Stats counts what a Mapping has done.
type Stats struct {
	// Loads counts the ranges that Bytes has read because they were not known to be in memory.
	Loads uint64
	// Evicted counts pages of those ranges that had been believed to be in memory just before, in ranges of
	// which a part turned out to be gone (ringfile.File.Cached). Of calls with a context, at most one at a time
	// is counted.
	Evicted uint64
	// Faults counts copies by ReadAt from pages that the file no longer had.
	Faults uint64
}

// Stats returns the current counts. It does not know of page faults of the caller's own loads;
// getrusage(2) counts those of the process.
func (m *Mapping) Stats() Stats {
	return Stats{Loads: m.loads.Load(), Evicted: m.evicted.Load(), Faults: m.faults.Load()}
}

// Close unmaps the file; it does not close it. Slices returned by Bytes must not be used afterwards:
// they are not tracked, and using one would crash the program or read something else. Calls of ReadAt
// in progress finish first; later calls fail with an error that matches fs.ErrClosed.
func (m *Mapping) Close() error {
	if m.closed.Swap(true) {
		return m.wrap(fs.ErrClosed)
	}
	m.mu.Lock()
	if m.timer != nil {
		m.timer.Stop()
	}
	m.mu.Unlock()
	m.release()
	return nil
}

// acquire keeps the mapping for a call; it reports whether it still exists.
func (m *Mapping) acquire() bool {
	if m.closed.Load() {
		return false
	}
	for n := m.uses.Load(); n > 0; n = m.uses.Load() {
		if m.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// release undoes acquire.
func (m *Mapping) release() {
	if m.uses.Add(-1) == 0 && m.data != nil {
		munmap(m.data)
	}
}

func (m *Mapping) wrap(err error) error {
	if _, ok := err.(*fs.PathError); ok {
		return err
	}
	return &fs.PathError{Op: "mmap", Path: m.file.Name(), Err: err}
}
