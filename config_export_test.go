package ringfile

import "github.com/ringfile/ringfile/uring"

// Tuning is the parameters that were found by measurement.
type Tuning struct {
	Setup                             uring.SetupFlags
	Wait                              uring.EnterFlags
	BatchShare, BatchMax, WritersPerP int32
	ReadersPerP                       int32 // negative: none
	AloneRead                         int
}

// NewTuned is New with other parameters; numbers that are zero stay as they are.
func NewTuned(c Config, how Tuning) (*Engine, error) {
	t := tuned
	t.setup, t.wait = how.Setup, how.Wait
	if how.BatchShare != 0 {
		t.batchShare = how.BatchShare
	}
	if how.BatchMax != 0 {
		t.batchMax = how.BatchMax
	}
	if how.WritersPerP != 0 {
		t.writersPerP = how.WritersPerP
	}
	if how.ReadersPerP != 0 {
		t.readersPerP = how.ReadersPerP
	}
	if how.AloneRead != 0 {
		t.aloneRead = how.AloneRead
	}
	return newTuned(c, t)
}

// ConfigOf returns what e was made from, with the defaults filled in.
func ConfigOf(e *Engine) Config { return e.config }

// ReadsByCall reports whether buffered reads are left to system calls, as the kernel reports false
// ends of files.
func ReadsByCall(e *Engine) bool { return e.falseEOF }

// HoldChains is a chain that runs on e until it is released.
func HoldChains(e *Engine) (release func()) {
	if !e.chainOrder.TryAcquire(1) {
		panic("a chain drains")
	}
	return func() { e.chainOrder.Release(1) }
}
