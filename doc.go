// Package ringfile does file I/O on Linux's io_uring behind the interface of os.File.
//
// A [File] has the method set of *os.File, with the same results and errors, but a call that waits
// for a device parks the goroutine instead of holding an OS thread. Hundreds of requests are in
// flight on a handful of threads, where os.File needs a thread for each and a Go program ends at
// 10,000 of them.
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
// It helps where work waits for a device: random reads with O_DIRECT or of files that are not in
// the page cache, by many goroutines; many syncs at a time; disks that may hang, as files on disk
// have deadlines and contexts here. It does not help programs whose files are in the page cache:
// there it does what os.File does, at the same speed. See docs/benchmarks.md.
//
// # Routes
//
// Each operation takes one of three routes, chosen from what the file is and what its file system has
// answered so far: inline, a call that the page cache serves without waiting; through a ring, with the
// goroutine parked; or a system call in a thread, a bounded number at a time, where a ring would only
// pass the operation on to kernel threads (buffered writes, file systems such as tmpfs) or where too few
// are in flight for one to pay. All routes give the same results; [Engine.Stats] counts them.
//
// Where io_uring is missing (containers refuse it by default, old kernels, other systems) all
// operations are system calls, silently. [Available] says why, and what to change. The environment
// variable RINGFILE_BACKEND (auto, uring, blocking) overrides.
//
// # Devices
//
// Rings, permits for system calls and the memory behind calls with a context belong to a device, which
// is a file system, by its st_dev. One that hangs, or whose queue is full, holds up its own users and
// nobody else. Callers never enter a ring: goroutines of the device do, which end when they have been
// idle for some milliseconds.
//
// # Being on time
//
// A call with a context, or on a file on disk that has a deadline, returns when that ends, whatever the
// device does: it copies through memory of the engine, which the kernel may use for longer. That has a price, which a
// context that cannot end (its Done returns nil) does not have: with it a call is the plain one. What was
// given up may still be carried out; a later write through the same File to the same place waits for a
// write that was given up. The Start methods never wait.
//
// # Many at once
//
// The Start methods of File start an operation and return a [Future], to be awaited later, by several
// goroutines if need be, or selected on. A [Batch] hands any number of reads, writes and syncs over
// together, [File.ReadAtMulti] many ranges of one file. See docs/batches.md. For a program that goes from one
// block to the next, Ranges of package stream reads ahead. See docs/lookahead.md.
//
// # Packages beside this one
//
// Package stream reads and writes files front to back, with several large requests in flight on one
// that is opened with O_DIRECT. Package fsys has the calls of package os that take names, with
// contexts, and WalkDir and DirFS; [Engine.Call] does the same for any other call. Package chain has
// operations carried out one after the other, as long as they succeed: a write and a Datasync are a
// durable append. Package durable replaces files whole. Package copyfile copies files in the quickest way that there is. Package mapped
// reads mapped files without page faults that hold up the program, as far as that can be. Package uring is the
// kernel's interface, without goroutines or policy.
//
// Engines can be made that have a kernel thread take the requests, or poll devices (Config.SQPoll,
// Config.IOPoll; docs/polling.md). Most programs need neither.
//
// # Ownership of buffers
//
// A buffer that is passed to a method that waits is the caller's again when the method returns,
// whatever the outcome. A buffer that is passed to a Start method belongs to the operation until Await or
// AwaitContext returns or Done is closed, after Cancel too: until then the kernel may be reading or
// writing it. One that is added to a Batch belongs to that until the operation's result has been
// returned by the loop over Results, or Run returns. One that is added to a ReadQueue belongs to that until Next
// returns its read, and for good if Leave comes first: it is not copied. Under the race detector, touching a
// buffer too early is reported. docs/memory-model.md has all cases, those of the packages stream and mapped too.
//
// # Concurrency
//
// Everything is safe for concurrent use, as far as os.File's counterpart is. Operations in flight
// at the same time are not ordered: a sync covers the writes that have returned before it starts.
//
// # Errors
//
// Errors are *fs.PathError with the words that os uses and a syscall.Errno or fs.ErrClosed within,
// except io.EOF, which is bare. errors.Is works with fs.ErrNotExist, fs.ErrClosed,
// os.ErrDeadlineExceeded, context.Canceled and so on. See also [ErrEngineClosed],
// [UnavailableError] and [CloseError].
package ringfile
