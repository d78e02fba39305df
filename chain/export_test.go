package chain

import "github.com/ringfile/ringfile"

// Hold is a chain that runs on e until it is released.
func Hold(e *ringfile.Engine) (release func()) {
	g := orderOf(e)
	if !g.tryEnter(1) {
		panic("a chain drains")
	}
	return func() { g.leave(1) }
}

// Flights returns how many submissions have been made.
func Flights() (n uint64) {
	devices.mu.Lock()
	defer devices.mu.Unlock()
	for _, d := range devices.of {
		if d.ring != nil {
			d.ring.mu.Lock()
			n += d.ring.number
			d.ring.mu.Unlock()
		}
	}
	return n
}

// Rings returns how many rings there are.
func Rings() (n int) {
	devices.mu.Lock()
	defer devices.mu.Unlock()
	for _, d := range devices.of {
		if d.ring != nil {
			n++
		}
	}
	return n
}
