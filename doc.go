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
//	group, ctx := errgroup.WithContext(ctx)
//	for _, block := range blocks {
//		group.Go(func() error {
//			_, err := f.ReadAtContext(ctx, block.Data, block.Offset)
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
// # Roads
//
// How an operation is carried out is chosen for each, from what the file is and what its file
// system has answered so far. Buffered reads are first tried in the page cache; what waits goes
// through a ring; what a ring would only pass on to kernel threads (buffered writes, file systems
// such as tmpfs) is done by a system call in the caller's thread, a bounded number at a time. All
// roads give the same results; [Engine.Stats] counts them.
//
// Where io_uring is missing (containers refuse it by default, old kernels, other systems) all
// operations take the blocking road, silently. [Available] says why, and what to change. The
// environment variable RINGFILE_BACKEND (auto, uring, blocking) overrides.
//
// # Futures
//
// The Start methods of File start an operation and return a [Future], to be awaited later, by
// several goroutines if need be, or selected on.
//
// # Many at once, and in order
//
// A [Batch] hands any number of reads, writes and syncs to the kernel together, File.ReadMulti many
// ranges of one file. A [Chain] has operations carried out one after the other, without a goroutine
// in between: a write and a Datasync are a durable append. See docs/batches.md.
//
// # Streams and copies
//
// [Reader] and [Writer] stream a file front to back, with several large requests in flight on one
// that is opened with O_DIRECT (docs/streams.md). [CopyFile] takes the quickest way that there is for
// two files (docs/copying.md).
//
// # Tuning
//
// Engines can be made that have a kernel thread take the requests, or poll devices (Config.SQPoll,
// Config.IOPoll; docs/polling.md), and buffers be registered with the kernel
// ([Engine.NewBufferPool]; docs/registered.md). Most programs need neither.
//
// # File-system calls
//
// [Stat], [Mkdir], [Rename] and so on are called and behave as in package os. [FileSystem] has them
// too, for an engine and for calls that a context can end; [DirFS] makes an fs.FS of a directory, and
// [WalkDir] walks a tree as filepath.WalkDir does, reading ahead. See docs/filesystem.md.
//
// # Ownership of buffers
//
// A buffer that is passed to a method that waits is the caller's again when the method returns,
// whatever the outcome. A buffer that is passed to a Start method belongs to the operation until
// Await or AwaitContext returns or Done is closed, after Cancel too: until then the kernel may be
// reading or writing it. One that is added to a Batch or a Chain belongs to that until Run returns,
// which waits for what a context gives up. Other calls with a context or a deadline copy through
// memory of the engine, so that they can return on time while the kernel is not done. Under the race
// detector, touching a buffer too early is reported.
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
