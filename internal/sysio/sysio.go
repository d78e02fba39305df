// Package sysio has everything that differs between operating systems: opening, the properties of a
// file, and the calls that transfer data, for a descriptor to which the caller holds a reference. Every
// call on a file can sleep, so each tells the scheduler.
package sysio

import "os"

const (
	// OffCurrent as an offset means the file position.
	OffCurrent = -1
	// MaxTransfer is the most bytes that one read or write transfers (read(2), NOTES).
	MaxTransfer = 0x7ffff000
	// MaxIovecs is the most buffers that one call accepts (UIO_MAXIOV).
	MaxIovecs = 1024
)

// Handle is an open file: its descriptor, and package os's view of it, which owns that.
type Handle struct {
	OS *os.File
	FD int // -1 where only OS is used
}

// Status is what a file is.
type Status struct {
	Known    bool   // what follows has been found out
	Stored   bool   // on a file system or a block device: what may wait for one
	Seekable bool   // a regular file or a block device: offsets, a page cache, and waits that end by themselves
	Block    bool   // a block device
	Device   uint64 // st_dev, or st_rdev of a block device
	Size     int64  // of a regular file, when it was opened
	Direct   bool   // O_DIRECT
	Append   bool   // O_APPEND
	mayBlock bool   // a regular file whose reads may wait for an event
	Nonblock bool   // Open has put the descriptor into non-blocking mode, for the runtime's poller
}

// Medium is what a file system keeps its data on.
type Medium uint8

const (
	MediumDevice      Medium = iota // a disk, or a server
	MediumMemory                    // nothing to wait for
	MediumCopyOnWrite               // a disk on which nothing is written over
)

// Facts is what explains a refused io_uring.
type Facts struct {
	Release       string // uname -r
	UringDisabled int    // kernel.io_uring_disabled, -1 where there is none
	Memlock       string // soft limit, in words
}
