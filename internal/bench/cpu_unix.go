//go:build unix

package bench

import (
	"syscall"
	"time"
)

// cpuTime is the user and system time of the process, kernel workers among its threads included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
