//go:build linux

// Package soak keeps an engine under mixed load for a long time and checks that nothing grows: memory,
// descriptors, threads, goroutines, requests in flight.
package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// Options says how long and how hard.
type Options struct {
	Dir        string // of a file system with O_DIRECT, for the full load
	For        time.Duration
	Every      time.Duration // between samples
	Goroutines int           // zero: 16
	Rate       int           // operations per second at most, all together; zero: no limit
	Seed       uint64
	Sampled    func(Sample) // is shown each sample, if not nil
}

// Report is what a run has seen.
type Report struct {
	Samples []Sample
	Counts  map[string]uint64 // operations by kind
	Stats   ringfile.Stats    // of the engine that lived all the time, after its Close
	Left    []string          // descriptors that are open at the end and were not at the beginning
}

// Ops returns how many operations there were.
func (r *Report) Ops() (n uint64) {
	for _, c := range r.Counts {
		n += c
	}
	return n
}

const (
	sharedBytes = 32 << 20 // of the file that all read
	ownBytes    = 1 << 20  // of each worker's file
)

// soak is a run.
type soak struct {
	Options
	engine   *ringfile.Engine
	shared   string // name of a file of Pattern
	direct   bool   // whether there is O_DIRECT
	cached   *ringfile.File
	uncached *ringfile.File
	counts   []atomic.Uint64 // by job
	begun    time.Time
	admitted atomic.Int64
}

// Run keeps the load up until the time is over or ctx ends. The error tells of a wrong answer, or of
// something that is left over at the end; whether the curves are flat is for Report.Flat to say.
func Run(ctx context.Context, o Options) (report Report, err error) {
	if o.Goroutines == 0 {
		o.Goroutines = 16
	}
	before := testutil.OpenDescriptors()
	s := &soak{Options: o, counts: make([]atomic.Uint64, len(jobs))}
	if err := s.prepare(); err != nil {
		return report, errors.Join(err, s.close())
	}
	ctx, cancel := context.WithTimeout(ctx, o.For)
	defer cancel()
	failures := make(chan error, o.Goroutines)
	var wg sync.WaitGroup
	for i := range o.Goroutines {
		wg.Go(func() {
			if err := s.work(ctx, i); err != nil {
				failures <- fmt.Errorf("goroutine %d: %w", i, err)
				cancel()
			}
		})
	}
	report.Samples = s.watch(ctx)
	wg.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	err = errors.Join(err, s.close())
	report.Stats = s.engine.Stats()
	report.Counts = make(map[string]uint64)
	for i := range jobs {
		report.Counts[jobs[i].name] = s.counts[i].Load()
	}
	report.Left = leftOver(before)
	if n := report.Stats; n.InFlight != 0 || n.BlockingCalls != 0 || n.Unknown != 0 || n.Broken != 0 {
		err = errors.Join(err, fmt.Errorf("after Close: %+v", n))
	}
	if len(report.Left) > 0 {
		err = errors.Join(err, fmt.Errorf("descriptors left open: %q", report.Left))
	}
	return report, err
}

func (s *soak) prepare() (err error) {
	if s.engine, err = ringfile.New(ringfile.Config{}); err != nil {
		return err
	}
	p := make([]byte, sharedBytes)
	testutil.Pattern(p, 0)
	s.shared = filepath.Join(s.Dir, fmt.Sprintf("soak-%d-shared", os.Getpid()))
	if err := os.WriteFile(s.shared, p, 0o600); err != nil {
		return err
	}
	if s.cached, err = s.engine.Open(s.shared); err != nil {
		return err
	}
	if s.uncached, err = s.engine.OpenFile(s.shared, directFlag, 0); err == nil {
		_, err = s.uncached.ReadAt(ringfile.AlignedBuffer(4096, 4096), 0)
	}
	s.direct = err == nil
	s.begun = time.Now()
	return s.cached.Sync() // or it could not be dropped from the page cache
}

func (s *soak) close() error {
	var errs []error
	for _, f := range []*ringfile.File{s.cached, s.uncached} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if s.shared != "" {
		errs = append(errs, os.Remove(s.shared))
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}

// admit waits until the rate allows another operation.
func (s *soak) admit(ctx context.Context) {
	n := s.admitted.Add(1)
	if s.Rate <= 0 {
		return
	}
	due := s.begun.Add(time.Duration(float64(n) / float64(s.Rate) * float64(time.Second)))
	select {
	case <-time.After(time.Until(due)):
	case <-ctx.Done():
	}
}

// work makes one job after the other until ctx ends.
func (s *soak) work(ctx context.Context, number int) error {
	w := &worker{soak: s, rng: rand.New(rand.NewPCG(s.Seed, uint64(number))),
		buf: ringfile.AlignedBuffer(maxTransfer, 4096)}
	var err error
	if w.own, err = s.engine.CreateTemp(s.Dir, "soak-own-"); err != nil {
		return err
	}
	defer os.Remove(w.own.Name())
	defer func() { w.own.Close() }()
	if err := w.fill(); err != nil {
		return err
	}
	total := 0
	for i := range jobs {
		total += jobs[i].weight
	}
	for ctx.Err() == nil {
		s.admit(ctx)
		n := w.rng.IntN(total)
		for i := range jobs {
			if n -= jobs[i].weight; n >= 0 {
				continue
			}
			if err := jobs[i].do(w); err != nil {
				return fmt.Errorf("%s: %w", jobs[i].name, err)
			}
			s.counts[i].Add(1)
			break
		}
	}
	return nil
}

// leftOver returns the descriptors that are open and were not before. What ends by itself is given
// time for it.
func leftOver(before []string) (left []string) {
	known := make(map[string]bool, len(before))
	for _, fd := range before {
		known[fd] = true
	}
	for range 50 {
		left = left[:0]
		for _, fd := range testutil.OpenDescriptors() {
			if !known[fd] && !runtimesOwn(fd) {
				left = append(left, fd)
			}
		}
		if len(left) == 0 {
			return nil
		}
		runtime.GC()
		time.Sleep(100 * time.Millisecond)
	}
	return left
}
