package uring

import (
	"encoding/binary"
	"math/bits"
)

// bigEndian says whether this machine is.
var bigEndian = binary.NativeEndian.Uint16([]byte{1, 0}) != 1

// pollMask is mask as an entry holds it: the kernel once had 16 bits there, so on a big-endian
// machine the halves are the other way round.
func pollMask(mask uint32) uint32 {
	if bigEndian {
		return bits.RotateLeft32(mask, 16)
	}
	return mask
}
