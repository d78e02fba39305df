// Package count counts what many goroutines do at the same time, spread over cache lines.
package count

import (
	"sync"
	"sync/atomic"
)

// shards is the number of cache lines that a counter is spread over.
const shards = 8

// Counter is a number that many goroutines add to.
type Counter struct {
	cells [shards]struct {
		n atomic.Uint64
		_ [56]byte
	}
}

// Add adds n.
func (c *Counter) Add(n uint64) { c.cells[Spread(shards)].n.Add(n) }

// Load returns the number.
func (c *Counter) Load() (n uint64) {
	for i := range c.cells {
		n += c.cells[i].n.Load()
	}
	return n
}

// Traffic counts operations and the bytes that they moved, with one atomic operation for both: it is for operations
// that take less than a microsecond.
type Traffic struct {
	cells [shards]struct {
		recent atomic.Uint64 // bytes, and above them operations
		_      [56]byte
	}
	mu         sync.Mutex // held to move what is recent to the rest
	ops, bytes uint64     // the rest
}

// The two parts of recent. One operation moves less than 2 TiB, half of what there is room for.
const (
	byteBits = 42
	oneOp    = 1 << byteBits
	full     = 1<<63 | 1<<(byteBits-1) // one of the parts is half full
)

// Add counts one operation that moved n bytes.
func (t *Traffic) Add(n int) {
	recent := &t.cells[Spread(shards)].recent
	if recent.Add(oneOp+uint64(max(n, 0)))&full != 0 {
		t.mu.Lock()
		t.take(recent)
		t.mu.Unlock()
	}
}

// take moves what is recent to the rest. mu is held.
func (t *Traffic) take(recent *atomic.Uint64) {
	n := recent.Swap(0)
	t.ops += n >> byteBits
	t.bytes += n & (oneOp - 1)
}

// Load returns how many operations there were, and the bytes.
func (t *Traffic) Load() (ops, bytes uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.cells {
		t.take(&t.cells[i].recent)
	}
	return t.ops, t.bytes
}
