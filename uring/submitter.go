package uring

import "sync/atomic"

// Submitter submits what becomes visible in the submission queue of a ring, from a thread that waits
// for it in the kernel. It does for the program, in a thread of its own, what SQPOLL does in a kernel
// thread, but it sleeps whenever there is nothing to submit.
//
//	var counts uring.SubmitCounts
//	s := uring.NewSubmitter(ring, &counts)
//	go s.Run()
//	...
//	ring.GetSQE().PrepNop() // under a lock, if several goroutines do
//	ring.Flush()
//	s.Wake()
//
// To the scheduler, the goroutine of Run is in one long system call: it takes no P, whether it is being
// woken, submits or sleeps, however long that takes. So it neither waits for goroutines that compute,
// nor they for it. That is done with two functions of the runtime by go:linkname, as in gVisor; with the
// build tag ringfile_nolinkname, and with versions of Go that are newer than this package (1.28 and
// later), it is an ordinary goroutine, which is correct too, but slower beside goroutines that compute.
type Submitter struct {
	ring      *Ring
	counts    *SubmitCounts
	asleep    atomic.Uint32 // a futex
	interrupt atomic.Uint32
}

// SubmitCounts holds the counters of [Submitter.Run]. It may be read at any time.
type SubmitCounts struct {
	Enters    atomic.Uint64 // calls of io_uring_enter(2)
	Submitted atomic.Uint64 // entries that the kernel consumed
	// Batches counts the calls by how many entries they submitted: [0] one, [1] two or three, [2] four
	// to seven, and so on; the last element counts all larger ones.
	Batches [batchSizes]atomic.Uint64
}

const batchSizes = 8

// NewSubmitter returns a Submitter of r. Any thread must be able to enter r, and r must need an enter
// to submit: none of SetupSQPoll, SetupIOPoll, SetupSingleIssuer and SetupDeferTaskrun, and no
// RegisterRingFD. The Submitter only adds to the counters in c.
func NewSubmitter(r *Ring, c *SubmitCounts) *Submitter { return &Submitter{ring: r, counts: c} }

// Wake makes Run look at the queue. Call it after Flush. It does not wait: it is a futex(2) call if the
// thread is asleep, otherwise a load.
func (s *Submitter) Wake() {
	if s.asleep.Load() == awake {
		return
	}
	// The thread does not go to sleep once this says otherwise. That it is awake it says itself: if we did, and were
	// stopped before the call, nobody else would wake it.
	s.asleep.CompareAndSwap(asleep, woken)
	futexWake(&s.asleep)
}

// The values of Submitter.asleep.
const (
	awake  = iota
	asleep // or about to sleep
	woken  // or about to be woken
)

// Interrupt makes Run return before it submits anything that becomes visible from now on. A submission
// in progress continues for as long as it takes. If Run may be asleep, call Wake as well.
func (s *Submitter) Interrupt() { s.interrupt.Store(1) }

// Run submits until it is interrupted, and then returns nil, or until the kernel refuses: the error is
// that of [Ring.Enter], and nothing is lost. It may be called again. While it runs, nobody else may
// submit or close the ring.
//
// The kernel delivers completions in the thread that submitted. A goroutine that locks itself to its
// thread (runtime.LockOSThread) keeps other goroutines out of that thread.
func (s *Submitter) Run() error {
	_, err := enterResult(0, s.run())
	return err
}
