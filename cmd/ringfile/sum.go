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
       ringfile sum -c [flags] [--] [list ...]

Print the SHA-256 sums of files as sha256sum prints them, in the order of the
arguments, and directory trees in lexical order; or check such sums. Without an
argument, or for "-", standard input is read.

In a tree, regular files are read; symbolic links, devices, FIFOs and sockets
are skipped and counted in the summary. Files named on the command line are
read whatever their type, and symbolic links are followed, as sha256sum does.
FIFOs and the like are read one after another.

A file that cannot be read is reported, and the rest is read.

  -j N           read N files, or pieces of large files, at a time (default %v;
                 at most %d, which take %d MiB of memory)
      --direct   bypass the page cache (O_DIRECT); where the file system does not
                 support that, its files are read through the page cache
      --uncached
                 leave in the page cache only what was there before (before Linux
                 6.14, or where the file system cannot tell: nothing of the files);
                 each file is then read by one read at a time, and each of the N
                 takes 2 MiB more memory
      --tag      print lines in the BSD format: SHA256 (name) = sum
  -z, --zero     end lines with NUL instead of a newline, and do not escape names
  -b, --binary   print an asterisk in front of names; files are read in the same
                 way with and without it
  -t, --text     print a space in front of names (the default)
  -v, --verbose  print a summary to stderr: how much was read, how fast, and by
                 which route, that is how many times data came from the page
                 cache, through io_uring, or by a system call that may wait for
                 the disk; on a terminal it is always printed
  -q, --quiet    print no summary and no progress; with -c, also no line for a
                 file that matches
  -h, --help     print this text

  -c, --check    read sums and names from the lists, in any of the formats that
                 sha256sum and this command print, and check the files

With -c only; of -q, --status and -w the last one counts:

      --status   print nothing but errors; the exit status gives the result
  -w, --warn     report each improperly formatted line
      --strict   fail if there is such a line
      --ignore-missing
                 skip files that do not exist

