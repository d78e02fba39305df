// Package ringexpvar publishes the counters of a ringfile engine through package expvar. It is a
// separate package because expvar imports net/http and serves /debug/vars.
package ringexpvar

import (
	"expvar"

	"github.com/ringfile/ringfile"
)

// Publish makes e.Stats() the value of the expvar variable name, a JSON object with the fields of
// [ringfile.Stats]. Like expvar.Publish it panics if the name is taken. The engine stays reachable
// forever, as the variable does.
func Publish(name string, e *ringfile.Engine) {
	expvar.Publish(name, expvar.Func(func() any { return e.Stats() }))
}
