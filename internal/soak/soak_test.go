//go:build linux

package soak

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// TestSoak is the short form. Whether curves are flat cannot be said after seconds; that nothing is
// wrong and nothing is left can.
func TestSoak(t *testing.T) {
	duration := 5 * time.Second
	if testing.Short() {
		duration = time.Second
	}
	for _, route := range []string{"auto", "blocking"} {
		t.Run(route, func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", route)
			defer testutil.Watchdog(t, 3*time.Minute)()
			report, err := Run(t.Context(), Options{Dir: t.TempDir(), For: duration, Every: duration / 40, Rate: 5000})
			if err != nil {
				t.Fatal(err)
			}
			if report.Ops() == 0 || len(report.Samples) == 0 {
				t.Fatalf("%d operations, %d samples", report.Ops(), len(report.Samples))
			}
			for _, s := range report.Samples {
				if s.Resident == 0 || s.Descriptors == 0 || s.Threads == 0 || s.Goroutines == 0 {
					t.Errorf("an empty sample: %+v", s)
				}
			}
			var csv bytes.Buffer
			if err := report.WriteCSV(&csv); err != nil || strings.Count(csv.String(), "\n") != len(report.Samples)+1 {
				t.Errorf("CSV: %v\n%s", err, &csv)
			}
			if svg := report.Figure("test").SVG(); strings.Count(svg, "<path") != len(curves) {
				t.Errorf("the figure has %d curves, want %d", strings.Count(svg, "<path"), len(curves))
			}
			t.Logf("%v\n%+v\n%s", report.Counts, report.Stats, report.Table())
		})
	}
}

// TestFlat checks the verdict on curves that are what they should be, and on those that are not.
func TestFlat(t *testing.T) {
	const n = 100
	flat := func(int) Sample {
		return Sample{Resident: 100 << 20, Heap: 10 << 20, Descriptors: 30, Threads: 40, Goroutines: 30, InFlight: 20}
	}
	for _, c := range []struct {
		name  string
		at    func(i int) Sample
		wrong string // what is said to grow
	}{
		{"flat", flat, ""},
		{"a moment's peak", func(i int) Sample {
			s := flat(i)
			if i%10 == 0 {
				s.Descriptors += 1000
			}
			return s
		}, ""},
		{"grows at first only", func(i int) Sample { s := flat(i); s.Resident += int64(min(i, n/4)) << 20; return s }, ""},
		{"memory", func(i int) Sample { s := flat(i); s.Resident += int64(i) << 20; return s }, "resident"},
		{"heap", func(i int) Sample { s := flat(i); s.Heap += int64(i) << 18; return s }, "heap"},
		{"descriptors", func(i int) Sample { s := flat(i); s.Descriptors += i; return s }, "descriptors"},
		{"threads", func(i int) Sample { s := flat(i); s.Threads += i; return s }, "threads"},
		{"goroutines", func(i int) Sample { s := flat(i); s.Goroutines += i; return s }, "goroutines"},
		{"slots", func(i int) Sample { s := flat(i); s.InFlight += 3 * i; return s }, "in flight"},
	} {
		var r Report
		for i := range n {
			r.Samples = append(r.Samples, c.at(i))
		}
		err := r.Flat()
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		}
	}
	if err := new(Report).Flat(); err == nil {
		t.Error("a verdict without samples")
	}
}
