// Package ringfile does file I/O through Linux's io_uring behind the interface of os.File.
//
// A [File] has the methods of *os.File, with the same results and errors, but a call that waits for a
// device parks the goroutine instead of blocking an OS thread. Hundreds of requests can be in flight on
// a handful of threads, where os.File needs one thread per request and a Go program aborts at 10,000
// threads.
//
//	f, err := ringfile.Open("table.sst")
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	var group errgroup.Group
//	for _, block := range blocks {
//		group.Go(func() error {
//			_, err := f.ReadAt(block.Data, block.Offset)
//			return err
//		})
//	}
//	return group.Wait()
//
// # When it helps
//
// It helps when work waits for a device: many goroutines doing random reads with O_DIRECT or of files
// that are not in the page cache; many concurrent syncs; disks that may hang, because files on disk
// have deadlines and contexts here. It does not help programs whose files are in the page cache: for
// them it does what os.File does, at the same speed. See docs/benchmarks.md.
//
// # Routes
//
// Each operation takes one of three routes, chosen by the type of the file and by how its file system
// has responded so far:
//
//   - inline: a system call that the page cache serves without waiting;
//   - ring: a request on an io_uring ring, with the goroutine parked;
//   - blocking: an ordinary system call, a bounded number at a time. It is used where a ring would only
//     pass the operation on to kernel threads (buffered writes, file systems such as tmpfs), or where
//     too few operations are in flight for a ring to pay off.
//
// All routes give the same results; [Engine.Stats] counts them.
//
// Where io_uring is missing (containers refuse it by default, old kernels, other systems), all
// operations are system calls, and nothing is reported unless you ask: [Available] says why, and what to
// change. The environment variable RINGFILE_BACKEND=blocking switches io_uring off, =uring requires it.
//
// # Devices
//
// Rings, permits for blocking calls and the buffers behind calls with a context belong to a device. A
// device is a file system, identified by its st_dev. A device that hangs, or whose queue is full,
// delays its own users and nobody else. Callers never enter a ring: a thread of the device submits their
// requests, and a goroutine waits for completions. Both exit after a few idle milliseconds.
//
// # Contexts and deadlines
//
// A call with a context, or on a file on disk that has a deadline, returns when that ends, whatever the
// device does. To make that possible it copies the data through the engine's own memory, which the
// kernel may go on using after the call has returned. The copy has a cost. A context that cannot end
// (its Done method returns nil) avoids it: the call is then the plain one. An abandoned operation may
// still be carried out; a later write through the same File to the same place waits for an abandoned
// write. The Start methods never wait.
//
// # Many operations at once
//
// The Start methods of File start an operation and return a [Future], which can be awaited later, by
// several goroutines if need be, or used in a select statement. A [Batch] submits any number of reads,
// writes and syncs together; [File.ReadAtMulti] reads many ranges of one file. See docs/batches.md. For a
// program that processes one block after another, Ranges of package stream reads ahead. See
// docs/lookahead.md.
//
// # Related packages
//
//   - stream reads and writes files sequentially, with several large requests in flight if the file is
//     opened with O_DIRECT.
//   - fsys has the functions of package os that take names, with contexts, and WalkDir and DirFS.
//     [Engine.Call] does the same for any other call.
//   - chain carries out operations one after another for as long as they succeed: a write followed by a
//     Datasync is a durable append.
//   - durable replaces whole files atomically.
//   - copyfile copies files in the fastest way available.
//   - mapped reads memory-mapped files and avoids, as far as possible, page faults that block the
//     program.
//   - uring is the raw kernel interface, without goroutines or policy.
//
// An engine can also have a kernel thread pick up its requests, or poll devices for completions
// (Config.SQPoll, Config.IOPoll; docs/polling.md). Most programs need neither.
//
// # Ownership of buffers
//
//   - A buffer passed to a method that waits belongs to the caller again when the method returns,
//     whatever the outcome.
//   - A buffer passed to a Start method belongs to the operation until Await or AwaitContext returns or
//     Done is closed, even after Cancel: until then the kernel may be reading or writing it.
//   - A buffer added to a Batch belongs to the batch until the loop over Results has returned the
//     operation's result, or Run returns.
//   - A buffer added to a ReadQueue belongs to the queue until Next returns its read, and forever if
//     Leave comes first: it is not copied.
//
// The race detector reports a buffer that is touched too early. docs/memory-model.md covers all cases,
// including those of packages stream and mapped.
//
// # Concurrency
//
// Everything is safe for concurrent use to the extent that its os.File counterpart is. Operations in
// flight at the same time are not ordered: a sync covers the writes that returned before it started.
//
// # Errors
//
// Errors are *fs.PathError with the operation names that os uses, wrapping a syscall.Errno or
// fs.ErrClosed; io.EOF is returned bare. errors.Is works with fs.ErrNotExist, fs.ErrClosed,
// os.ErrDeadlineExceeded, context.Canceled and so on.
//
// The error of a call whose context has ended matches ctx.Err(), and the context's cause if that is compared itself: not
// what the cause wraps, and not io.EOF, as these may be about something else than the file of the call.
//
// See also [ErrEngineClosed], [UnavailableError] and
// [CloseError].
package ringfile
