// Command bench compares pebble on its default file system with pebble on ringfile: YCSB's workloads A (half reads, half
// updates), B (95 % reads), C (reads) and E (95 % scans of 1 to 100 keys, 5 % inserts), and "sync", which is updates
// alone. All writes are synced.
//
//	go run ./bench -dir /mnt/disk
//
// Each measurement runs in a process of its own, on a copy of the same database, the two file systems in turn. "Cold" is
// with the database evicted from the page cache and all keys equally likely, "cached" with the database read before and
// keys by Zipf's law. Pebble's own cache has its default size, 8 MiB. The table has medians, losing rows first.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
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

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ringfile/ringfile"
	pebblefs "github.com/ringfile/ringfile/adapters/pebble"
	"github.com/ringfile/ringfile/internal/cputime"
)

var (
	dir       = flag.String("dir", "", "where to make the databases")
	keys      = flag.Int("keys", 1_000_000, "keys in the database")
	valueSize = flag.Int("value", 1000, "bytes of a value")
	workloads = flag.String("workloads", "C,B,A,E,sync", "what to run")
	states    = flag.String("states", "cold,cached", "of the page cache")
	clients   = flag.String("clients", "1,16,64,256", "goroutines")
	reps      = flag.Int("reps", 5, "repetitions of each measurement")
	duration  = flag.Duration("time", 5*time.Second, "how long each of them takes")
	child     = flag.String("child", "", "a `measurement` to make in this process (what the program itself starts)")
)

// run is one measurement, and result its outcome.
type (
	run struct {
		FS, Workload, State string
		Clients             int
	}
	result struct {
		Rate    float64       // operations a second
		P99     time.Duration // of their latencies
		CPU     time.Duration // processor time for each
		Threads int
	}
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	var err error
	switch {
	case *dir == "" || flag.NArg() != 0:
		flag.Usage()
		os.Exit(2)
	case *child != "":
		err = measureHere(*child)
	default:
		err = compare()
	}
	if err != nil {
		log.Fatal(err)
	}
}

