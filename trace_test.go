package ringfile

import (
	"runtime/trace"
	"testing"
)

// BenchmarkRegionOff is what the regions cost each operation that waits, while no trace is recorded.
func BenchmarkRegionOff(b *testing.B) {
	if trace.IsEnabled() {
		b.Skip("a trace is being recorded")
	}
	b.ReportAllocs()
	for b.Loop() {
		endRegion(startRegion("ringfile.ring"))
	}
}
