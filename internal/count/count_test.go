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

// TestTrafficFull counts more than is counted in one place.
func TestTrafficFull(t *testing.T) {
	var traffic Traffic
	const large, n uint64 = 1 << 30, 5 << 12
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				traffic.Add(int(large))
			}
		})
	}
	wg.Wait()
	if ops, bytes := traffic.Load(); ops != n || bytes != n*large {
		t.Errorf("%d operations and %d bytes, want %d and %d", ops, bytes, n, n*large)
	}
	for range 3 << 20 {
		traffic.Add(0)
	}
	if ops, bytes := traffic.Load(); ops != n+3<<20 || bytes != n*large {
		t.Errorf("%d operations and %d bytes, want %d and %d", ops, bytes, n+3<<20, n*large)
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
