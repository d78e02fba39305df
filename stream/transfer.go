package stream

import (
	"errors"
	"io"
	"math"
	"math/bits"
	"syscall"

	"github.com/ringfile/ringfile"
)

const (
	// mergedSize is the largest request made from adjacent ranges, and mergedHole the largest gap, in
	// bytes, between two of these.
	mergedSize = 256 << 10
	mergedHole = 4 << 10
)

// transfer is one read, of one block or several adjacent ones.
type transfer struct {
	file       *ringfile.File
	start, end int64  // what is read
	buf        []byte // nil if it was kept
	align      int64
	index      int // in the queue, while it is in flight
	flying     bool
	done       bool
	hit        bool // done at once
	n          int
	err        error
	blocks     []Block
	next       int // the first one that has not been returned
	room       [1]Block
}

// transfer returns a new transfer of r.
func (l *lookahead) transfer(r Range, index int) *transfer {
	var t *transfer
	if n := len(l.spare); n > 0 {
		t = l.spare[n-1]
		l.spare = l.spare[:n-1]
		l.idle -= len(t.buf)
	} else {
		t = new(transfer)
		t.blocks = t.room[:]
	}
	if r.File != l.file {
		l.file, l.align = r.File, l.alignOf(r.File)
	}
	l.init(t, r, index)
	return t
}

// alignOf returns the alignment of the offsets and lengths of transfers of f.
func (l *lookahead) alignOf(f *ringfile.File) int64 {
	if !f.Direct() {
		return 1
	}
	align, ok := l.known[f]
	if !ok {
		align = int64(pageSize)
		if d, err := describe(l.ctx, f); err == nil { // else the read says what is wrong
			align = max(align, d.align)
		}
		if l.known == nil || len(l.known) > 1000 {
			l.known = make(map[*ringfile.File]int64)
		}
		l.known[f] = align
	}
	return align
}

// init makes t a transfer of r, which is in the last file.
func (l *lookahead) init(t *transfer, r Range, index int) {
	t.file, t.start, t.end, t.align = r.File, r.Off, r.Off, 1
	if r.Len > 0 && r.Off >= 0 && r.Off <= math.MaxInt64-int64(r.Len)-l.align {
		t.align = l.align
		t.start = alignDown(r.Off, t.align)
		t.end = alignUp(r.Off+int64(r.Len), t.align)
	} else if r.Len > 0 {
		t.end = t.start + int64(r.Len) // the kernel says what is wrong with it; it may be beyond all numbers
	}
	t.blocks = append(t.blocks[:0], Block{Range: r, Index: index, from: t})
	t.next, t.n, t.err = 0, 0, nil
	t.flying, t.done, t.hit = false, false, false
}

// full reports whether t must not grow any more: it is large, or there would be too little in flight
// beside it.
func (l *lookahead) full(t *transfer) bool {
	return t.end-t.start >= mergedSize || len(t.blocks) >= max(l.distance/4, l.few)
}

// merge adds r to the open transfer if it is adjacent.
func (l *lookahead) merge(r Range) bool {
	t := l.open
	last := &t.blocks[len(t.blocks)-1]
	end := last.Off + int64(last.Len)
	if r.File != t.file || r.Len <= 0 || last.Len <= 0 || r.Off < end || r.Off > end+mergedHole ||
		t.start < 0 || r.Off > math.MaxInt64/2 || r.Off+int64(r.Len)-t.start > mergedSize || r.Len > l.config.MaxBytes-l.bytes {
		return false
	}
	l.merging = true
	t.blocks = append(t.blocks, Block{Range: r, Index: l.index, from: t})
	l.bytes -= int(t.end - t.start)
	t.end = alignUp(r.Off+int64(r.Len), t.align)
	l.bytes += int(t.end - t.start)
	l.blocks++
	return true
}

// part returns what t has read of b, and the error that ReadAt would have had.
func (t *transfer) part(b *Block) ([]byte, error) {
	if b.Len <= 0 {
		b.from = nil
		return nil, t.err
	}
	from := int(b.Off - t.start)
	n := min(max(t.n-from, 0), b.Len)
	data := t.buf[from : from+n : from+b.Len]
	if n == b.Len {
		return data, nil
	}
	return data, t.err
}

// again reports whether b must be read by itself to find its error: that of t may be another block's,
// or due to a growing file.
func (t *transfer) again(b *Block, err error) bool {
	return err != io.EOF && (len(t.blocks) > 1 || t.grown())
}

// grown reports whether t failed because the file grew while its end was read: O_DIRECT cannot continue
// in the middle of a block.
func (t *transfer) grown() bool {
	return t.align > 1 && t.n > 0 && int64(t.n)%t.align != 0 && errors.Is(t.err, syscall.EINVAL)
}

// rangePools has a pool for each power of two from the size of a page to 1 MiB.
var rangePools = func() (pools []*ringfile.BufferPool) {
	for size := pageSize; size <= 1<<20; size *= 2 {
		pools = append(pools, ringfile.NewBufferPool(size, pageSize))
	}
	return pools
}()

// poolOf returns the index in rangePools of the buffers that hold n bytes; it may be past the last.
func poolOf(n int) int { return bits.Len(uint(max(n, 1)-1) / uint(pageSize)) }

// fit returns buf if it is right for n bytes, or a buffer in its place.
func fit(buf []byte, n int, align int64) []byte {
	if n == 0 || n <= len(buf) && align <= int64(pageSize) {
		return buf
	}
	putBuffer(buf)
	if i := poolOf(n); i < len(rangePools) && align <= int64(pageSize) {
		return rangePools[i].Get()
	}
	return ringfile.AlignedBuffer(n, max(int(align), pageSize))
}

// putBuffer returns a buffer obtained from fit.
func putBuffer(buf []byte) {
	if i := poolOf(len(buf)); len(buf) > 0 && i < len(rangePools) && len(buf) == pageSize<<i {
		rangePools[i].Put(buf)
	}
}
