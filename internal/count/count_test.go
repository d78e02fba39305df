package count

import (
	"sync"
	"testing"
)

// TestCounts counts from many goroutines.
func TestCounts(t *testing.T) {
	var c Counter
	var traffic Traffic
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for range 1000 {
				c.Add(uint64(g))
				traffic.Add(g - 1) // -1 is no bytes, and an operation
			}
		})
	}
	wg.Wait()
	if n := c.Load(); n != 1000*120 {
		t.Errorf("%d, want %d", n, 1000*120)
	}
	if ops, bytes := traffic.Load(); ops != 16_000 || bytes != 1000*105 {
		t.Errorf("%d operations and %d bytes, want %d and %d", ops, bytes, 16_000, 1000*105)
	}
}

// TestSpread asks for a place among few and many, as powers of two.
func TestSpread(t *testing.T) {
	for n := 1; n <= 1<<16; n *= 2 {
		for range 100 {
			if i := Spread(n); i < 0 || i >= n {
				t.Fatalf("Spread(%d) = %d", n, i)
			}
		}
	}
}
