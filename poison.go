package ringfile

import (
	"bytes"

	"github.com/ringfile/ringfile/internal/race"
)

// Under the race detector, freed memory is overwritten, and checked before it is reused: whoever still
// reads it gets wrong data, and whoever writes to it, including the kernel, is detected. The detector
// itself reports accesses by Go code.

const (
	poisonByte = 0xdb
	poisonN    = -0x24242425 // as the count of a request whose slot was released
)

// poison overwrites p, which must not be used from now on.
func poison(p []byte) {
	if race.Enabled {
		for i := range p {
			p[i] = poisonByte
		}
	}
}

// checkPoison panics if p, which must not have been used, is neither new memory nor as poison has left
// it.
func checkPoison(p []byte) {
	if !race.Enabled || len(p) == 0 {
		return
	}
	if b := p[0]; b != 0 && b != poisonByte || bytes.Count(p, p[:1]) != len(p) {
		panic("ringfile: a buffer was written to after it had been given back to its BufferPool")
	}
}
