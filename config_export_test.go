package ringfile

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
