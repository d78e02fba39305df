// Package ringexpvar publishes the counts of a ringfile engine through package expvar. It is a package
// of its own as expvar brings net/http along and serves /debug/vars.
package ringexpvar

import (
	"expvar"

	"github.com/ringfile/ringfile"
)

// Publish makes e.Stats() the value of the variable name, a JSON object with the fields of
// [ringfile.Stats]. Like expvar.Publish it panics if the name is taken. The engine stays reachable
// for good, as the variable does.
func Publish(name string, e *ringfile.Engine) {
	expvar.Publish(name, expvar.Func(func() any { return e.Stats() }))
}
