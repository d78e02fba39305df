// Package cold compares methods of reading files that are not in the page cache.
package cold

import (
	"fmt"
	"slices"
	"time"

	"github.com/ringfile/ringfile"
)

// Side is one method.
type Side struct {
	Name string
	Do   func() error
}

const repetitions = 7

// Compare runs the sides in turn, several times, with the named files evicted from the page cache, and
// prints the median time of each and its rate relative to the first.
func Compare(names []string, sides ...Side) error {
	for _, name := range names {
		if err := drop(name, true); err != nil {
			return err
		}
	}
	took := make([][]time.Duration, len(sides))
	for range repetitions {
		for i, side := range sides {
			for _, name := range names {
				if err := drop(name, false); err != nil {
					return err
				}
			}
			start := time.Now()
			if err := side.Do(); err != nil {
				return fmt.Errorf("%s: %w", side.Name, err)
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	median := func(i int) time.Duration {
		slices.Sort(took[i])
		return took[i][repetitions/2]
	}
	first := median(0)
	for i, side := range sides {
		m := median(i)
		fmt.Printf("%-32s %10v  %5.2f\n", side.Name, m.Round(10*time.Microsecond), float64(first)/float64(m))
	}
	return nil
}

// drop drops a file from the page cache, except for what is still to be written, unless it is synced before.
func drop(name string, sync bool) error {
	f, err := ringfile.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Advise(0, 0, ringfile.AdviceDontNeed)
}
