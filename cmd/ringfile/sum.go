package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/ringfile/ringfile"
)

const sumUsage = `Usage: ringfile sum [flags] [--] [file or directory ...]

Print the SHA-256 sums of files as sha256sum prints them, so that sha256sum -c
takes the output: in the order of the arguments, and directory trees in lexical
order. Without an argument, or for "-", standard input is read.

In a tree, regular files are read; symbolic links, devices, FIFOs and sockets
are passed over and counted in the summary. What is named on the command line
is read whatever it is, and symbolic links are followed, as sha256sum does.
FIFOs and the like are read one after the other.

A file that cannot be read is reported, and the others go on. A summary on
stderr says how much was read, how fast, and on which route: from the page cache
(cached), through io_uring (ring), or by blocking calls (blocking).

Flags come before the arguments:

  -j N         read N files, or pieces of large files, at a time (default %d;
               at most %d, which take %d MiB of memory)
  --direct     read with O_DIRECT, past the page cache; where a file system
               does not offer that, its files are read through the page cache
  -q, --quiet  print no summary and no progress
  -h, --help   print this text

The exit status is 0, or 1 if a file could not be read, 2 for a mistake on the
command line, 130 after an interrupt, which ends the program in good order.
`

// sumFlags is the command line of sum.
type sumFlags struct {
	reads  int
	direct bool
	quiet  bool
	names  []string
}

// defaultReads is how many reads are in flight: enough to keep a disk busy. What is in the page
// cache keeps one processor busy for each that is being hashed, and does not wait.
func defaultReads() int { return min(max(32, 4*runtime.GOMAXPROCS(0)), 128) }

// parseSum parses the command line of sum. The error has been reported, if it is not flag.ErrHelp.
func parseSum(args []string, stdout, stderr io.Writer) (flags sumFlags, err error) {
	set := flag.NewFlagSet("ringfile sum", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.IntVar(&flags.reads, "j", defaultReads(), "")
	set.BoolVar(&flags.direct, "direct", false, "")
	set.BoolVar(&flags.quiet, "quiet", false, "")
	set.BoolVar(&flags.quiet, "q", false, "")
	err = set.Parse(splitJ(args))
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, sumUsage, defaultReads(), maxReads, maxReads*chunkSize>>20)
		return flags, err
	case err != nil:
	case flags.reads < 1:
		err = fmt.Errorf("-j %d: must be at least 1", flags.reads)
	case flags.direct && !directSupported:
		err = fmt.Errorf("--direct: %s has no O_DIRECT; it is supported on Linux only", runtime.GOOS)
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringfile sum: %v; \"ringfile sum -h\" explains the flags\n", err)
		return flags, err
	}
	flags.reads = min(flags.reads, maxReads)
	flags.names = set.Args()
	if len(flags.names) == 0 {
		flags.names = []string{"-"}
	}
	return flags, nil
}

// splitJ turns -j8 among the flags, which make and xargs have taught to everybody, into -j=8.
func splitJ(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" || arg == "-" || !strings.HasPrefix(arg, "-") && (i == 0 || args[i-1] != "-j" && args[i-1] != "--j") {
			break
		}
		if n, ok := strings.CutPrefix(arg, "-j"); ok && n != "" && '0' <= n[0] && n[0] <= '9' {
			args[i] = "-j=" + n
		}
	}
	return args
}

