package ringfile

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Registered buffers: the kernel has looked up and pinned their pages once, so that a direct transfer
// does not do that each time. A pool's memory comes from mmap(2) and is one registered buffer, at the
// same index in every ring of the engine. Whether a caller's slice lies in such memory is found out
// by its address when a submission is prepared; nothing else is different.

const (
	fixedSlots  = 16      // pools that an engine has registered at a time
	fixedMax    = 1 << 30 // bytes that the kernel takes as one registered buffer
	fixedStride = 4096    // buffers begin at multiples of that
)

// NewBufferPool makes a pool of n buffers of the given size that are registered with the engine's
// rings, see io_uring_register(2): ReadAt, WriteAt and futures recognise them, and slices of them, and
// O_DIRECT transfers then need not pin their pages each time. All start at multiples of 4096. While
// more than n are in use, Get returns ordinary aligned buffers.
//
// The memory is locked, and counts against RLIMIT_MEMLOCK for unprivileged users; it is there from
// now on until [BufferPool.Close]. Where it cannot be registered all buffers are ordinary ones, and
// [BufferPool.Registered] and Stats.Unregistered say why. It needs Linux 5.19.
//
// Buffers may be used after the engine has been closed, and with the files of other engines: they
// are memory like any other then.
func (e *Engine) NewBufferPool(size, n int) *BufferPool {
	if n <= 0 || size <= 0 {
		panic(fmt.Sprintf("ringfile: Engine.NewBufferPool(%d, %d): both must be positive", size, n))
	}
	p := NewBufferPool(size, fixedStride)
	m, err := e.fixed.add(e, n, size)
	if err != nil {
		p.reason = err
		e.fixed.reason.Store(err)
		return p
	}
	p.fixed, p.reason = m, nil
	return p
}

// errUnregistered is what Registered says of a pool that was never meant to be.
var errUnregistered = errors.New("ringfile: the pool does not belong to an engine: see Engine.NewBufferPool")

// Registered returns nil if the pool's buffers are registered with an engine's rings, and why not
// otherwise: as a rule an *UnavailableError.
func (p *BufferPool) Registered() error { return p.reason }

// Close gives the memory of a pool of an engine back, once all its buffers have been. From then on
// Get returns ordinary buffers. A pool of ordinary buffers has nothing to close. If an operation that
// is in flight uses the memory, in spite of what Put says, it stays where it is, and Close returns a
// *CloseError.
func (p *BufferPool) Close() error {
	if p.fixed == nil {
		return nil
	}
	return p.fixed.close()
}

// registry is what an engine has registered.
type registry struct {
	table  atomic.Pointer[fixedTable] // nil while there is nothing
	reason atomic.Pointer[UnavailableError]

	mu    sync.Mutex // guards the following, and calls of io_uring_register
	ready bool       // the rings have a table of fixedSlots slots
	ended bool       // the rings are being closed
	used  [fixedSlots]bool
}

// fixedTable says which memory is registered. It is replaced, never changed.
type fixedTable struct {
	low, high uintptr // of all ranges together
	ranges    []fixedRange
}

type fixedRange struct {
	start, end uintptr
	slot       uint16
}

// find returns the slot of the range that p lies in, all of it.
func (t *fixedTable) find(p []byte) (slot uint16, ok bool) {
	start := address(p)
	if start < t.low || start >= t.high {
		return 0, false
	}
	for i := range t.ranges { // at most fixedSlots
		r := &t.ranges[i]
		if start >= r.start && start < r.end {
			return r.slot, uintptr(len(p)) <= r.end-start
		}
	}
	return 0, false
}

// newFixedTable returns a table of ranges, nil for none.
func newFixedTable(ranges []fixedRange) *fixedTable {
	if len(ranges) == 0 {
		return nil
	}
	t := &fixedTable{low: ranges[0].start, ranges: ranges}
	for _, r := range ranges {
		t.low, t.high = min(t.low, r.start), max(t.high, r.end)
	}
	return t
}

// fixedSlot returns where p, what a direct transfer moves, is registered. mu of the ring is held. The
// ring for chains has nothing registered.
func (req *request) fixedSlot(p []byte) (slot uint16, ok bool) {
	t := req.ring.engine.fixed.table.Load()
	if t == nil || !req.file.direct || req.ring.whole != nil {
		return 0, false
	}
	if slot, ok = t.find(p); ok {
		req.ring.stats.fixed++
	}
	return slot, ok
}