// compare makes the database and prints the table.
func compare() error {
	base, err := os.MkdirTemp(*dir, "pebble-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	if err := load(base); err != nil {
		return err
	}
	type row struct {
		ratio float64
		text  string
	}
	var rows []row
	for _, workload := range strings.Split(*workloads, ",") {
		for _, state := range strings.Split(*states, ",") {
			for _, c := range strings.Split(*clients, ",") {
				n, err := strconv.Atoi(c)
				if err != nil {
					return err
				}
				var os, ring []result
				for rep := range *reps {
					for side := range 2 {
						r := run{"ringfile", workload, state, n}
						results := &ring
						if (rep+side)%2 == 0 { // each goes first as often as last
							r.FS, results = "default", &os
						}
						res, err := measure(base, r)
						if err != nil {
							return err
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
				rows = append(rows, row{median(ratios), fmt.Sprintf("| %s | %s | %d | %s | %.2f (%.2f-%.2f) | %s | %s | %s |",
					workload, state, n, both("%.0f", func(r result) float64 { return r.Rate }),
					median(ratios), ratios[0], ratios[len(ratios)-1],
					both("%.3g", func(r result) float64 { return r.P99.Seconds() * 1e3 }),
					both("%.1f", func(r result) float64 { return r.CPU.Seconds() * 1e6 }),
					both("%.0f", func(r result) float64 { return float64(r.Threads) }))})
				fmt.Fprintln(log.Writer(), rows[len(rows)-1].text)
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

// measure makes a measurement in a new process, on a copy of the database.
func measure(base string, r run) (res result, err error) {
	work := base + "-copy"
	defer os.RemoveAll(work)
	if err := os.Mkdir(work, 0o755); err != nil {
		return res, err
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return res, err
	}
	for _, e := range entries {
		from, to := filepath.Join(base, e.Name()), filepath.Join(work, e.Name())
		if strings.HasSuffix(e.Name(), ".sst") { // never written again
			err = os.Link(from, to)
		} else if !e.IsDir() {
			err = vfs.CopyAcrossFS(vfs.Default, from, vfs.Default, to)
		}
		if err == nil {
			err = touch(to, r.State == "cold")
		}
		if err != nil {
			return res, err
		}
	}
	description, err := json.Marshal(r)
	if err != nil {
		return res, err
	}
	cmd := exec.Command(os.Args[0], "-dir", work, "-keys", strconv.Itoa(*keys), "-value", strconv.Itoa(*valueSize),
		"-time", duration.String(), "-child", string(description))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return res, fmt.Errorf("%+v: %w", r, err)
	}
	return res, json.Unmarshal(out, &res)
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

// open opens the database in dir.
func open(dir string, fs vfs.FS) (*pebble.DB, error) {
	o := &pebble.Options{FS: fs, Logger: quiet{}}
	o.EnsureDefaults()
	o.WithFSDefaults()
	return pebble.Open(dir, o)
}

// quiet is a logger that says only what ends the program.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (quiet) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func key(i int) []byte { return fmt.Appendf(nil, "user%019d", uint64(i)*0x9e3779b97f4a7c15>>1) }

// load makes the database.
func load(dir string) error {
	db, err := open(dir, vfs.Default)
	if err != nil {
		return err
	}
	value := make([]byte, *valueSize)
	random := rand.NewChaCha8([32]byte{1})
	for i := range *keys {
		random.Read(value)
		if err := db.Set(key(i), value, pebble.NoSync); err != nil {
			return err
		}
	}
	if err := db.Flush(); err != nil {
		return err
	}
	if err := db.Compact(context.Background(), []byte("user"), []byte("user~"), true); err != nil {
		return err
	}
	return db.Close()
}

// measureHere makes the measurement that a description stands for and prints its result.
func measureHere(description string) error {
	var r run
	if err := json.NewDecoder(strings.NewReader(description)).Decode(&r); err != nil {
		return err
	}
	fs := vfs.FS(pebblefs.FS{})
	if r.FS == "default" {
		fs = vfs.Default
	}
	db, err := open(*dir, fs)
	if err != nil {
		return err
	}
	var (
		clients   sync.WaitGroup
		failure   atomic.Pointer[error]
		inserted  atomic.Int64
		latencies = make([][]time.Duration, r.Clients)
		cpu       = cputime.Process()
		begin     = time.Now()
	)
	for c := range r.Clients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			zipf := rand.NewZipf(random, 1.01, 1, uint64(*keys-1))
			value := bytes.Repeat([]byte{byte(c)}, *valueSize)
			for last := begin; last.Sub(begin) < *duration && failure.Load() == nil; {
				i := random.IntN(*keys)
				if r.State == "cached" {
					i = int(zipf.Uint64())
				}
				if err := operate(db, r.Workload, random, i, value, &inserted); err != nil {
					failure.Store(&err)
				}
				now := time.Now()
				latencies[c] = append(latencies[c], now.Sub(last))
				last = now
			}
		})
	}
	clients.Wait()
	elapsed := time.Since(begin)
	cpu = cputime.Process() - cpu
	if err := failure.Load(); err != nil {
		return *err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	res := result{
		Rate:    float64(len(all)) / elapsed.Seconds(),
		P99:     all[len(all)*99/100],
		CPU:     cpu / time.Duration(len(all)),
		Threads: pprof.Lookup("threadcreate").Count(),
	}
	if err := db.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

// operate does one operation of a workload, on key i.
func operate(db *pebble.DB, workload string, random *rand.Rand, i int, value []byte, inserted *atomic.Int64) error {
	reads, ok := map[string]float64{"A": 0.5, "B": 0.95, "C": 1, "E": 0.95, "sync": 0}[workload]
	switch {
	case !ok:
		return fmt.Errorf("there is no workload %q", workload)
	case random.Float64() >= reads:
		if workload == "E" {
			i = *keys + int(inserted.Add(1))
		}
		return db.Set(key(i), value, pebble.Sync)
	case workload != "E":
		_, closer, err := db.Get(key(i))
		if err != nil {
			return err
		}
		return closer.Close()
	}
	iter, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	left := 1 + random.IntN(100)
	for ok := iter.SeekGE(key(i)); ok && left > 0; ok = iter.Next() {
		if _, err := iter.ValueAndErr(); err != nil {
			break // Close has it, too
		}
		left--
	}
	return iter.Close()
}
