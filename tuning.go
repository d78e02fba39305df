package ringfile

import "github.com/ringfile/ringfile/uring"

// tuning has the parameters of rings that were found by measurement. docs/tuning.md has what their
// alternatives gave, and TestMeasureTuning measures them.
type tuning struct {
	// setup are further flags of the rings, where the kernel knows them. With COOP_TASKRUN the kernel
	// does not interrupt the thread that has submitted a request, should it be computing, to finish
	// that request: it does so when the thread enters the kernel anyway, with the next tick of the
	// clock at the latest, where the clock ticks (on a nohz_full CPU it does not). Most requests are submitted by the watcher, which is in the kernel.
	setup uring.SetupFlags

	wait uring.EnterFlags // further flags of calls that wait for completions

	// While the reaper is awake, callers leave to it what is queued, until that is a certain share of
	// what is in flight (1: all of it, so that the device would have nothing to do), or batchMax. Who
	// comes then submits it all.
	batchShare, batchMax int32

	// writersPerP is how many direct writes at a time are left to system calls, for each P that a ring
	// serves and with one more for the ring; see alone. Measured with two Ps only.
	writersPerP int32

	// readersPerP is the same for buffered reads of aloneRead bytes or more that are not in the page
	// cache: a ring starts them anew for each part that the readahead brings in, which costs a few that
	// wait more than the ring saves them.
	readersPerP int32
	aloneRead   int
}

// tuned is what engines have.
var tuned = tuning{setup: uring.SetupCoopTaskrun, batchShare: 1, batchMax: 64, writersPerP: 2, readersPerP: 8, aloneRead: 64 << 10}
