package chain

import (
	"slices"
	"sync"

	"github.com/ringfile/ringfile/internal/outside"
)

// gate is a weighted semaphore, first come, first served. Callers may be in synctest bubbles, each in a
// different one.
type gate struct {
	mu      sync.Mutex
	free    int64
	waiting []*entrant
}

// entrant is a waiter at a gate.
type entrant struct {
	weight int64
	let    chan struct{} // of outside
}

// enter takes weight, at most the total, and returns false if stop fires first.
func (g *gate) enter(weight int64, stop <-chan struct{}) bool {
	if g.tryEnter(weight) {
		return true
	}
	w := &entrant{weight: weight, let: outside.Chan()}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.admit()
	g.mu.Unlock()
	select {
	case <-w.let:
		outside.Free(w.let)
		return true
	case <-stop:
	}
	g.mu.Lock()
	i := slices.Index(g.waiting, w)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		g.admit() // those behind may have waited for this one
	}
	g.mu.Unlock()
	if i < 0 { // let in meanwhile
		<-w.let
		g.leave(weight)
	}
	outside.Free(w.let)
	return false
}

func (g *gate) tryEnter(weight int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 || g.free < weight {
		return false
	}
	g.free -= weight
	return true
}

// leave returns what enter has taken.
func (g *gate) leave(weight int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free += weight
	g.admit()
}

// admit admits the waiters that there is room for. mu is held.
func (g *gate) admit() {
	for len(g.waiting) > 0 && g.waiting[0].weight <= g.free {
		w := g.waiting[0]
		g.waiting = slices.Delete(g.waiting, 0, 1)
		g.free -= w.weight
		w.let <- struct{}{}
	}
}
