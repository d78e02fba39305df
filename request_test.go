package ringfile

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRequestLine compares the line of requests with a slice.
func TestRequestLine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var line requests
	var model []*request
	for range 20_000 {
		switch k := rng.IntN(10); {
		case k < 5:
			req := new(request)
			line.push(req)
			model = append(model, req)
		case k < 8 && len(model) > 0:
			if got := line.pop(); got != model[0] || got.waiting {
				t.Fatal("pop does not give the first")
			}
			model = model[1:]
		case len(model) > 0:
			i := rng.IntN(len(model))
			line.remove(model[i])
			model = slices.Delete(model, i, i+1)
		}
		if line.n != len(model) {
			t.Fatalf("%d are in line, want %d", line.n, len(model))
		}
	}
}
