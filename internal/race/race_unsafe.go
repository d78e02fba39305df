//go:build race

// Package race tells the race detector what the kernel does to memory.
//
// The detector sees loads and stores of Go code only. A buffer that the kernel fills or reads is
// announced here, in the goroutine that observes the completion, so that touching it before
// Await is reported like any other race.
package race

import (
	"runtime"
	"unsafe"
)

// Enabled reports whether the race detector is compiled in.
const Enabled = true

// Wrote records that the kernel stored into p.
func Wrote(p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
}

// Read records that the kernel loaded from p.
func Read(p []byte) {
	if len(p) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
}
