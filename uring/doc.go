// Package uring is a pure-Go interface to the file operations of io_uring(7): the counterpart of
// liburing, without cgo. It starts no goroutines and has no locks and no policy; package ringfile has those.
//
// # How it maps to liburing
//
//	io_uring_queue_init_params       New
//	io_uring_queue_exit              Ring.Close
//	io_uring_get_sqe                 Ring.GetSQE
//	io_uring_prep_*                  SQE.Prep*
//	io_uring_sqe_set_data64          SQE.SetUserData
//	io_uring_sqe_set_flags           SQE.SetFlags
//	io_uring_submit                  Ring.Submit
//	io_uring_submit_and_wait         Ring.SubmitAndWait
//	io_uring_submit_and_wait_timeout Ring.SubmitAndWaitTimeout
//	io_uring_wait_cqe                Ring.WaitCQE
//	io_uring_wait_cqes               Ring.WaitCQEs
//	io_uring_peek_cqe                Ring.PeekCQE
//	io_uring_peek_batch_cqe          Ring.PeekBatch
//	io_uring_cqe_get_data64          CQE.UserData
//	io_uring_cqe_seen                Ring.CQESeen
//	io_uring_cq_advance              Ring.AdvanceCQ
//	io_uring_sqring_wait             Ring.WaitSQ
//	io_uring_enter                   Ring.Enter, Ring.EnterTimeout
//	io_uring_register_*              Ring.Register*
//	io_uring_get_probe_ring          Ring.Probe
//
// Not here: sockets and uring_cmd; 128-byte entries and 32-byte completions; rings of provided buffers
// (REGISTER_PBUF_RING: PrepReadMultishot uses groups of PrepProvideBuffers), and of the registrations those for IOWQ_AFF,
// NAPI, SEND_MSG_RING, RESIZE_RINGS, MEM_REGION and QUERY. Unlike io_uring_sq_ready, [Ring.SQReady] counts
// entries from [Ring.Flush] on.
//
// A read, in one goroutine:
//
//	r, err := uring.New(uring.Config{Entries: 8}) // close it with r.Close
//	e := r.GetSQE()                               // nil if the queue is full
//	e.PrepRead(fd, buf, 0)
//	e.SetUserData(1)
//	_, err = r.SubmitAndWait(1)
//	cqe, err := r.PeekCQE() // cqe.UserData is 1; cqe.Res is what read(2) returns, or a negative errno
//	r.CQESeen(cqe)
//
// # Concurrency
//
// A ring has a submission half ([Ring.GetSQE], [Ring.Flush], [Ring.SQSpaceLeft]) and a completion half
// ([Ring.CopyCQEs], [Ring.AdvanceCQ], the peeks and the waits). Each half may be used by one goroutine at a time;
// the two may be different goroutines. To share a half between goroutines, protect it with a lock.
// [Ring.Enter] and the methods that only inspect ([Ring.SQReady], [Ring.CQReady], [Ring.CQOverflow],
// [Ring.NeedWakeup]) may be called by any goroutine at any time, Enter with [SetupSingleIssuer] only by the goroutine
// bound to the ring's thread. The methods that use both halves
// (Submit, SubmitAndWait and SubmitAndWaitTimeout) are for programs that drive a ring from one goroutine;
// while one goroutine waits for completions, another may call Submit.
// After [Ring.Close] call nothing except what its comment allows.
//
// # Ownership of memory
//
// An [SQE] belongs to the ring. It may be written from GetSQE until Flush or Submit, and not after.
//
// Memory that an entry points to (buffers, vectors, paths, timespecs, results) belongs to the kernel
// from submission until the completion (the last one, without [CQEMore]). The entry holds the address
// as a number, which the garbage collector does not see. Until the completion the caller must therefore
// keep a pointer to that memory, must not read what the kernel writes, and must not write what the
// kernel reads. The memory does not move in the meantime: the Prep methods make their arguments escape
// to the heap, and Go's heap does not move. The race detector does not see what the kernel reads and
// writes.
//
// A descriptor must stay open until its entry has been submitted (with [SetupSQPoll]: taken by the kernel's thread), and
// until the completion if the entry follows a link or a drain, as the kernel looks its file up when the entry starts: a
// number that is used again would be another file. The collector closes an os.File that nothing refers to.
//
// # Beyond liburing
//
// [Submitter] submits from a thread that needs no P, which is how package ringfile does it. [Fake], [NewFake] and
// [Ring.SetEnterHook] are for tests of code built on this package; [Ring.Withdraw] is for rings that broke.
//
// # Kernels
//
// Linux 5.10 and newer. What a kernel supports is probed; see [Config], [Ring.Features] and
// [Ring.Probe]. On other systems the package compiles, and [New] returns an error that wraps
// [errors.ErrUnsupported].
package uring
