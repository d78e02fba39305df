package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/bench"
)

const benchUsage = `Usage: ringfile bench [flags]

Measures os.File and ringfile, in turn and on the same files, and says where
which of them is faster on this machine. It writes temporary files to a
directory of the file system in question, and removes them. It looks at what else
the machine does meanwhile, and warns where that was much.

  --quick           a few cells, in under a minute (the default)
  --full            the whole matrix, with a report
  --fio             fio's engines beside os.File and ringfile (needs fio)
  --beside          reads while goroutines compute, one for each P, and while another
                    file is synced: their rate, and what goes on beside them
  --devices LIST    directories on other devices, as in /mnt/a,/mnt/b: reads of 64
                    files spread over the first of them and over all, and reads in
                    --dir while a file on another device is synced
  --slow DIR        with --devices: reads of the 64 files on all of them while a
                    file in this directory, on a slow device, is read, too
  --dir D           where to measure; default: the current directory
  --fs LIST         measure on file systems made for it: ext4, xfs, btrfs (loop
                    devices with their images in the directory) and tmpfs; needs
                    root and, for each, its mkfs; implies --full
  --out DIR         write results.json, results.csv, report.html and the charts
                    as *.svg; default: ringfile-bench, nothing with --quick alone
  --size N          size of the large file, as in 512M or 2G; default: 1G, with
                    --quick 256M
  --reps N          pieces of each cell and side; default: 3, 5 for --full in one
                    directory, --beside and --devices
  --piece-time T    duration of a piece; default: 150ms, 200ms for --full in one
                    directory, 120ms with --fs, 500ms for --fio, --beside and
                    --devices
  --cells REGEXP    only cells whose name matches; names are as in
                    op=randread/mode=direct/size=4k/goroutines=32
  --goroutines LIST
                    other numbers of goroutines, as in 1,16,64
  --against PATH    measure another build of this command, too: what ringfile
                    does there
  -h, --help        print this text

An interrupt (or SIGTERM or SIGHUP) ends the run; what was measured until then
is reported.
`

// benchFlags is the command line of bench.
type benchFlags struct {
	dir, out            string
	quick, full, fio    bool
	beside              bool
	devices             []string
	slow                string
	fs                  []string
	size                int64
	reps                int
	pieceTime           time.Duration
	cells               *regexp.Regexp
	goroutines          []int
	against             string
	line                string // as it was typed
	repsGiven, timGiven bool
}

// fileSystems are those that --fs can make.
var fileSystems = []string{"ext4", "xfs", "btrfs", "tmpfs"}

