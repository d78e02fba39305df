// Package metrics lists the names of an engine's counters in monitoring systems. The modules below
// metrics/ turn the list into the types of their clients.
package metrics

import "github.com/ringfile/ringfile"

// Metric is one number of ringfile.Stats. Several of the same name differ in Route.
type Metric struct {
	Name    string // words with underscores between them, unit last, without prefix and "_total"
	Unit    string // "By" for bytes, "s" for seconds, "{thing}" otherwise, as UCUM has it
	Help    string
	Counter bool   // only ever grows
	Route   string // cached, ring, blocking; empty for what has none
	Value   func(s *ringfile.Stats) float64
}

// Routes are the values of the label "route".
var Routes = []string{"cached", "ring", "blocking"}

// All is the list, metrics of one name next to each other.
var All = []Metric{
	{"operations", "{operation}", opsHelp, true, "cached", func(s *ringfile.Stats) float64 { return float64(s.Cached) }},
	{"operations", "{operation}", opsHelp, true, "ring", func(s *ringfile.Stats) float64 { return float64(s.Ring) }},
	{"operations", "{operation}", opsHelp, true, "blocking", func(s *ringfile.Stats) float64 { return float64(s.Blocking) }},
	{"bytes", "By", bytesHelp, true, "cached", func(s *ringfile.Stats) float64 { return float64(s.CachedBytes) }},
	{"bytes", "By", bytesHelp, true, "ring", func(s *ringfile.Stats) float64 { return float64(s.RingBytes) }},
	{"bytes", "By", bytesHelp, true, "blocking", func(s *ringfile.Stats) float64 { return float64(s.BlockingBytes) }},
	{"syncs", "{operation}", "Syncs requested.", true, "", func(s *ringfile.Stats) float64 { return float64(s.Syncs) }},
	{"shared_syncs", "{operation}", "Syncs that were served together with another goroutine's.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.SharedSyncs) }},
	{"refused", "{operation}", "Operations that a ring refused and a system call carried out.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.Refused) }},
	{"enters", "{call}", "Calls of io_uring_enter.", true, "", func(s *ringfile.Stats) float64 { return float64(s.Enters) }},
	{"submissions", "{request}", "Requests submitted to rings, cancellations included.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.Submissions) }},
	{"completions", "{request}", "Completions reaped from rings, cancellations included.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.Completions) }},
	{"restarts", "{request}", "Submissions repeated: short transfers, EINTR, EAGAIN.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.Restarts) }},
	{"cancels", "{request}", "Cancellations requested.", true, "", func(s *ringfile.Stats) float64 { return float64(s.Cancels) }},
	{"busy", "{call}", "Calls of io_uring_enter that failed temporarily.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.Busy) }},
	{"slot_waits", "{operation}", "Operations that waited because all requests were in flight.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.SlotWaits) }},
	{"unknown_completions", "{completion}", "Completions that match no request in flight; should be zero.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.Unknown) }},
	{"broken_rings", "{ring}", "Rings out of service because io_uring_enter failed permanently; should be zero.", true, "",
		func(s *ringfile.Stats) float64 { return float64(s.Broken) }},
	{"in_flight", "{request}", "Requests with the kernel.", false, "", func(s *ringfile.Stats) float64 { return float64(s.InFlight) }},
	{"blocking_calls", "{call}", "Goroutines in a blocking system call.", false, "",
		func(s *ringfile.Stats) float64 { return float64(s.BlockingCalls) }},
	{"oldest_in_flight_seconds", "s", "Age of the oldest operation in progress; grows while a disk hangs.", false, "",
		func(s *ringfile.Stats) float64 { return s.OldestInFlight.Seconds() }},
	{"devices", "{device}", "Devices used so far.", false, "", func(s *ringfile.Stats) float64 { return float64(s.Devices) }},
	{"rings", "{ring}", "Rings in service; zero means that io_uring is not used.", false, "",
		func(s *ringfile.Stats) float64 { return float64(s.Rings) }},
	{"restricted_rings", "{ring}", "Rings restricted to the operations that an engine uses.", false, "",
		func(s *ringfile.Stats) float64 { return float64(s.Restricted) }},
	{"depth", "{request}", "Requests that can be in flight.", false, "", func(s *ringfile.Stats) float64 { return float64(s.Depth) }},
}

const (
	opsHelp   = "Operations by route."
	bytesHelp = "Bytes read and written, by route."
)
