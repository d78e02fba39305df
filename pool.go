package ringfile

import (
	"fmt"
	"math/bits"
	"sync"
)

// AlignedBuffer returns a buffer of size bytes whose address is a multiple of align, a power of two, as
// O_DIRECT requires. File.DirectAlign reports the right value for a file; 4096 suits nearly all
// devices.
func AlignedBuffer(size, align int) []byte {
	if size < 0 {
		panic(fmt.Sprintf("ringfile: AlignedBuffer(%d, %d): negative size", size, align))
	}
	if align <= 0 || align&(align-1) != 0 {
		panic(fmt.Sprintf("ringfile: AlignedBuffer(%d, %d): the alignment must be a power of two", size, align))
	}
	p := make([]byte, size+align)
	skip := int(-address(p) & uintptr(align-1))
	return p[skip : skip+size : skip+size]
}

// BufferPool recycles aligned buffers of one size. It is safe for concurrent use; unused buffers are
// left to the garbage collector.
type BufferPool struct {
	size, align int
	free        sync.Pool // of *byte, the first byte of a buffer
}

// NewBufferPool makes a pool of buffers like those that AlignedBuffer(size, align) returns.
func NewBufferPool(size, align int) *BufferPool {
	p := &BufferPool{size: size, align: align}
	p.free.New = func() any { return firstByte(AlignedBuffer(size, align)) }
	return p
}

// Get returns a buffer of the pool's size. Its contents are whatever its last user left there.
func (p *BufferPool) Get() []byte {
	b := fromFirstByte(p.free.Get().(*byte), p.size)
	checkPoison(b)
	return b
}

// Put returns to the pool a buffer obtained from Get. The caller must not use it afterwards, and no
// operation that was given it may still be in flight.
func (p *BufferPool) Put(b []byte) {
	if cap(b) < p.size || p.size == 0 || address(b)&uintptr(p.align-1) != 0 {
		panic("ringfile: BufferPool.Put of a buffer that is not of this pool")
	}
	poison(b[:p.size])
	p.free.Put(firstByte(b))
}

// The engine's own memory replaces a caller's buffer where the caller may return before the kernel has
// finished: in operations with a context or a deadline.
const (
	minLoan   = 4 << 10
	maxLoan   = 1 << 20 // longer transfers go in pieces
	loanAlign = 4096
)

// loans has a pool for each power of two from minLoan to maxLoan.
var loans = func() (pools [9]*BufferPool) {
	for i := range pools {
		pools[i] = NewBufferPool(minLoan<<i, loanAlign)
	}
	return pools
}()

// loanPool returns the pool of the buffers that hold n bytes, at most maxLoan.
func loanPool(n int) *BufferPool {
	return loans[bits.Len(uint(max(n, minLoan)-1)/minLoan)]
}

// lend returns n bytes of the engine's memory, at most maxLoan; takeBack returns them.
func lend(n int) []byte { return loanPool(n).Get()[:n] }

func takeBack(b []byte) { loanPool(len(b)).Put(b) }
