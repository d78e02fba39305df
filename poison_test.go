package ringfile

import (
	"testing"

	"github.com/ringfile/ringfile/internal/race"
)

// TestPoison writes to memory that has been given back: its next user is told.
func TestPoison(t *testing.T) {
	if !race.Enabled {
		t.Skip("memory is poisoned under -race only")
	}
	found := func() (panicked bool) {
		defer func() { panicked = recover() != nil }()
		buf := lend(100)
		takeBack(buf)
		if buf[99] != poisonByte {
			t.Error("memory of the engine is not overwritten when it is given back")
		}
		buf[50] = 1
		takeBack(lend(100))
		return false
	}
	for range 100 { // the pool drops some buffers
		if found() {
			return
		}
	}
	t.Error("nobody noticed the write")
}
