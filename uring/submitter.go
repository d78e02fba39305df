package uring

import "sync/atomic"

// Submitter submits what becomes visible in the submission queue of a ring, from a thread that waits for it in the
// kernel. It is to a thread of the program what SQPOLL is to one of the kernel, but it sleeps whenever there is nothing to
// submit.
//
//	var counts uring.SubmitCounts
//	s := uring.NewSubmitter(ring, &counts)
//	go s.Run()
//	...
//	ring.GetSQE().PrepNop() // under a lock, if several goroutines do
//	ring.Flush()
//	s.Wake()
//
// For the scheduler the goroutine of Run is in one long system call: it takes no P, whether it is woken, submits or
// sleeps, however long that takes. So it neither waits for goroutines that compute, nor do they for it.
type Submitter struct {
	ring      *Ring
	counts    *SubmitCounts
	asleep    atomic.Uint32 // a futex
	interrupt atomic.Uint32
}

// SubmitCounts is what [Submitter.Run] has counted. It may be read at any time.
type SubmitCounts struct {
	Enters    atomic.Uint64 // calls of io_uring_enter(2)
	Submitted atomic.Uint64 // entries that the kernel took
	// Batches counts the calls by how many entries they submitted: [0] one, [1] two or three, [2] four to seven, and
	// so on; the last has all that are larger.
	Batches [batchSizes]atomic.Uint64
}

const batchSizes = 8

// NewSubmitter returns a Submitter of r. That must be a ring which any thread may enter, and which is entered to submit:
// with none of SetupSQPoll, SetupIOPoll, SetupSingleIssuer, SetupDeferTaskrun, and without RegisterRingFD. It counts in c,
// which is only added to.
func NewSubmitter(r *Ring, c *SubmitCounts) *Submitter { return &Submitter{ring: r, counts: c} }

// Wake has Run look at the queue. It is to be called after Flush, and waits for nothing: if the thread sleeps it is a
// futex(2), else a load.
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

// Interrupt has Run return before it submits what becomes visible from now on. A submission that is under way goes on,
// for as long as it takes. If Run may sleep, it wants Wake, too.
func (s *Submitter) Interrupt() { s.interrupt.Store(1) }

// Run submits until it is interrupted, and then returns nil, or until the kernel refuses: the error is that of
// [Ring.Enter], and nothing is lost. It may be called again. Nobody else may submit meanwhile, nor close the ring.
//
// The kernel delivers completions in the thread that has submitted. A goroutine that binds itself to its thread
// (runtime.LockOSThread) keeps others out of that.
func (s *Submitter) Run() error {
	_, err := enterResult(0, s.run())
	return err
}