// runSum carries out the command sum and returns the exit status.
func runSum(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags, err := parseSum(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	engine, err := ringfile.New(ringfile.Config{})
	if err != nil {
		fmt.Fprintf(stderr, "ringfile sum: %v\n", err)
		return exitFailed
	}
	return newSummer(flags, engine, stdin, newConsole(stdout, stderr)).run(ctx, stderr)
}

// summer does the work of sum: one goroutine walks, some hash, one prints.
type summer struct {
	flags   sumFlags
	engine  *ringfile.Engine
	hasher  *hasher
	console *console
	bar     progress

	direct  atomic.Int64 // files opened with O_DIRECT
	skipped atomic.Int64
	failed  int64 // of the printer
	noted   sync.Map

	queue chan *item // in the order of the output

	// Of the printer.
	lingers bool        // lines are kept
	late    *time.Timer // they have been kept for long enough
}

// window is how many files may be hashed ahead of the one whose line is next.
const window = 1 << 14

// linger is how long lines are kept for more to come, to be written in one go.
const linger = 2 * time.Millisecond

// patience is how long, after an interrupt, reads that have been started are waited for.
const patience = 500 * time.Millisecond

func newSummer(flags sumFlags, engine *ringfile.Engine, stdin io.Reader, c *console) *summer {
	s := &summer{flags: flags, engine: engine, console: c, queue: make(chan *item, window), late: time.NewTimer(linger)}
	s.hasher = &hasher{
		open:    func(name string) (file, error) { return opened(engine.Open(name)) },
		stdin:   stdin,
		reads:   semaphore.NewWeighted(int64(flags.reads)),
		buffers: ringfile.NewBufferPool(chunkSize, bufferAlign),
		count:   func(bytes int) { s.bar.bytes.Add(int64(bytes)) },
		refused: s.noteRefused,
	}
	if flags.direct {
		s.hasher.openDirect = func(name string) (file, error) {
			f, err := openDirect(engine, name)
			if err == nil {
				s.direct.Add(1)
			}
			return f, err
		}
	}
	return s
}

// opened keeps a nil *ringfile.File from becoming a file that is not nil.
func opened(f *ringfile.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// noteRefused says, once for each file system, that it is read without O_DIRECT.
func (s *summer) noteRefused(name string) {
	if _, seen := s.noted.LoadOrStore(volumeOf(name), true); !seen {
		s.console.message("ringfile sum: %s: no O_DIRECT on this file system; its files are read through the page cache", quote(name))
	}
}

// run sums everything up, closes the engine and returns the exit status.
func (s *summer) run(ctx context.Context, stderr io.Writer) int {
	s.bar.start = time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !s.flags.quiet {
		s.console.showFor(ctx, &s.bar, stderr, s.flags.names)
	}

	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		s.produce(ctx)
	}()
	complete, err := s.print(ctx)
	if err != nil {
		cancel(err) // the output is broken: nobody wants the rest
	}
	interrupted := !complete && err == nil
	select {
	case <-hashed:
	case <-ctx.Done():
		// A read that hangs, or a FIFO that nobody opens, must not keep the program.
		select {
		case <-hashed:
		case <-time.After(patience):
		}
	}

	s.console.hide()
	if err != nil {
		s.console.message("ringfile sum: write error: %s", describe(err))
	}
	if !s.flags.quiet {
		s.console.message("ringfile sum: %s", s.summary(interrupted, time.Since(s.bar.start)))
	}
	select {
	case <-hashed:
		s.engine.Close()
	default: // what is in flight ends with the process
	}
	switch {
	case interrupted:
		return exitInterrupted
	case err != nil || s.failed > 0:
		return exitFailed
	}
	return 0
}

// produce walks the arguments and hashes what it finds, several files at a time.
func (s *summer) produce(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(s.flags.reads)
	w := walker{ctx: ctx, skip: func() { s.skipped.Add(1) }}
	w.emit = func(it *item) {
		if it.done == nil {
			it.done = make(chan struct{})
		}
		select {
		case s.queue <- it:
		case <-ctx.Done():
			return
		}
		if it.err != nil {
			close(it.done)
			return
		}
		group.Go(func() error {
			it.sum, it.err = s.hasher.sum(ctx, it)
			close(it.done)
			return nil // an error concerns this file only, and goes where its line would
		})
	}
	w.arguments(s.flags.names)
	close(s.queue)
	group.Wait()
}

// print prints the lines and errors in the order of the walk, each as soon as those before it have
// been printed or a moment later. complete is false if ctx ended that early. The error is that of
// the output.
func (s *summer) print(ctx context.Context) (complete bool, err error) {
	var line []byte
	for {
		it, complete := s.next(ctx)
		if it == nil {
			return complete, s.console.flush()
		}
		if it.err != nil {
			s.failed++
			s.console.message("ringfile sum: %s: %s", quote(it.name), describe(it.err))
			continue
		}
		s.bar.files.Add(1)
		line = appendLine(line[:0], it.sum, it.name)
		if err := s.console.line(line); err != nil {
			return false, err
		}
		if !s.lingers {
			s.lingers = true
			s.late.Reset(linger)
		}
	}
}

// next returns the next item when it is done. There is none at the end, which is complete, and when
// ctx is done, which is not.
func (s *summer) next(ctx context.Context) (_ *item, complete bool) {
	var it *item
	var done <-chan struct{} // of it
	for queue := s.queue; ; {
		select {
		case next, more := <-queue:
			if !more {
				return nil, ctx.Err() == nil
			}
			it, done, queue = next, next.done, nil
		case <-done:
			if it.err != nil && ctx.Err() != nil {
				return nil, false // not the file's fault
			}
			return it, false
		case <-s.late.C:
			s.lingers = false
			s.console.flush() // an error stays with the writer, for print
		case <-ctx.Done():
			return nil, false
		}
	}
}

// summary says what was done, and on which route.
func (s *summer) summary(interrupted bool, elapsed time.Duration) string {
	var b strings.Builder
	if interrupted {
		b.WriteString("interrupted: ")
	}
	bytes := s.bar.bytes.Load()
	b.WriteString(plural(s.bar.files.Load(), "file"))
	if s.failed > 0 {
		fmt.Fprintf(&b, ", %d failed", s.failed)
	}
	if n := s.skipped.Load(); n > 0 {
		fmt.Fprintf(&b, ", %d skipped", n)
	}
	b.WriteString(ratesAndRoutes(bytes, elapsed, s.engine))
	if s.flags.direct {
		fmt.Fprintf(&b, "; O_DIRECT for %s", plural(s.direct.Load(), "file"))
	}
	b.WriteByte(')')
	return b.String()
}

// ratesAndRoutes says how many bytes were moved in which time, and on which route. The parenthesis
// stays open for more.
func ratesAndRoutes(bytes int64, elapsed time.Duration, e *ringfile.Engine) string {
	rate := float64(bytes) / max(elapsed.Seconds(), 1e-9) / 1e9
	s := e.Stats()
	return fmt.Sprintf(", %s in %.2f s, %.2f GB/s, %s (cached %d, ring %d, blocking %d", byteCount(bytes),
		elapsed.Seconds(), rate, e.Backend(), s.Cached, s.Ring, s.Blocking)
}