// add maps memory for n buffers and registers it with each ring, or with none.
func (g *registry) add(e *Engine, n, size int) (*fixedMemory, *UnavailableError) {
	refuse := func(err error, hint string) (*fixedMemory, *UnavailableError) {
		return nil, &UnavailableError{Op: "register", Err: err, Hint: hint, feature: "registered buffers are"}
	}
	if err := e.Available(); err != nil {
		return refuse(err, "")
	}
	if size > fixedMax || n > fixedMax/roundTo(size, fixedStride) {
		return refuse(errors.New("pool too large"), "the kernel registers at most 1 GiB in one piece; make several pools")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	slot := slices.Index(g.used[:], false)
	switch {
	case g.ended:
		return refuse(ErrEngineClosed, "")
	case slot < 0:
		return refuse(errors.New("too many pools"), fmt.Sprintf("an engine registers at most %d at a time", fixedSlots))
	}
	m, err := newFixedMemory(n, size)
	if err == nil {
		if err = g.register(e, slot, m.mem); err != nil {
			m.unmap()
		}
	}
	if err != nil {
		return nil, unregistered(err)
	}
	m.engine, m.slot = e, slot
	g.used[slot] = true
	var ranges []fixedRange
	if t := g.table.Load(); t != nil {
		ranges = slices.Clone(t.ranges)
	}
	start := address(m.mem)
	g.table.Store(newFixedTable(append(ranges, fixedRange{start, start + uintptr(len(m.mem)), uint16(slot)})))
	return m, nil
}

// remove undoes add, unless requests in flight use the memory, whose number it returns then.
func (g *registry) remove(m *fixedMemory) (inFlight int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ranges := slices.Clone(g.table.Load().ranges)
	i := slices.IndexFunc(ranges, func(r fixedRange) bool { return int(r.slot) == m.slot })
	gone := ranges[i]
	g.table.Store(newFixedTable(slices.Delete(ranges, i, i+1)))
	for r := range m.engine.everyRing {
		inFlight += r.usersOf(gone)
	}
	if inFlight > 0 {
		return inFlight // the slot stays used, too
	}
	if !g.ended {
		g.unregister(m.engine, m.slot)
	}
	g.used[m.slot] = false
	m.mu.Lock()
	m.unmap()
	m.gone = true
	m.mu.Unlock()
	return 0
}

// usersOf counts the requests in flight whose buffer lies in the range.
func (r *ring) usersOf(in fixedRange) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.slab.slots {
		req := &r.slab.slots[i]
		if phase(req.phase.Load()) != idle && (in.has(req.buf) || slices.ContainsFunc(req.vec, in.has)) {
			n++
		}
	}
	return n
}

// has reports whether p begins in the range.
func (in fixedRange) has(p []byte) bool {
	at := address(p)
	return at >= in.start && at < in.end
}

// end keeps everybody from the rings, which are about to be closed.
func (g *registry) end() {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
}

// fixedMemory is the memory of a registered pool.
type fixedMemory struct {
	engine *Engine
	slot   int
	mem    []byte
	size   int // of a buffer
	stride int // from one to the next

	mu     sync.Mutex
	free   []int32
	out    []bool // the buffers that are in use
	nOut   int
	closed bool
	gone   bool // mem is not mapped any more
}

func (m *fixedMemory) init(n int) {
	m.out = make([]bool, n)
	m.free = make([]int32, n)
	for i := range m.free {
		m.free[i] = int32(n - 1 - i) // the first one first
	}
}

// get returns a buffer that nobody uses, nil if there is none.
func (m *fixedMemory) get() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.free) == 0 {
		return nil
	}
	i := m.free[len(m.free)-1]
	m.free = m.free[:len(m.free)-1]
	m.out[i] = true
	m.nOut++
	at := int(i) * m.stride
	return m.mem[at : at+m.size : at+m.size]
}

// put takes b back if it is one of these. The last one lets a closed pool go.
func (m *fixedMemory) put(b []byte) (mine bool) {
	at := address(b) - address(m.mem)
	if at >= uintptr(len(m.mem)) {
		return false
	}
	m.mu.Lock()
	if m.gone { // it is another buffer, in its place
		m.mu.Unlock()
		return false
	}
	i := int(at) / m.stride
	if int(at)%m.stride != 0 || !m.out[i] {
		m.mu.Unlock()
		panic("ringfile: BufferPool.Put of a part of a buffer, or of one that has been put back already")
	}
	m.out[i] = false
	m.nOut--
	m.free = append(m.free, int32(i))
	last := m.closed && m.nOut == 0
	m.mu.Unlock()
	if last {
		m.engine.fixed.remove(m)
	}
	return true
}

func (m *fixedMemory) close() error {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	now := first && m.nOut == 0
	m.mu.Unlock()
	if now {
		if n := m.engine.fixed.remove(m); n > 0 {
			return &CloseError{InFlight: n}
		}
	}
	return nil
}

// roundTo returns the multiple of unit that is not below n.
func roundTo(n, unit int) int { return (n + unit - 1) / unit * unit }
