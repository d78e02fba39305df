package ringfile

import (
	"fmt"
	"sync"
)

// AlignedBuffer returns size bytes at an address that is a multiple of align, a power of two, as
// O_DIRECT wants them. See File.DirectAlign for the right value; 4096 suits nearly all devices.
func AlignedBuffer(size, align int) []byte {
	if size < 0 || align <= 0 || align&(align-1) != 0 {
		panic(fmt.Sprintf("ringfile: AlignedBuffer(%d, %d): the alignment must be a power of two", size, align))
	}
	p := make([]byte, size+align)
	skip := int(-address(p) & uintptr(align-1))
	return p[skip : skip+size : skip+size]
}

// BufferPool recycles aligned buffers of one size. It is safe for concurrent use; buffers that
// nobody uses are left to the collector. [Engine.NewBufferPool] makes one whose buffers are
// registered with the kernel.
type BufferPool struct {
	size, align int
	free        sync.Pool    // of *byte, the first byte of a buffer
	fixed       *fixedMemory // registered buffers, nil if there are none
	reason      error        // why there are none
}

// NewBufferPool makes a pool of buffers as AlignedBuffer(size, align) returns them.
func NewBufferPool(size, align int) *BufferPool {
	p := &BufferPool{size: size, align: align, reason: errUnregistered}
	p.free.New = func() any { return firstByte(AlignedBuffer(size, align)) }
	return p
}

// Get returns a buffer of the pool's size with whatever its last user left in it.
func (p *BufferPool) Get() []byte {
	if p.fixed != nil {
		if b := p.fixed.get(); b != nil {
			return b
		}
	}
	b := fromFirstByte(p.free.Get().(*byte), p.size)
	checkPoison(b)
	return b
}

// Put gives a buffer back that Get returned. The caller must not use it any more, and no
// operation, future or context form that was given it may still be in flight.
func (p *BufferPool) Put(b []byte) {
	if p.fixed != nil && p.fixed.put(b) {
		return
	}
	if cap(b) < p.size || p.size == 0 || address(b)&uintptr(p.align-1) != 0 {
		panic("ringfile: BufferPool.Put of a buffer that is not of this pool")
	}
	poison(b[:p.size])
	p.free.Put(firstByte(b))
}

// bounce is memory of the engine that stands in for a caller's buffer, in operations whose caller
// may leave before the kernel is done: those with a context or a deadline.
type bounce struct {
	buf  []byte
	pool *BufferPool
}

const (
	bounceAlign = 4096
	bounceMax   = 1 << 20 // longer transfers go in pieces
)

var bounces = [...]*BufferPool{
	NewBufferPool(4<<10, bounceAlign),
	NewBufferPool(64<<10, bounceAlign),
	NewBufferPool(bounceMax, bounceAlign),
}

// newBounce returns a bounce with a buffer of n bytes, at most bounceMax.
func newBounce(n int) *bounce {
	for _, p := range bounces {
		if n <= p.size {
			return &bounce{buf: p.Get()[:n], pool: p}
		}
	}
	panic("ringfile: bounce buffer too large")
}

// release gives the memory back; nil is fine.
func (b *bounce) release() {
	if b != nil {
		b.pool.Put(b.buf)
		b.buf = nil
	}
}
