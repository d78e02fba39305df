//go:build linux

// Command fsx runs random operations of ringfile on a file and compares the answers with a model and
// with a mapping of the file, for as many operations as one likes, on each route and file system.
//
//	go run ./internal/fsx/cmd -ops 10000000
//	go run ./internal/fsx/cmd -ops 1000000 -fs ext4,xfs,btrfs,tmpfs -crowd
//
// A failure prints the last operations and keeps the file; the same -seed, -size and -direct make
// the same operations again.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/fsx"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fsx:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := fsx.Options{}
	flag.StringVar(&o.Dir, "dir", os.TempDir(), "where the file, or the images of -fs, are made")
	flag.IntVar(&o.Ops, "ops", 1_000_000, "operations on each route and file system")
	flag.Uint64Var(&o.Seed, "seed", 1, "decides what is done")
	flag.IntVar(&o.Size, "size", 256<<10, "size of the file at most, in bytes")
	flag.IntVar(&o.Direct, "direct", 32, "one transfer in this many uses O_DIRECT; -1: none")
	flag.IntVar(&o.Goroutines, "goroutines", 8, "with -crowd")
	crowd := flag.Bool("crowd", false, "many goroutines on disjoint ranges, with overlapping readers")
	kinds := flag.String("fs", "", "file systems to make and mount (root): ext4,xfs,btrfs,tmpfs; none: that of -dir")
	routes := flag.String("route", "uring,blocking", "which backends")
	flag.Parse()
	if o.Size%4096 != 0 || o.Size < 64<<10 {
		return fmt.Errorf("-size %d: want a multiple of 4096 from 65536 on", o.Size)
	}
	for kind := range strings.SplitSeq(*kinds, ",") {
		if err := onFileSystem(ctx, kind, o, strings.Split(*routes, ","), *crowd); err != nil {
			return err
		}
	}
	return nil
}

// onFileSystem runs on each route, on a file system of the given kind or where o says.
func onFileSystem(ctx context.Context, kind string, o fsx.Options, routes []string, crowd bool) (err error) {
	if kind == "" {
		kind = "-dir"
	} else {
		var undo func() error
		if o.Dir, undo, err = fsx.Mount(ctx, kind, o.Dir); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s stays mounted on %s\n", kind, o.Dir)
			} else {
				err = undo()
			}
		}()
	}
	for _, route := range routes {
		if err := onRoute(ctx, kind, route, o, crowd); err != nil {
			return fmt.Errorf("%s, %s, seed %d: %w", kind, route, o.Seed, err)
		}
	}
	return nil
}

func onRoute(ctx context.Context, kind, route string, o fsx.Options, crowd bool) error {
	os.Setenv("RINGFILE_BACKEND", route)
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		return err
	}
	o.Engine = e
	work, how := fsx.Run, "one by one"
	if crowd {
		work, how = fsx.RunCrowd, fmt.Sprintf("%d goroutines", o.Goroutines)
	}
	start := time.Now()
	report, err := work(ctx, o)
	if err1 := e.Close(); err == nil {
		err = err1
	}
	s := e.Stats()
	if err == nil && (s.Unknown != 0 || s.Broken != 0 || s.InFlight != 0) {
		err = fmt.Errorf("no difference, but %+v", s)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s, %s, seed %d: %d operations without a difference, %v, O_DIRECT %v\n",
		kind, route, how, o.Seed, report.Ops, time.Since(start).Round(time.Second), report.Direct)
	fmt.Printf("  cached %d, ring %d, blocking %d, cancels %d, restarts %d\n", s.Cached, s.Ring, s.Blocking, s.Cancels, s.Restarts)
	for _, what := range slices.Sorted(maps.Keys(report.Counts)) {
		fmt.Printf("  %8d %s\n", report.Counts[what], what)
	}
	return ctx.Err()
}
