package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		next func() time.Duration
	}{
		{"small", func() time.Duration { return time.Duration(rng.IntN(20)) }},
		{"uniform", func() time.Duration { return time.Duration(rng.Int64N(int64(time.Millisecond))) }},
		{"long tail", func() time.Duration { return time.Duration(rng.ExpFloat64() * 1e6) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Two halves, so that merging is looked at as well.
			var h, other hist
			var all []time.Duration
			for i := range 20_000 {
				d := c.next()
				all = append(all, d)
				if i%2 == 0 {
					h.add(d)
				} else {
					other.add(d)
				}
			}
			h.merge(&other)
			slices.Sort(all)
			for _, q := range []float64{0, 0.5, 0.99, 0.999} {
				got, want := h.quantile(q), all[int(q*float64(len(all)))]
				if diff := (got - want).Abs(); diff > want/25+1 {
					t.Errorf("quantile %v: got %v, want %v", q, got, want)
				}
			}
		})
	}
}

func TestHistogramEnds(t *testing.T) {
	var h hist
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("of nothing: got %v, want 0", got)
	}
	h.add(-1)
	h.add(1<<63 - 1)
	if got := h.quantile(0); got != 0 {
		t.Errorf("of a clock that went back: got %v, want 0", got)
	}
	if got := h.quantile(0.99); got < 1<<62 {
		t.Errorf("of the longest duration: got %v", got)
	}
	// Buckets are in order, and each value is in the one that stands for it.
	last := time.Duration(-1)
	for b := range (64 - subBits) * subBuckets {
		m := middleOf(b)
		if m <= last || bucketOf(uint64(m)) != b {
			t.Fatalf("bucket %d stands for %v, which is in bucket %d; the one before stands for %v",
				b, m, bucketOf(uint64(m)), last)
		}
		last = m
	}
}
