// Package count counts what many goroutines do at the same time, spread over cache lines.
package count

import "sync/atomic"

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

// Traffic counts operations and the bytes that they moved, with one cache line for both: it is for
// operations that take less than a microsecond.
type Traffic struct {
	cells [shards]struct {
		ops, bytes atomic.Uint64
		_          [48]byte
	}
}

// Add counts one operation that moved n bytes.
func (t *Traffic) Add(n int) {
	cell := &t.cells[Spread(shards)]
	cell.ops.Add(1)
	if n > 0 {
		cell.bytes.Add(uint64(n))
	}
}

// Load returns how many operations there were, and the bytes.
func (t *Traffic) Load() (ops, bytes uint64) {
	for i := range t.cells {
		ops += t.cells[i].ops.Load()
		bytes += t.cells[i].bytes.Load()
	}
	return ops, bytes
}
