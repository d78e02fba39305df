package ringfile

import (
	"errors"
	"unsafe"
)

// slab holds the request slots of one ring, for as long as the ring lives. The address of a slot,
// with the slot's generation in the sixteen bits above it, is the user_data of its submissions.
//
// The address is only ever compared, never turned back into a pointer: what comes back from the
// kernel leads to a slot by arithmetic on the slab's bounds, or nowhere. Go's collector does not
// move heap objects, so an address stays right while the slab is reachable.
type slab struct {
	slots []request
	base  uintptr
}

const (
	addressBits = 48
	slotSize    = unsafe.Sizeof(request{})
)

func (s *slab) init(r *ring, n int) error {
	s.slots = make([]request, n)
	s.base = uintptr(unsafe.Pointer(unsafe.SliceData(s.slots)))
	if uint64(s.base)+uint64(n)*uint64(slotSize) > 1<<addressBits {
		return errors.New("heap above 2^48: no room for the generation in user_data")
	}
	for i := range s.slots {
		s.slots[i].ring = r
		s.slots[i].done = make(chan struct{}, 1)
	}
	return nil
}

// id returns the user_data of req's present life.
func (s *slab) id(req *request) uint64 {
	return uint64(uintptr(unsafe.Pointer(req))) | uint64(uint16(req.gen.Load()))<<addressBits
}

// request returns the slot that id points to, nil if it points to none.
func (s *slab) request(id uint64) *request {
	off := id&(1<<addressBits-1) - uint64(s.base)
	if off%uint64(slotSize) != 0 || off/uint64(slotSize) >= uint64(len(s.slots)) {
		return nil // off wraps for addresses below base, and is out of range then
	}
	return &s.slots[off/uint64(slotSize)]
}

// index returns which of the slots req is.
func (s *slab) index(req *request) int {
	return int((uintptr(unsafe.Pointer(req)) - s.base) / slotSize)
}

// current reports whether id means req's present life, and the kernel has that.
func (s *slab) current(req *request, id uint64) bool {
	p := phase(req.phase.Load())
	return (p == submitted || p == abandoned) && s.id(req) == id
}
