package ringfile

import "unsafe"

// stringBytes returns the bytes of s, which must not be written.
func stringBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// address returns where p lies, for alignment.
func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// firstByte and fromFirstByte take a slice of known length through an interface without an
// allocation.
func firstByte(p []byte) *byte            { return unsafe.SliceData(p) }
func fromFirstByte(p *byte, n int) []byte { return unsafe.Slice(p, n) }
