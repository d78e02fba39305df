package stream_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
)

// TestMeasureRangesCached compares what blocks cost that the page cache has, in pieces of a millisecond, so that the least
// of many is hardly disturbed by what else the machine does.
func TestMeasureRangesCached(t *testing.T) {
	measure.Dir(t)
	const size = 16 << 20
	name := testutil.PatternFile(t, size)
	plain, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	f, err := ringfile.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Println("| blocks | os.File.ReadAt | File.ReadAt | Ranges | Ranges, with a context | Reader |\n|---|---|---|---|---|---|")
	for _, c := range []struct {
		name   string
		length int
		step   int
	}{{"scattered", 4096, 1021}, {"scattered", 64 << 10, 101}, {"front to back", 4096, 1}, {"front to back", 64 << 10, 1}} {
		places := size / c.length
		n := 2048
		if c.length > 4096 {
			n = 128
		}
		offs := make([]int64, n)
		for i := range offs {
			offs[i] = int64(i*c.step%places) * int64(c.length)
		}
		buf := ringfile.AlignedBuffer(c.length, 4096)
		look := func(ctx context.Context) func() {
			seq := func(yield func(stream.Range) bool) {
				for _, off := range offs {
					if !yield(stream.Range{File: f, Off: off, Len: c.length}) {
						return
					}
				}
			}
			return func() {
				for _, err := range stream.Ranges(ctx, seq, stream.RangesConfig{}) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		}
		sides := []func(){
			func() {
				for _, off := range offs {
					if _, err := plain.ReadAt(buf, off); err != nil {
						t.Error(err)
					}
				}
			},
			func() {
				for _, off := range offs {
					if _, err := f.ReadAt(buf, off); err != nil {
						t.Error(err)
					}
				}
			},
			look(context.Background()),
			look(t.Context()),
		}
		if c.step == 1 {
			sides = append(sides, func() {
				r := stream.NewReader(f, stream.Config{Length: int64(n * c.length)})
				defer r.Close()
				for range n {
					if _, err := r.Read(buf); err != nil {
						t.Error(err)
					}
				}
			})
		}
		took := make([][]time.Duration, len(sides))
		for range 300 {
			for i, side := range sides {
				start := time.Now()
				side()
				took[i] = append(took[i], time.Since(start))
			}
		}
		fmt.Printf("| %s, %d KiB |", c.name, c.length>>10)
		for _, d := range took {
			slices.Sort(d)
			fmt.Printf(" %.0f ns |", float64(d[2].Nanoseconds())/float64(n))
		}
		fmt.Println()
	}
}