// benchSet returns the flags of bench, which set f.
func benchSet(f *benchFlags) *flag.FlagSet {
	set := flag.NewFlagSet("ringfile bench", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(&f.quick, "quick", false, "")
	set.BoolVar(&f.full, "full", false, "")
	set.BoolVar(&f.fio, "fio", false, "")
	set.BoolVar(&f.beside, "beside", false, "")
	set.StringVar(&f.slow, "slow", "", "")
	set.Func("devices", "", func(s string) error { f.devices = strings.Split(s, ","); return nil })
	set.StringVar(&f.dir, "dir", ".", "")
	set.StringVar(&f.out, "out", "", "")
	set.StringVar(&f.against, "against", "", "")
	set.IntVar(&f.reps, "reps", 0, "")
	set.DurationVar(&f.pieceTime, "piece-time", 0, "")
	set.Func("size", "", func(s string) (err error) { f.size, err = parseSize(s); return err })
	set.Func("cells", "", func(s string) (err error) { f.cells, err = regexp.Compile(s); return err })
	set.Func("goroutines", "", func(s string) (err error) { f.goroutines, err = parseNumbers(s); return err })
	set.Func("fs", "", func(s string) error {
		f.fs = strings.Split(s, ",")
		for _, name := range f.fs {
			if !slices.Contains(fileSystems, name) {
				return fmt.Errorf("unknown file system %s, want some of %s", quote(name), strings.Join(fileSystems, ","))
			}
		}
		return nil
	})
	return set
}

func parseBench(args []string) (f benchFlags, err error) {
	set := benchSet(&f)
	if err := set.Parse(args); err != nil {
		return f, err
	}
	set.Visit(func(g *flag.Flag) {
		f.repsGiven = f.repsGiven || g.Name == "reps"
		f.timGiven = f.timGiven || g.Name == "piece-time"
	})
	switch {
	case set.NArg() > 0:
		return f, fmt.Errorf("unexpected argument %s; the directory goes into --dir", quote(set.Arg(0)))
	case f.quick && f.full:
		return f, errors.New("--quick and --full exclude each other")
	case f.slow != "" && f.devices == nil:
		return f, errors.New("--slow wants --devices")
	case f.repsGiven && f.reps < 1:
		return f, fmt.Errorf("--reps %d: must be at least 1", f.reps)
	case f.timGiven && f.pieceTime < time.Millisecond:
		return f, fmt.Errorf("--piece-time %v: must be at least 1ms", f.pieceTime)
	}
	f.line = strings.Join(append([]string{"ringfile bench"}, args...), " ")
	f.defaults()
	return f, nil
}

// defaults fills in what was not given.
func (f *benchFlags) defaults() {
	if !f.quick && !f.full {
		f.full = len(f.fs) > 0 && !f.fio && !f.more()
		f.quick = !f.full && !f.fio && !f.more()
	}
	thorough := (f.full || f.more()) && len(f.fs) == 0
	if !f.repsGiven {
		f.reps = 3
		if thorough {
			f.reps = 5
		}
	}
	if f.size == 0 {
		f.size = 1 << 30
		if f.quick {
			f.size = 256 << 20
		}
	}
	if f.out == "" && (f.full || f.fio || f.more()) {
		f.out = "ringfile-bench"
	}
}

// more reports whether cells were asked for that the matrix does not have.
func (f *benchFlags) more() bool { return f.beside || f.devices != nil }

// long reports whether the cell has long pieces: what computes keeps a P for 10 ms at a time.
func long(c bench.Cell) bool { return c.Beside != "" || c.Devices > 0 }

// piece returns the duration of a piece, one of the long ones or of the others.
func (f *benchFlags) piece(long bool) time.Duration {
	switch {
	case f.timGiven:
		return f.pieceTime
	case long:
		return 500 * time.Millisecond
	case len(f.fs) > 0:
		return 120 * time.Millisecond
	case f.full:
		return 200 * time.Millisecond
	}
	return 150 * time.Millisecond
}

// parseSize reads a number of bytes with an optional unit, 1024-based.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(s, "B"), "i"), "kKMG")
	unit := s[len(digits):]
	shift := 0
	if unit != "" {
		shift = map[byte]int{'k': 10, 'K': 10, 'M': 20, 'G': 30}[unit[0]]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "i")) > 1 || n > 1<<60>>shift {
		return 0, fmt.Errorf("%s is no size; want one as in 512M or 2G", quote(s))
	}
	if n <<= shift; n < 1<<20 {
		return 0, fmt.Errorf("%s is too small; want at least 1M", quote(s))
	}
	return n &^ 4095, nil
}

// parseNumbers reads a list of numbers of goroutines.
func parseNumbers(s string) (list []int, err error) {
	for _, word := range strings.Split(s, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 1_000_000 {
			return nil, fmt.Errorf("%s is no number of goroutines; want a list as in 1,16,64", quote(word))
		}
		list = append(list, n)
	}
	return list, nil
}

// runBench carries out the command bench and returns the exit status.
func runBench(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "--piece" {
		// This is a child that measures for another process of this program.
		if err := bench.ServePieces(stdin, stdout); err != nil {
			fmt.Fprintf(stderr, "ringfile bench --piece: %v\n", err)
			return exitFailed
		}
		return 0
	}
	f, err := parseBench(args)
	if errors.Is(err, flag.ErrHelp) {
		io.WriteString(stdout, benchUsage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringfile bench: %v; \"ringfile bench -h\" explains the flags\n", err)
		return exitUsage
	}
	b := &bencher{flags: f, screen: newScreen(stdout, stderr)}
	err = b.run(ctx)
	b.screen.hide()
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "ringfile bench: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "ringfile bench: %v\n", err)
		return exitFailed
	}
	for i := range b.report.Results {
		if b.report.Results[i].Ring.Error != "" {
			return exitFailed
		}
	}
	return 0
}

