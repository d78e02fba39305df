package enginetest

import (
	"fmt"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
)

// Side makes a side of a measurement whose proof is the operations of its runs, by route.
func Side(e *ringfile.Engine, name string, prepare func() error, run func() (int, error)) measure.Side {
	var cached, ring, blocking uint64
	return measure.Side{Name: name, Prepare: prepare,
		Run: func() (int, error) {
			before := e.Stats()
			n, err := run()
			s := e.Stats()
			cached += s.Cached - before.Cached
			ring += s.Ring - before.Ring
			blocking += s.Blocking - before.Blocking
			return n, err
		},
		Proof: func() string { return fmt.Sprintf("cached %d, ring %d, blocking %d", cached, ring, blocking) },
	}
}
