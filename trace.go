package ringfile

import (
	"context"
	"runtime/pprof"
	"runtime/trace"
	"time"
)

var epoch = time.Now()

// clock returns the nanoseconds since the program started; never zero.
func clock() int64 { return max(int64(time.Since(epoch)), 1) }

// startRegion begins a region of the execution trace (go tool trace) for an operation that waits, in
// the caller's goroutine. Unless a trace is being recorded that is a load and nothing else.
func startRegion(name string) *trace.Region {
	if !trace.IsEnabled() {
		return nil
	}
	return trace.StartRegion(context.Background(), name)
}

func endRegion(r *trace.Region) {
	if r != nil {
		r.End()
	}
}

// labels are the labels of the package's goroutines in profiles: ringfile=role.
var labels = map[string]context.Context{}

func init() {
	for _, role := range []string{"reaper", "submitter", "writer", "sync"} {
		labels[role] = pprof.WithLabels(context.Background(), pprof.Labels("ringfile", role))
	}
}

// labelGoroutine gives this goroutine its label.
func labelGoroutine(role string) { pprof.SetGoroutineLabels(labels[role]) }