// bencher is a run of bench.
type bencher struct {
	flags  benchFlags
	screen *screen
	report bench.Report
	argv   []string // leads to a child

	fio      string // where fio is
	cells    []bench.Cell
	fioCells []bench.FioCell

	start       time.Time
	done, total int           // cells
	planned     time.Duration // of all of them, as far as the pieces go
	spent       time.Duration // of those done, of what was planned
}

// place is where is measured.
type place struct {
	bench.Volume
	dir   string
	close func() error
}

func (b *bencher) run(ctx context.Context) error {
	f := &b.flags
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	b.argv, b.start = []string{exe, "bench", "--piece"}, time.Now()
	if err := b.plan(ctx); err != nil {
		return err
	}
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o755); err != nil {
			return err
		}
	}
	b.report = bench.Report{Machine: machine(), Command: f.line, Date: b.start, Reps: f.reps,
		Piece: f.piece(!f.full && !f.quick), FioVersion: b.report.FioVersion}
	b.screen.print(machineText(b.report.Machine))
	b.screen.print(fmt.Sprintf("%s, about %s\n", plural(int64(b.total), "cell"), clock(b.planned)))

	err = b.places(ctx)
	b.report.Took, b.report.Interrupted = time.Since(b.start), ctx.Err() != nil
	if len(b.report.Results) > 0 {
		b.screen.print("\n" + summary(&b.report))
	}
	for _, warning := range b.report.Warnings() {
		b.screen.print(warning + "\n")
	}
	if f.out != "" && len(b.report.Results)+len(b.report.Fio) > 0 {
		if err1 := writeReport(f.out, &b.report); err1 != nil {
			return errors.Join(err, err1)
		}
		b.screen.print(fmt.Sprintf("\nThe report is %s.\n", quote(filepath.Join(f.out, "report.html"))))
	}
	return err
}

// plan finds out what is to be done, and whether it can be.
func (b *bencher) plan(ctx context.Context) error {
	f := &b.flags
	if f.full {
		b.cells = bench.Full()
	} else if f.quick {
		b.cells = bench.Quick()
	}
	if f.beside {
		b.cells = append(b.cells, bench.BesideCells()...)
	}
	if f.devices != nil {
		b.cells = append(b.cells, bench.DeviceCells(len(f.devices), f.slow != "")...)
	}
	if f.against != "" {
		path, err := exec.LookPath(f.against)
		if err != nil {
			return fmt.Errorf("--against: %w", err)
		}
		if f.against, err = filepath.Abs(path); err != nil {
			return err
		}
	}
	if f.goroutines != nil {
		b.cells = bench.WithGoroutines(b.cells, f.goroutines)
	}
	if f.fio {
		var err error
		if b.fio, b.report.FioVersion, err = bench.FindFio(ctx); err != nil {
			return err
		}
		b.fioCells = bench.FioCells()
	}
	example := ""
	if f.cells != nil {
		if len(b.cells) > 0 {
			example = b.cells[0].String()
		}
		b.cells = slices.DeleteFunc(b.cells, func(c bench.Cell) bool { return !f.cells.MatchString(c.String()) })
		b.fioCells = slices.DeleteFunc(b.fioCells, func(c bench.FioCell) bool { return !f.cells.MatchString(c.String()) })
	}
	places := max(len(f.fs), 1)
	b.total = places * (len(b.cells) + len(b.fioCells))
	if b.total == 0 {
		if example == "" {
			return errors.New("no cell is left to measure")
		}
		return fmt.Errorf("no cell matches --cells; they are named like %s, and --full has all of them", example)
	}
	for _, name := range f.fs {
		if err := canMake(name); err != nil {
			return err
		}
	}
	names := f.fs
	if len(names) == 0 {
		names = []string{"that of --dir"}
	}
	for _, name := range names {
		for _, c := range b.cells {
			b.planned += b.cost(name, c)
		}
		b.planned += time.Duration(len(b.fioCells)) * b.fioCost()
	}
	return nil
}

// cost estimates how long a cell takes on a file system, with its preparations.
func (b *bencher) cost(name string, c bench.Cell) time.Duration {
	if name == "tmpfs" && c.Mode != bench.Cached {
		return 0 // will be skipped
	}
	sides := 2
	if b.flags.against != "" {
		sides++
	}
	return time.Duration(sides*b.flags.reps)*(b.flags.piece(long(c))+40*time.Millisecond) + 250*time.Millisecond
}

