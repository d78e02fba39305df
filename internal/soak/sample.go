//go:build linux

package soak

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"time"
)

// Sample is the state of the process at one moment.
type Sample struct {
	At          time.Duration // since the beginning
	Ops         uint64        // until then
	Resident    int64         // bytes of memory
	Heap        int64         // bytes that the last collection has left
	Descriptors int
	Threads     int // the kernel's workers included
	Goroutines  int
	InFlight    int // requests with the kernel
	Blocking    int // goroutines in a blocking call
}

// watch takes samples until ctx ends.
func (s *soak) watch(ctx context.Context) (all []Sample) {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-ticker.C:
		}
		sample := s.sample()
		all = append(all, sample)
		if s.Sampled != nil {
			s.Sampled(sample)
		}
	}
}

func (s *soak) sample() Sample {
	stats := s.engine.Stats()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	sample := Sample{At: time.Since(s.begun), Heap: int64(live[0].Value.Uint64()),
		Goroutines: runtime.NumGoroutine(), InFlight: stats.InFlight, Blocking: stats.BlockingCalls}
	for i := range s.counts {
		sample.Ops += s.counts[i].Load()
	}
	status, _ := os.ReadFile("/proc/self/status")
	sample.Resident = statusField(status, "VmRSS") << 10
	sample.Threads = int(statusField(status, "Threads"))
	fds, _ := os.ReadDir("/proc/self/fd")
	sample.Descriptors = len(fds)
	return sample
}

// statusField returns a number of /proc/self/status.
func statusField(status []byte, name string) int64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name+":"))
	words := bytes.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(words[0]), 10, 64)
	return n
}

// curve is what is watched of a sample, and how much more the end may have than the middle.
type curve struct {
	name  string
	value func(*Sample) float64
	share float64 // of the middle
	slack float64 // beyond that
	unit  float64 // for display
}

// curves are those that must be flat. The slack is what a moment's work can add: an engine that is
// being opened, threads that the runtime never ends, a collection that is due.
var curves = []curve{
	{"resident memory, MiB", func(s *Sample) float64 { return float64(s.Resident) }, 0.15, 16 << 20, 1 << 20},
	{"live heap, MiB", func(s *Sample) float64 { return float64(s.Heap) }, 0.15, 4 << 20, 1 << 20},
	{"descriptors", func(s *Sample) float64 { return float64(s.Descriptors) }, 0.1, 12, 1},
	{"threads", func(s *Sample) float64 { return float64(s.Threads) }, 0.2, 8, 1},
	{"goroutines", func(s *Sample) float64 { return float64(s.Goroutines) }, 0.1, 16, 1},
	{"in flight", func(s *Sample) float64 { return float64(s.InFlight) }, 0.5, 64, 1},
}

// leastSamples is how many samples a verdict needs.
const leastSamples = 16

// Flat returns nil if no curve has more in its last quarter than in its second one, by medians and
// beyond what chance explains.
func (r *Report) Flat() error {
	if len(r.Samples) < leastSamples {
		return fmt.Errorf("%d samples are too few for a verdict; want %d", len(r.Samples), leastSamples)
	}
	q := len(r.Samples) / 4
	for _, c := range curves {
		middle, end := c.median(r.Samples[q:2*q]), c.median(r.Samples[len(r.Samples)-q:])
		if end > middle*(1+c.share)+c.slack {
			return fmt.Errorf("%s: %.1f in the second quarter, %.1f in the last", c.name, middle/c.unit, end/c.unit)
		}
	}
	return nil
}

// Table says for each curve what it had in the second and in the last quarter.
func (r *Report) Table() string {
	var b bytes.Buffer
	q := len(r.Samples) / 4
	for _, c := range curves {
		if q > 0 {
			fmt.Fprintf(&b, "| %s | %.1f | %.1f |\n", c.name,
				c.median(r.Samples[q:2*q])/c.unit, c.median(r.Samples[len(r.Samples)-q:])/c.unit)
		}
	}
	return b.String()
}

func (c *curve) median(samples []Sample) float64 {
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = c.value(&samples[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// WriteCSV writes the samples, one a line.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"seconds", "operations", "resident_bytes", "heap_live_bytes", "descriptors",
		"threads", "goroutines", "in_flight", "blocking_calls"})
	for _, s := range r.Samples {
		out.Write([]string{fmt.Sprintf("%.1f", s.At.Seconds()), fmt.Sprint(s.Ops), fmt.Sprint(s.Resident),
			fmt.Sprint(s.Heap), fmt.Sprint(s.Descriptors), fmt.Sprint(s.Threads), fmt.Sprint(s.Goroutines),
			fmt.Sprint(s.InFlight), fmt.Sprint(s.Blocking)})
	}
	out.Flush()
	return out.Error()
}
