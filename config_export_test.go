package ringfile

// ConfigOf returns what e was made from, with the defaults filled in.
func ConfigOf(e *Engine) Config { return e.devices.config }

// ReadsByCall reports whether buffered reads are left to system calls, as the kernel reports false
// ends of files.
func ReadsByCall(e *Engine) bool { return e.devices.rings.falseEOF }
