//go:build !linux

package chain

// part is empty: there are no rings on this system.
type part struct{}

func (c *Chain) onRing() (ran bool, err error) { return false, nil }
