package faults

import (
	"math/rand/v2"
	"testing"
)

// TestNewCrash: a power cut spares what was flushed before it, may lose or tear what was not, and has
// nothing of what came after.
func TestNewCrash(t *testing.T) {
	block := func(off int64) Entry { return Entry{Kind: Write, Off: off, Data: make([]byte, 4*sectorSize)} }
	const flushed, cached, late = 1 << 20, 2 << 20, 3 << 20
	log := []Entry{block(flushed), {Kind: Flush}, {Kind: Mark, Mark: 1}, block(cached), {Kind: Flush},
		{Kind: Mark, Mark: 2}, block(late)}
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	for range 1000 {
		c := NewCrash(log, rng)
		sectors := map[int64]int{}
		for _, w := range c.writes {
			sectors[w.Off>>20<<20] += len(w.Data) / sectorSize
		}
		if sectors[flushed] != 4 {
			t.Fatalf("cut at %d: %d of 4 flushed sectors are there", c.Cut, sectors[flushed])
		}
		switch {
		case c.Cut <= 4:
			if c.Marked != 1 || c.Cut < 3 || sectors[late] != 0 {
				t.Fatalf("cut at %d: marked %d, sectors %v", c.Cut, c.Marked, sectors)
			}
			seen["cached"] |= 1 << sectors[cached]
		case sectors[cached] != 4 && c.Cut > 5 || c.Cut > 6 && c.Marked != 2:
			t.Fatalf("cut at %d: marked %d, sectors %v", c.Cut, c.Marked, sectors)
		case c.Cut == 7:
			seen["late"] |= 1 << sectors[late]
		}
	}
	for what, bits := range seen {
		if bits != 0b11111 {
			t.Errorf("%s: of 0 to 4 sectors kept, seen %05b", what, bits)
		}
	}
	if len(seen) != 2 {
		t.Errorf("seen %v", seen)
	}
	if NewCrash(log[:2], rng) != nil {
		t.Error("a power cut without a mark")
	}
}