func (b *bencher) fioCost() time.Duration {
	return time.Duration(4*b.flags.reps) * (b.flags.piece(true) + 300*time.Millisecond)
}

// places measures everywhere.
func (b *bencher) places(ctx context.Context) error {
	if len(b.flags.fs) == 0 {
		return b.measure(ctx, givenPlace(b.flags.dir))
	}
	for _, name := range b.flags.fs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.screen.bar(0, "making "+name)
		p, err := makePlace(ctx, name, b.flags.dir, b.flags.size)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		err = b.measure(ctx, p)
		if err1 := p.close(); err == nil {
			err = err1
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// measure measures all cells in one place.
func (b *bencher) measure(ctx context.Context, p place) error {
	p.Size = b.flags.size
	b.screen.bar(b.share(), "writing "+byteCount(p.Size))
	files, err := bench.Create(p.dir, p.Size, nil, func(int64) error { return ctx.Err() })
	if err != nil {
		return err
	}
	defer files.Close()
	if err := files.AddDevices(b.flags.devices, b.flags.slow); err != nil {
		return err
	}
	b.report.Volumes = append(b.report.Volumes, p.Volume)
	b.screen.print(volumeText(p.Volume))
	start := bench.StartChildren(files, b.argv)
	runner := bench.Runner{Reps: b.flags.reps, Start: start}
	if b.flags.against != "" {
		runner.StartOther = bench.StartChildren(files, []string{b.flags.against, "bench", "--piece"})
	}
	table := table{screen: b.screen}
	for _, c := range b.cells {
		b.screen.bar(b.share(), fmt.Sprintf("%d of %d%s  %s", b.done+1, b.total, b.left(), c))
		runner.Time = b.flags.piece(long(c))
		res, err := runner.Cell(ctx, files, c)
		if err != nil {
			return err
		}
		res.Volume = p.Name
		b.report.Results = append(b.report.Results, res)
		b.count(b.cost(p.Name, c))
		table.add(&res)
	}
	runner.Time = b.flags.piece(true)
	for _, c := range b.fioCells {
		b.screen.bar(b.share(), fmt.Sprintf("%d of %d%s  %s", b.done+1, b.total, b.left(), c))
		res, err := runner.Fio(ctx, b.fio, files, c)
		if err != nil {
			return err
		}
		res.Volume = p.Name
		b.report.Fio = append(b.report.Fio, res)
		b.count(b.fioCost())
		table.addFio(&res)
	}
	return nil
}

func (b *bencher) count(planned time.Duration) {
	b.done++
	b.spent += planned
}

// share is how much of the work is done.
func (b *bencher) share() float64 { return float64(b.spent) / float64(max(b.planned, 1)) }

// left says how long it may still take.
func (b *bencher) left() string {
	if b.spent == 0 {
		return ""
	}
	passed := time.Since(b.start)
	return "  ETA " + clock(time.Duration(float64(passed)/b.share()*(1-b.share())))
}

// writeReport writes all files of the report to dir.
func writeReport(dir string, r *bench.Report) error {
	images := r.Images()
	write := func(name string, content func(io.Writer) error) error {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		err = content(file)
		if err1 := file.Close(); err == nil {
			err = err1
		}
		return err
	}
	errs := []error{
		write("results.json", r.WriteJSON),
		write("results.csv", r.WriteCSV),
		write("report.html", func(w io.Writer) error { return r.WriteHTML(w, images) }),
	}
	for _, i := range images {
		errs = append(errs, write(i.File, func(w io.Writer) error { _, err := io.WriteString(w, i.SVG); return err }))
	}
	return errors.Join(errs...)
}

// machine says where this runs.
func machine() bench.Machine {
	m := bench.Machine{CPU: runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(),
		OS: runtime.GOOS, Arch: runtime.GOARCH, Version: version()}
	describeMachine(&m)
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		m.Backend = err.Error()
		return m
	}
	defer e.Close()
	m.Backend = e.Backend().String()
	if err := e.Available(); err != nil {
		m.Backend += ": " + err.Error()
	}
	return m
}
