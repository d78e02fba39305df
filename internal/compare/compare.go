// Package compare is the frame of the adapters' bench commands. A program does the same work on its default file system
// and on ringfile, each measurement in a process of its own, the two in turn; the table has medians, losing rows first.
package compare

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/cputime"
)

// Program is what is measured.
type Program struct {
	Workloads []Workload
	// Load makes in dir what all measurements start from.
	Load func(dir string) error
	// Linked reports whether a file is never written again, so that the copy that a measurement works on may be a link. Nil
	// means that none is.
	Linked func(name string) bool
	// Open prepares a measurement on a copy of what Load made. Do is one operation of a client, from 0 on; Close is called
	// after the last.
	Open func(dir string, r Run) (Work, error)
}

// Workload is what the clients do.
type Workload struct {
	Name    string
	States  string // of the page cache: cold or cached, or both with a comma
	Clients string // numbers with commas
}

// Run is one measurement.
type Run struct {
	Ringfile        bool
	Workload, State string
	Clients         int
}

// Work is a measurement that is prepared.
type Work struct {
	Do    func(client int, random *rand.Rand) error
	Close func() error
}

// result is the outcome of a measurement.
type result struct {
	Rate    float64       // operations a second
	P99     time.Duration // of their latencies
	CPU     time.Duration // processor time for each
	Threads int
}

var (
	dir       = flag.String("dir", "", "where to make the data")
	workloads = flag.String("workloads", "", "what to run, with commas (default all)")
	states    = flag.String("states", "cold,cached", "of the page cache")
	clients   = flag.String("clients", "", "numbers of goroutines, with commas (default those that the workload has)")
	reps      = flag.Int("reps", 5, "repetitions of each measurement")
	duration  = flag.Duration("time", 5*time.Second, "how long each of them takes")
	child     = flag.String("child", "", "a `measurement` to make in this process (what the program itself starts)")
)

// Main is the command.
func Main(p Program) {
	log.SetFlags(0)
	flag.Parse()
	var err error
	switch {
	case *dir == "" || flag.NArg() != 0:
		flag.Usage()
		os.Exit(2)
	case *child != "":
		err = p.measureHere(*child)
	default:
		err = p.compare()
	}
	if err != nil {
		log.Fatal(err)
	}
}

// chosen reports whether a flag with commas has the word, or nothing.
func chosen(flag, word string) bool {
	return flag == "" || slices.Contains(strings.Split(flag, ","), word)
}

