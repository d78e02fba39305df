package ringfile

// ConfigOf returns what e was made from, with the defaults filled in.
func ConfigOf(e *Engine) Config { return e.config }
