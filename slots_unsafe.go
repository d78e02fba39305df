package ringfile

import (
	"errors"
	"unsafe"
)

// slots holds the slots of one ring, for as long as the ring lives. The address of a slot, with its
// generation in the sixteen bits above it, is the user_data of its submissions.
//
// The address is only ever compared, never turned back into a pointer: a value from the kernel leads to
// a slot by arithmetic on the bounds of the array, or nowhere. Go's garbage collector does not move
// heap objects, so an address stays valid while the array is reachable.
type slots struct {
	all  []slot
	base uintptr
	free []*slot
}

const (
	addressBits = 48
	slotSize    = unsafe.Sizeof(slot{})
)

func (s *slots) init(n int) error {
	s.all = make([]slot, n)
	s.base = uintptr(unsafe.Pointer(unsafe.SliceData(s.all)))
	if uint64(s.base)+uint64(n)*uint64(slotSize) > 1<<addressBits {
		return errors.New("heap above 2^48: no room for the generation in user_data")
	}
	s.free = make([]*slot, 0, n)
	for i := range s.all {
		s.free = append(s.free, &s.all[i])
	}
	return nil
}

// take gives a free slot to req; there must be one.
func (s *slots) take(req *request) {
	last := len(s.free) - 1
	req.slot = s.free[last]
	req.slot.req = req
	s.free = s.free[:last]
}

// release frees the slot of req. Later completions with its user_data match nothing.
func (s *slots) release(req *request) {
	req.slot.req = nil
	req.slot.gen++
	req.slot.asked = false
	s.free = append(s.free, req.slot)
	req.slot = nil
}

// id returns the user_data of a slot's current request.
func (s *slot) id() uint64 {
	return uint64(uintptr(unsafe.Pointer(s))) | uint64(s.gen)<<addressBits
}

// find returns the request in flight whose user_data is id, nil if there is none.
func (s *slots) find(id uint64) *request {
	off := id&(1<<addressBits-1) - uint64(s.base)
	if off%uint64(slotSize) != 0 || off/uint64(slotSize) >= uint64(len(s.all)) {
		return nil // off wraps for addresses below base, and is out of range then
	}
	if at := &s.all[off/uint64(slotSize)]; at.req != nil && at.id() == id {
		return at.req
	}
	return nil
}
