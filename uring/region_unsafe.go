package uring

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// region is a stretch of memory that is shared with the kernel, or with a [Fake]. All access to it
// goes through the methods below, which check bounds and alignment once, when a ring is made.
type region []byte

// check fails unless n bytes at off lie in m and are aligned to align.
func (m region) check(off, n, align uint64) error {
	if off > uint64(len(m)) || n > uint64(len(m))-off {
		return fmt.Errorf("ring offset %d: %d bytes do not fit a mapping of %d", off, n, len(m))
	}
	if base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m)))); n > 0 && (base+off)%align != 0 {
		return fmt.Errorf("ring offset %d is not aligned to %d bytes", off, align)
	}
	return nil
}

// word returns the 32-bit word at off.
func (m region) word(off uint32) (*atomic.Uint32, error) {
	if err := m.check(uint64(off), 4, 4); err != nil {
		return nil, err
	}
	// Package unsafe, rule 1: atomic.Uint32 has the size and alignment of a uint32, both checked.
	// A mapping is not collected, and a Fake's memory is kept alive by the interior pointer.
	return (*atomic.Uint32)(unsafe.Pointer(&m[off])), nil
}

// regionSlice returns the n values of type T at off. T has no pointers.
func regionSlice[T any](m region, off, n uint32) ([]T, error) {
	var t T
	size, align := uint64(unsafe.Sizeof(t)), uint64(unsafe.Alignof(t))
	if err := m.check(uint64(off), uint64(n)*size, align); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, nil
	}
	// As in word.
	return unsafe.Slice((*T)(unsafe.Pointer(&m[off])), n), nil
}

// newRegion returns n zero bytes of Go memory, aligned to 8 bytes.
func newRegion(n uint64) region {
	words := make([]uint64, (n+7)/8)
	// Package unsafe, rule 1: bytes need no alignment, and the array is large enough.
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)
}

// The sizes of what the kernel reads and writes, checked at compile time.
var (
	_ [64]byte   = [unsafe.Sizeof(SQE{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(CQE{})]byte{}
	_ [120]byte  = [unsafe.Sizeof(Params{})]byte{}
	_ [40]byte   = [unsafe.Sizeof(SQRingOffsets{})]byte{}
	_ [40]byte   = [unsafe.Sizeof(CQRingOffsets{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(Timespec{})]byte{}
	_ [24]byte   = [unsafe.Sizeof(getEventsArg{})]byte{}
	_ [2064]byte = [unsafe.Sizeof(probeArg{})]byte{}
	_ [32]byte   = [unsafe.Sizeof(rsrcRegister{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(rsrcUpdate{})]byte{}
	_ [32]byte   = [unsafe.Sizeof(rsrcUpdate2{})]byte{}
	_ [64]byte   = [unsafe.Sizeof(syncCancelReg{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(fileIndexRange{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(clockRegister{})]byte{}
	_ [16]byte   = [unsafe.Sizeof(Restriction{})]byte{}
	_ [32]byte   = [unsafe.Sizeof(cloneBuffers{})]byte{}
)