The exit status is 0 on success, 1 if a file could not be read or does not match,
or the output could not be written, 2 for a usage error, and 130, 143 or 129 after
SIGINT (^C), SIGTERM or SIGHUP, which end the program cleanly.
`

// sumHelp returns the usage of sum with the number of reads that is the default.
func sumHelp(reads any) string {
	return fmt.Sprintf(sumUsage, reads, maxReads, maxReads*chunkSize>>20)
}

// sumFlags is the command line of sum.
type sumFlags struct {
	reads         int
	direct        bool
	uncached      bool
	form          lineForm
	check         bool
	outcomes      outcomes
	strict        bool
	ignoreMissing bool
	verbose       bool
	names         []string
}

// outcomes is what is printed about files that are checked.
type outcomes uint8

const (
	allOutcomes outcomes = iota
	allAndBadLines
	failuresOnly
	noOutcomes
)

// defaultReads is how many reads are in flight: enough to keep a disk busy. What is in the page
// cache keeps one processor busy for each that is being hashed, and does not wait.
func defaultReads() int { return min(max(32, 4*runtime.GOMAXPROCS(0)), 128) }

// sumSet returns the flags of sum, which set f; text is set by --text.
func sumSet(f *sumFlags, text *bool) *flag.FlagSet {
	set := flag.NewFlagSet("ringfile sum", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.IntVar(&f.reads, "j", defaultReads(), "")
	set.BoolVar(&f.direct, "direct", false, "")
	set.BoolVar(&f.uncached, "uncached", false, "")
	set.BoolVar(&f.strict, "strict", false, "")
	set.BoolVar(&f.ignoreMissing, "ignore-missing", false, "")
	both := func(long, short string, do func()) {
		for _, name := range []string{long, short} {
			set.BoolFunc(name, "", func(string) error { do(); return nil })
		}
	}
	both("check", "c", func() { f.check = true })
	both("zero", "z", func() { f.form.zero = true })
	both("verbose", "v", func() { f.verbose = true })
	both("binary", "b", func() { f.form.binary, *text = true, false })
	both("text", "t", func() { f.form.binary, *text = false, true })
	both("quiet", "q", func() { f.outcomes = failuresOnly })
	both("warn", "w", func() { f.outcomes = allAndBadLines })
	set.BoolFunc("status", "", func(string) error { f.outcomes = noOutcomes; return nil })
	set.BoolFunc("tag", "", func(string) error { f.form.tag, *text = true, false; return nil })
	return set
}

// parseSum parses the command line of sum. The error has been reported, if it is not flag.ErrHelp.
func parseSum(args []string, stdout, stderr io.Writer) (flags sumFlags, err error) {
	text := false
	set := sumSet(&flags, &text)
	err = set.Parse(sumArgs(args))
	onlyWithCheck := func(name string) error { return fmt.Errorf("%s is meaningful only with -c", name) }
	switch {
	case errors.Is(err, flag.ErrHelp):
		io.WriteString(stdout, sumHelp(defaultReads()))
		return flags, err
	case err != nil:
	case flags.reads < 1:
		err = fmt.Errorf("-j %d: must be at least 1", flags.reads)
	case flags.direct && !directSupported:
		err = fmt.Errorf("--direct is not supported on %s, only on Linux", runtime.GOOS)
	case flags.uncached && !directSupported:
		err = fmt.Errorf("--uncached is not supported on %s, only on Linux", runtime.GOOS)
	case flags.uncached && flags.direct:
		err = errors.New("--direct and --uncached are mutually exclusive")
	case flags.check && flags.form.tag:
		err = errors.New("--tag has no meaning with -c, which reads all line formats")
	case flags.check && flags.form.zero:
		err = errors.New("-z cannot be used with -c: the lines of lists end with newlines")
	case flags.form.tag && text:
		err = errors.New("--tag and --text are mutually exclusive")
	case flags.check:
	case flags.strict:
		err = onlyWithCheck("--strict")
	case flags.ignoreMissing:
		err = onlyWithCheck("--ignore-missing")
	case flags.outcomes == noOutcomes:
		err = onlyWithCheck("--status")
	case flags.outcomes == allAndBadLines:
		err = onlyWithCheck("--warn")
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

// sumArgs makes of args what the flag package understands and sha256sum would: flags may stand
// behind names, and several of one letter behind one dash (-cw, -zj8).
func sumArgs(args []string) []string {
	var flags, names []string
	for len(args) > 0 && args[0] != "--" {
		arg := args[0]
		args = args[1:]
		if len(arg) < 2 || arg[0] != '-' {
			names = append(names, arg)
			continue
		}
		flags = append(flags, splitFlags(arg)...)
		if last := flags[len(flags)-1]; last == "-j" || last == "--j" {
			if len(args) == 0 {
				return flags // the flag package says what is missing
			}
			flags = append(flags, args[0])
			args = args[1:]
		}
	}
	if len(args) > 0 {
		args = args[1:]
	}
	return slices.Concat(flags, []string{"--"}, names, args)
}

// splitFlags takes flags of one letter that share a dash apart. -direct remains what it is.
func splitFlags(arg string) (flags []string) {
	for i := 1; i < len(arg); i++ {
		switch {
		case strings.IndexByte("bchqtvwz", arg[i]) >= 0:
			flags = append(flags, "-"+arg[i:i+1])
		case arg[i] == 'j' && i+1 == len(arg):
			flags = append(flags, "-j")
		case arg[i] == 'j':
			return append(flags, "-j="+strings.TrimPrefix(arg[i+1:], "="))
		default:
			return []string{arg}
		}
	}
	return flags
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
	noted   sync.Map

	queue chan *job // in the order of the output

	// Of the printer.
	failed  int64       // files
	refuted bool        // a list is not what it should be
	lingers bool        // lines are kept
	late    *time.Timer // they have been kept for long enough
}

// job is an item on its way to the printer. With -c it stands for a line of a list, or its end.
type job struct {
	*item
	list *sumList // nil without -c
	want [32]byte // the sum that the line has
	bad  int      // number of a line that has not the form of a sum, else 0
	end  bool     // of the list
}

// window is how many files may be hashed ahead of the one whose line is next.
const window = 1 << 14

// linger is how long lines are kept for more to come, to be written in one go.
const linger = 2 * time.Millisecond

// patience is how long, after an interrupt, reads that have been started are waited for.
const patience = 500 * time.Millisecond

func newSummer(flags sumFlags, engine *ringfile.Engine, stdin io.Reader, c *console) *summer {
	s := &summer{flags: flags, engine: engine, console: c, queue: make(chan *job, window), late: time.NewTimer(linger)}
	s.hasher = &hasher{
		open:     func(name string) (file, error) { return opened(engine.Open(name)) },
		stdin:    stdin,
		reads:    semaphore.NewWeighted(int64(flags.reads)),
		buffers:  ringfile.NewBufferPool(chunkSize, bufferAlign),
		count:    func(bytes int) { s.bar.bytes.Add(int64(bytes)) },
		refused:  s.noteRefused,
		uncached: flags.uncached,
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
	chatty := isTerminal(stderr) && s.flags.outcomes < failuresOnly
	if chatty {
		names := s.flags.names
		if s.flags.check {
			names = []string{"-"} // what the lists name is not known
		}
		s.console.showFor(ctx, &s.bar, stderr, names)
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
	if chatty || s.flags.verbose {
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
	case err != nil || s.failed > 0 || s.refuted:
		return exitFailed
	}
	return 0
}

// produce walks the arguments, or the lists, and hashes what it finds, several files at a time.
func (s *summer) produce(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(s.flags.reads)
	put := func(j *job) {
		if j.done == nil {
			j.done = make(chan struct{})
		}
		select {
		case s.queue <- j:
		case <-ctx.Done():
			return
		}
		if j.err != nil || j.bad > 0 || j.end {
			close(j.done)
			return
		}
		group.Go(func() error {
			j.sum, j.err = s.hasher.sum(ctx, j.item)
			close(j.done)
			return nil // an error concerns this file only, and goes where its line would
		})
	}
	w := walker{ctx: ctx, skip: func() { s.skipped.Add(1) }}
	if s.flags.check {
		s.lists(&w, put)
	} else {
		w.emit = func(it *item) { put(&job{item: it}) }
		w.arguments(s.flags.names)
	}
	close(s.queue)
	group.Wait()
}

// print prints the lines and errors in the order of the walk, each as soon as those before it have
// been printed or a moment later. complete is false if ctx ended that early. The error is that of
// the output.
func (s *summer) print(ctx context.Context) (complete bool, err error) {
	var line []byte
	for {
		j, complete := s.next(ctx)
		if j == nil {
			return complete, s.console.flush()
		}
		line = line[:0]
		switch {
		case j.list != nil:
			line = s.verify(line, j)
		case j.err != nil:
			s.failed++
			s.console.message("ringfile sum: %s: %s", quote(j.name), describe(j.err))
		default:
			s.bar.files.Add(1)
			line = s.flags.form.append(line, j.sum, j.name)
		}
		if len(line) == 0 {
			continue
		}
		if err := s.console.line(line); err != nil {
			return false, err
		}
		if !s.lingers {
			s.lingers = true
			s.late.Reset(linger)
		}
	}
}

// next returns the next job when it is done. There is none at the end, which is complete, and when
// ctx is done, which is not.
func (s *summer) next(ctx context.Context) (_ *job, complete bool) {
	var j *job
	var done <-chan struct{} // of j
	for queue := s.queue; ; {
		select {
		case next, more := <-queue:
			if !more {
				return nil, ctx.Err() == nil
			}
			j, done, queue = next, next.done, nil
		case <-done:
			if j.err != nil && ctx.Err() != nil {
				return nil, false // not the file's fault
			}
			return j, false
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
	return fmt.Sprintf(", %s in %.2f s, %.2f GB/s (routes: %s", byteCount(bytes), elapsed.Seconds(), rate, routes(e))
}

// routes says which ways the data came, and how often. Only those that were taken are named, so
// that it does not look as if io_uring had failed where all was in the page cache.
func routes(e *ringfile.Engine) string {
	stats := e.Stats()
	var parts []string
	for _, way := range []struct {
		name  string
		times uint64
	}{{"page cache", stats.Cached}, {"io_uring", stats.Ring}, {"system calls", stats.Blocking}} {
		if way.times > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", way.name, way.times))
		}
	}
	if parts == nil {
		parts = []string{"none"}
	}
	if e.Backend() == ringfile.BackendBlocking {
		parts = append(parts, "without io_uring")
	}
	return strings.Join(parts, ", ")
}
