package ringfile

import (
	"context"
	"runtime/pprof"
	"runtime/trace"
)

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

// labelGoroutine gives this goroutine a label in profiles: ringfile=role.
func labelGoroutine(role string) {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("ringfile", role)))
}
