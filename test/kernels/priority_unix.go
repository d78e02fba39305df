//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// preferDevices has the thread that emulates the disk, QEMU's first, go before those that emulate the
// processors. Otherwise a processor that polls keeps the disk from running, on a host without a core
// to spare.
func preferDevices(pid int) {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, pid, -10); err != nil {
		fmt.Println("the disk is emulated at the priority of the processors:", err)
	}
}
