package limit

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQueue compares the line with a slice.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q queue
	var model []*waiter
	for range 20_000 {
		switch k := rng.IntN(10); {
		case k < 4:
			w := new(waiter)
			q.push(w)
			model = append(model, w)
		case k < 5:
			w := new(waiter)
			q.pushFront(w)
			model = slices.Insert(model, 0, w)
		case len(model) == 0:
			if q.pop() != nil || q.first() != nil {
				t.Fatal("somebody is in an empty line")
			}
		case k < 9:
			if got := q.pop(); got != model[0] {
				t.Fatal("pop does not give the first")
			}
			model = model[1:]
		default:
			w := model[rng.IntN(len(model))]
			if !q.remove(w) || q.remove(w) {
				t.Fatal("remove: want it to be there once")
			}
			model = slices.DeleteFunc(model, func(x *waiter) bool { return x == w })
		}
		n := 0
		for w := q.first(); w != nil; w = w.next {
			n++
		}
		if n != len(model) {
			t.Fatalf("%d are in line, want %d", n, len(model))
		}
	}
}
