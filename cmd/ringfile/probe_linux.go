package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/uring"
)

// errnoName returns the name of err, like EPERM, if it is a number of the kernel.
func errnoName(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	if errno == syscall.EOPNOTSUPP {
		return "EOPNOTSUPP" // ENOTSUP is the same number, and the name that x/sys prefers
	}
	return unix.ErrnoName(errno)
}

// probeSystem reads what decides about io_uring.
func probeSystem() (release string, system *systemReport) {
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		release = unix.ByteSliceToString(uts.Release[:])
	}
	status := procStatus()
	noNewPrivs := status("NoNewPrivs")
	return release, &systemReport{
		Disabled:   procNumber("/proc/sys/kernel/io_uring_disabled"),
		Group:      procNumber("/proc/sys/kernel/io_uring_group"),
		Seccomp:    status("Seccomp"),
		Filters:    status("Seccomp_filters"),
		NoNewPrivs: noNewPrivs != nil && *noNewPrivs == 1,
		Memlock:    rlimit(unix.RLIMIT_MEMLOCK),
		NoFile:     rlimit(unix.RLIMIT_NOFILE),
	}
}

// procStatus returns a function that looks numbers up in the status of this process.
func procStatus() func(key string) *int {
	text, _ := os.ReadFile("/proc/self/status")
	lines := strings.Split(string(text), "\n")
	return func(key string) *int {
		for _, line := range lines {
			if value, ok := strings.CutPrefix(line, key+":"); ok {
				return number(value)
			}
		}
		return nil
	}
}

// procNumber returns the number in a file, nil if there is none.
func procNumber(name string) *int {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return number(string(text))
}

func number(s string) *int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return nil
	}
	return &n
}

func rlimit(resource int) limits {
	var lim unix.Rlimit
	if unix.Getrlimit(resource, &lim) != nil {
		return limits{Soft: -1, Hard: -1}
	}
	return limits{Soft: limitValue(lim.Cur), Hard: limitValue(lim.Max)}
}

func limitValue(n uint64) int64 {
	if n > 1<<63-1 {
		return -1 // RLIM_INFINITY
	}
	return int64(n)
}

// setupTrials are the setup flags that package uring knows to use, each with those that it needs.
var setupTrials = []struct{ flag, with uring.SetupFlags }{
	{uring.SetupIOPoll, 0},
	{uring.SetupSQPoll, 0},
	{uring.SetupSQAff, uring.SetupSQPoll},
	{uring.SetupCQSize, 0},
	{uring.SetupClamp, 0},
	{uring.SetupAttachWQ, 0},
	{uring.SetupRDisabled, 0},
	{uring.SetupSubmitAll, 0},
	{uring.SetupCoopTaskrun, 0},
	{uring.SetupTaskrunFlag, uring.SetupCoopTaskrun},
	{uring.SetupSingleIssuer, 0},
	{uring.SetupDeferTaskrun, uring.SetupSingleIssuer},
	{uring.SetupNoSQArray, 0},
	{uring.SetupHybridIOPoll, uring.SetupIOPoll},
}

// probeRing asks the kernel what its io_uring can do, nil if no ring can be made.
func probeRing() *ringReport {
	ring, err := uring.New(uring.Config{Entries: 4})
	if err != nil {
		return nil
	}
	defer ring.Close()
	r := &ringReport{
		Granted: []string{}, Refused: []string{}, Untested: []string{},
		Features: []string{}, FeaturesMissing: []string{},
		Ops: []string{}, OpsMissing: []string{},
	}
	for _, t := range setupTrials {
		// An empty list of wishes: the flag itself is granted or refused.
		c := uring.Config{Entries: 4, Flags: t.flag | t.with, Wanted: []uring.SetupFlags{}, AttachFD: ring.FD()}
		if t.flag == uring.SetupCQSize {
			c.CQEntries = 16
		}
		trial, err := uring.New(c)
		switch name := t.flag.String(); {
		case err == nil:
			trial.Close()
			r.Granted = append(r.Granted, name)
		case errors.Is(err, syscall.ENOMEM):
			r.Untested = append(r.Untested, name)
		default:
			r.Refused = append(r.Refused, name)
		}
	}
	for bit := uring.Features(1); bit != 0; bit <<= 1 {
		name := bit.String()
		switch {
		case ring.Features().Has(bit):
			r.Features = append(r.Features, name)
		case !strings.HasPrefix(name, "0x"):
			r.FeaturesMissing = append(r.FeaturesMissing, name)
		}
	}
	if p, err := ring.Probe(); err == nil {
		for code := range 256 {
			op := uring.Op(code)
			switch {
			case p.Supports(op):
				r.Ops = append(r.Ops, op.String())
			case !strings.HasPrefix(op.String(), "Op("):
				r.OpsMissing = append(r.OpsMissing, op.String())
			}
		}
	}
	if bounded, unbounded, err := ring.RegisterIOWQMaxWorkers(0, 0); err == nil {
		r.Workers = &workers{Bounded: bounded, Unbounded: unbounded}
	}
	return r
}
