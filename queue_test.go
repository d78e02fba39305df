package ringfile

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q queue[int]
	var model []int
	for i := range 20_000 {
		switch k := rng.IntN(10); {
		case k < 4:
			q.push(i)
			model = append(model, i)
		case k < 5:
			q.pushFront(i)
			model = slices.Insert(model, 0, i)
		case k < 9 && len(model) > 0:
			if got := q.pop(); got != model[0] {
				t.Fatalf("pop = %d, want %d", got, model[0])
			}
			model = model[1:]
		case len(model) > 0:
			x := model[rng.IntN(len(model))]
			if !q.remove(x) || q.remove(x) {
				t.Fatalf("remove(%d): want it to be there once", x)
			}
			model = slices.DeleteFunc(model, func(y int) bool { return y == x })
		}
		if q.len() != len(model) {
			t.Fatalf("len = %d, want %d", q.len(), len(model))
		}
	}
}