// compare makes the data, measures and prints the table.
func (p *Program) compare() error {
	base, err := os.MkdirTemp(*dir, "bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	if err := p.Load(base); err != nil {
		return err
	}
	type row struct {
		ratio float64
		text  string
	}
	var rows []row
	for _, w := range p.Workloads {
		if *clients != "" {
			w.Clients = *clients
		}
		for _, state := range strings.Split(w.States, ",") {
			if !chosen(*workloads, w.Name) || !chosen(*states, state) {
				continue
			}
			for _, c := range strings.Split(w.Clients, ",") {
				n, err := strconv.Atoi(c)
				if err != nil {
					return err
				}
				ratio, text, err := p.row(base, Run{Workload: w.Name, State: state, Clients: n})
				if err != nil {
					return err
				}
				rows = append(rows, row{ratio, text})
				fmt.Fprintln(os.Stderr, text)
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return int(1e6 * (a.ratio - b.ratio)) })
	fmt.Println("\nDefault / ringfile:\n\n| workload | page cache | clients | operations/s | ratio (range) | p99 ms | CPU µs/op | threads |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Println(r.text)
	}
	return nil
}

// row makes the measurements of a row.
func (p *Program) row(base string, r Run) (ratio float64, text string, err error) {
	var os, ring []result
	for rep := range *reps {
		for side := range 2 {
			results := &ring
			if r.Ringfile = (rep+side)%2 == 1; !r.Ringfile { // each goes first as often as last
				results = &os
			}
			res, err := p.measure(base, r)
			if err != nil {
				return 0, "", err
			}
			*results = append(*results, res)
		}
	}
	ratios := column(ring, func(i int) float64 { return ring[i].Rate / os[i].Rate })
	both := func(format string, value func(r result) float64) string {
		o := column(os, func(i int) float64 { return value(os[i]) })
		r := column(ring, func(i int) float64 { return value(ring[i]) })
		return fmt.Sprintf(format+" / "+format, median(o), median(r))
	}
	return median(ratios), fmt.Sprintf("| %s | %s | %d | %s | %.2f (%.2f-%.2f) | %s | %s | %s |",
		r.Workload, r.State, r.Clients, both("%.0f", func(r result) float64 { return r.Rate }),
		median(ratios), ratios[0], ratios[len(ratios)-1],
		both("%.3g", func(r result) float64 { return r.P99.Seconds() * 1e3 }),
		both("%.1f", func(r result) float64 { return r.CPU.Seconds() * 1e6 }),
		both("%.0f", func(r result) float64 { return float64(r.Threads) })), nil
}

// column returns a value of each result, sorted.
func column(results []result, value func(i int) float64) []float64 {
	v := make([]float64, len(results))
	for i := range results {
		v[i] = value(i)
	}
	slices.Sort(v)
	return v
}

func median(sorted []float64) float64 {
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// measure makes a measurement in a new process, on a copy of the data.
func (p *Program) measure(base string, r Run) (res result, err error) {
	work := base + "-copy"
	defer os.RemoveAll(work)
	if err := p.copy(base, work, r.State == "cold"); err != nil {
		return res, err
	}
	description, err := json.Marshal(r)
	if err != nil {
		return res, err
	}
	cmd := exec.Command(os.Args[0], append(slices.Clone(os.Args[1:]), "-dir", work, "-child", string(description))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return res, fmt.Errorf("%+v: %w", r, err)
	}
	return res, json.Unmarshal(out, &res)
}

// copy copies the data, and drops it from the page cache or brings it there.
func (p *Program) copy(from, to string, cold bool) error {
	return filepath.WalkDir(from, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(name, from)
		if e.IsDir() {
			return os.Mkdir(target, 0o755)
		}
		if p.Linked != nil && p.Linked(name) {
			err = os.Link(name, target)
		} else {
			err = copyFile(name, target)
		}
		if err != nil {
			return err
		}
		return touch(target, cold)
	})
}

// copyFile copies a file and syncs the copy, so that it can be evicted.
func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Sync()
}

// touch drops a file from the page cache, or brings it there.
func touch(name string, drop bool) error {
	f, err := ringfile.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if drop {
		return f.Advise(0, 0, ringfile.AdviceDontNeed)
	}
	_, err = io.Copy(io.Discard, f)
	return err
}

// measureHere makes the measurement that a description stands for and prints its result.
func (p *Program) measureHere(description string) error {
	var r Run
	if err := json.Unmarshal([]byte(description), &r); err != nil {
		return err
	}
	work, err := p.Open(*dir, r)
	if err != nil {
		return err
	}
	var (
		wg        sync.WaitGroup
		failure   atomic.Pointer[error]
		latencies = make([][]time.Duration, r.Clients)
		cpu       = cputime.Process()
		begin     = time.Now()
	)
	for c := range r.Clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for last := begin; last.Sub(begin) < *duration && failure.Load() == nil; {
				if err := work.Do(c, random); err != nil {
					failure.Store(&err)
				}
				now := time.Now()
				latencies[c] = append(latencies[c], now.Sub(last))
				last = now
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin)
	cpu = cputime.Process() - cpu
	if err := failure.Load(); err != nil {
		return *err
	}
	if r.Ringfile {
		if err := proof(); err != nil {
			return fmt.Errorf("%+v: %w", r, err)
		}
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	res := result{
		Rate:    float64(len(all)) / elapsed.Seconds(),
		P99:     all[len(all)*99/100],
		CPU:     cpu / time.Duration(len(all)),
		Threads: pprof.Lookup("threadcreate").Count(),
	}
	if err := work.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

// proof returns an error unless ringfile's default engine has had a ring, and work to do.
func proof() error {
	e, err := ringfile.Default()
	if err != nil {
		return err
	}
	if err := e.Available(); err != nil {
		return fmt.Errorf("ringfile has no ring: %w", err)
	}
	if s := e.Stats(); s.Cached+s.Ring+s.Blocking == 0 {
		return errors.New("ringfile has not been used")
	}
	return nil
}
