//go:build unix

// Package cputime reads the processor time of this process.
package cputime

import (
	"syscall"
	"time"
)

// Process returns the user and system time of the process, kernel workers among its threads included.
func Process() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
