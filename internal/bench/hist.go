package bench

import (
	"math/bits"
	"time"
)

// hist is a histogram of durations with a relative error of 3 %: each power of two of nanoseconds
// is split into 32 buckets. It has a fixed size and adding to it does not allocate.
type hist struct {
	buckets [64 * subBuckets]uint32
	n       uint64
}

const (
	subBits    = 5
	subBuckets = 1 << subBits
)

func bucketOf(ns uint64) int {
	if ns < subBuckets {
		return int(ns)
	}
	shift := bits.Len64(ns) - subBits - 1
	return (shift+1)<<subBits + int(ns>>shift&(subBuckets-1))
}

// middleOf returns the duration that a bucket stands for.
func middleOf(b int) time.Duration {
	if b < subBuckets {
		return time.Duration(b)
	}
	shift := b>>subBits - 1
	low := uint64(subBuckets+b&(subBuckets-1)) << shift
	return time.Duration(low + 1<<shift/2)
}

func (h *hist) add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0)))]++
	h.n++
}

func (h *hist) merge(o *hist) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.n += o.n
}

// quantile returns the duration below which the share q of the values lies.
func (h *hist) quantile(q float64) time.Duration {
	want := uint64(q * float64(h.n))
	var seen uint64
	for i, n := range h.buckets {
		if seen += uint64(n); seen > want {
			return middleOf(i)
		}
	}
	return 0
}
