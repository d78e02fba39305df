package chain

import (
	"runtime"
	"sync"
	"weak"

	"github.com/ringfile/ringfile"
)

// maxChains is an upper limit, never reached, of the chains that run at a time on an engine.
const maxChains = 1 << 40

// orders has a *gate for each engine, keyed by a weak pointer to it: a running chain holds a unit of
// it, one that drains holds all.
var orders sync.Map

// order returns the gate of the engine of the first file whose operations are still to be carried out,
// nil if there is none.
func (c *Chain) order() *gate {
	if c.next == c.n || !isFile(c.links[c.next].file) {
		return nil
	}
	return orderOf(c.links[c.next].file.Engine())
}

func orderOf(e *ringfile.Engine) *gate {
	key := weak.Make(e)
	if g, ok := orders.Load(key); ok {
		return g.(*gate)
	}
	g, known := orders.LoadOrStore(key, &gate{free: maxChains})
	if !known {
		runtime.AddCleanup(e, func(key weak.Pointer[ringfile.Engine]) { orders.Delete(key) }, key)
	}
	return g.(*gate)
}
