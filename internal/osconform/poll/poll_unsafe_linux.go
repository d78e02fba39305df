// Package poll is what Go's tests of os use of internal/poll.
package poll

import _ "unsafe" // for linkname

// FD starts like poll.FD on Linux, as far as Sysfd. Values of it are never made: pointers to real
// ones come out of the hooks.
type FD struct {
	_ struct { // fdMutex
		state uint64
		rsema uint32
		wsema uint32
	}
	Sysfd int
}

// TestHookDidSendFile is called after each sendfile(2).
//
//go:linkname TestHookDidSendFile internal/poll.TestHookDidSendFile
var TestHookDidSendFile func(dst *FD, src uintptr, written int64, err error, handled bool)
