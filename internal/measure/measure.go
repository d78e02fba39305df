// Package measure compares ways of doing the same work, for the measurements in docs/. It runs them
// in turn, several times, and prints medians as rows of a Markdown table. A test that uses it is
// skipped unless RINGFILE_MEASURE names the directory to measure in:
//
//	RINGFILE_MEASURE=/mnt/disk go test -run '^TestMeasure' -count=1 -v .
//
// It never fails on timing.
package measure

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/cputime"
)

// Dir returns the directory to measure in, and skips the test if none is asked for.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("RINGFILE_MEASURE")
	if dir == "" {
		t.Skip("set RINGFILE_MEASURE to the directory to measure in")
	}
	return dir
}

// Side is one way of doing the work.
type Side struct {
	Name string
	// Prepare, if not nil, runs before each repetition and is not measured, such as an eviction.
	Prepare func() error
	// Run does the whole work once and returns how many operations that were.
	Run func() (ops int, err error)
	// Proof, if not nil, says after the last repetition which route the work took.
	Proof func() string
}

// Reps is how often each side is measured, after one run that is not counted.
const Reps = 7

// piece is what one run cost.
type piece struct{ wall, cpu float64 } // seconds per operation

// Compare measures the sides in turn and prints a row for each. The first is the yardstick: the
// ratio of a side is the median, over the repetitions, of the yardstick's time per operation divided
// by its own, so that more is better.
func Compare(t testing.TB, cell string, sides ...Side) {
	t.Helper()
	pieces := make([][]piece, len(sides))
	for rep := range Reps + 1 {
		for i := range sides {
			if rep%2 == 1 {
				i = len(sides) - 1 - i // each goes first as often as last
			}
			p, err := run(&sides[i])
			if err != nil {
				t.Fatalf("%s, %s: %v", cell, sides[i].Name, err)
			}
			if rep > 0 {
				pieces[i] = append(pieces[i], p)
			}
		}
	}
	for i, s := range sides {
		var ratios, walls, cpus []float64
		for rep, p := range pieces[i] {
			ratios = append(ratios, pieces[0][rep].wall/p.wall)
			walls = append(walls, p.wall)
			cpus = append(cpus, p.cpu)
		}
		proof := ""
		if s.Proof != nil {
			proof = s.Proof()
		}
		fmt.Printf("| %s | %s | %.4g/s | %.2f (%.2f-%.2f) | %.2f | %s |\n", cell, s.Name, 1/Median(walls),
			Median(ratios), slices.Min(ratios), slices.Max(ratios), 1e6*Median(cpus), proof)
	}
}

// Header prints the head of the table that Compare prints rows of.
func Header() {
	fmt.Println("| work | method | rate | ratio (range) | CPU µs per op | route |\n|---|---|---|---|---|---|")
}

func run(s *Side) (piece, error) {
	if s.Prepare != nil {
		if err := s.Prepare(); err != nil {
			return piece{}, err
		}
	}
	cpu, start := cputime.Process(), time.Now()
	ops, err := s.Run()
	wall := time.Since(start)
	if err != nil || ops == 0 {
		return piece{}, fmt.Errorf("%d operations: %w", ops, err)
	}
	return piece{wall.Seconds() / float64(ops), (cputime.Process() - cpu).Seconds() / float64(ops)}, nil
}

// Median returns the middle one of x, or the mean of the two in the middle.
func Median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
