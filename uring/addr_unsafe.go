package uring

import "unsafe"

// leak makes memory escape, see addrOf. Nothing ever sets on; the compiler does not know that.
var leak struct {
	on bool
	p  unsafe.Pointer
}

// addrOf returns the address of p's target as the number that goes into a structure for the kernel,
// and makes sure that the target lies on the heap.
//
// The number is no pointer to the compiler: without the branch below, escape analysis would let p
// point into a goroutine's stack, which moves when it grows, while the kernel goes on using the old
// address. The store, although it never happens, makes p's target escape in the caller. It costs one
// predictable branch and no allocation for what is on the heap anyway. To keep the target reachable
// is the caller's business. Should Go's heap ever move objects, this is the place for a
// [runtime.Pinner].
func addrOf[T any](p *T) uint64 {
	if leak.on {
		leak.p = unsafe.Pointer(p)
	}
	// Package unsafe, rule 2: a pointer to an integer, which is never converted back.
	return uint64(uintptr(unsafe.Pointer(p)))
}

// addrOfSlice is addrOf for the first element of s, 0 if s is nil.
func addrOfSlice[T any](s []T) uint64 {
	return addrOf(unsafe.SliceData(s))
}
