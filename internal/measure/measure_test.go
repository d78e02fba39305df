package measure

import (
	"errors"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := Median(c.x); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.x, got, c.want)
		}
	}
}

func TestRun(t *testing.T) {
	if _, err := run(&Side{Run: func() (int, error) { return 0, nil }}); err == nil {
		t.Error("no operations: want an error, as there is nothing to divide by")
	}
	want := errors.New("broken")
	if _, err := run(&Side{Prepare: func() error { return want }}); !errors.Is(err, want) {
		t.Errorf("failed Prepare: %v, want %v", err, want)
	}
	if p, err := run(&Side{Run: func() (int, error) { return 1, nil }}); err != nil || p.wall <= 0 {
		t.Errorf("run = %+v, %v", p, err)
	}
}
