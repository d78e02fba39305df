//go:build linux

// Command soak keeps ringfile under mixed load, writes down what the process uses, and fails if
// that grows:
//
//	go run ./internal/soak/cmd -for 1h -out soak
//
// writes soak.csv and soak.svg.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/ringfile/ringfile/internal/soak"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := soak.Options{}
	flag.StringVar(&o.Dir, "dir", os.TempDir(), "where the files are made; O_DIRECT should work there")
	flag.DurationVar(&o.For, "for", time.Hour, "how long")
	flag.DurationVar(&o.Every, "every", 0, "between samples; default: 1/240 of the time, at most 15s")
	flag.IntVar(&o.Goroutines, "goroutines", 16, "that make load")
	flag.IntVar(&o.Rate, "rate", 0, "operations per second at most; 0: no limit")
	flag.Uint64Var(&o.Seed, "seed", 1, "decides what is done")
	out := flag.String("out", "", "write the samples to this name with .csv and the curves with .svg")
	flag.Parse()
	if o.For <= 0 {
		return fmt.Errorf("-for %v: want a positive duration", o.For)
	}
	if o.Every <= 0 {
		o.Every = min(max(o.For/240, 10*time.Millisecond), 15*time.Second)
	}
	last := time.Now()
	o.Sampled = func(s soak.Sample) {
		if time.Since(last) > time.Minute {
			last = time.Now()
			fmt.Printf("%v: %+v\n", s.At.Round(time.Second), s)
		}
	}
	report, err := soak.Run(ctx, o)
	if *out != "" {
		if err1 := write(*out, &report); err == nil {
			err = err1
		}
	}
	fmt.Printf("%d operations in %v\n", report.Ops(), o.For)
	for _, name := range slices.Sorted(maps.Keys(report.Counts)) {
		fmt.Printf("  %9d %s\n", report.Counts[name], name)
	}
	fmt.Printf("%+v\n%s", report.Stats, report.Table())
	if err == nil && ctx.Err() == nil {
		err = report.Flat()
	}
	if err == nil {
		fmt.Println("nothing grows, nothing is left")
	}
	return err
}

// write writes the report's files.
func write(name string, r *soak.Report) error {
	file, err := os.Create(name + ".csv")
	if err != nil {
		return err
	}
	err = r.WriteCSV(file)
	if err1 := file.Close(); err == nil {
		err = err1
	}
	if err != nil {
		return err
	}
	file, err = os.Create(name + ".svg")
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, r.Figure(fmt.Sprintf("%d operations, %s", r.Ops(), machine())).SVG())
	if err1 := file.Close(); err == nil {
		err = err1
	}
	return err
}

// machine says on what.
func machine() string {
	var uts syscall.Utsname
	syscall.Uname(&uts)
	release := ""
	for _, c := range uts.Release {
		if c == 0 {
			break
		}
		release += string(rune(c))
	}
	return "Linux " + release
}
