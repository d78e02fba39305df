// Package route decides how an operation on a file is carried out. It makes no system calls: the
// decision is a function of facts, and of what earlier operations have encountered.
package route

import "sync/atomic"

// Route is a way to carry an operation out. All give the same results.
type Route uint8

const (
	// Syscall is a blocking system call that holds an OS thread, a bounded number at a time.
	Syscall Route = iota
	// Inline is a call that the page cache serves at once if it has everything. The rest continues by
	// [AfterMiss].
	Inline
	// Ring is a request to the kernel: the goroutine is parked, and no thread is held.
	Ring
)

// String returns the name of the route.
func (r Route) String() string { return [...]string{"syscall", "inline", "ring"}[r] }

// Tristate is what is known of a yes-or-no question that the system answers.
type Tristate uint32

const (
	Unknown Tristate = iota
	Yes
	No
)

// Fact is a Tristate that many may look at and one finds out.
type Fact struct{ v atomic.Uint32 }

// Get returns what is known.
func (f *Fact) Get() Tristate { return Tristate(f.v.Load()) }

// Set notes what has been found out.
func (f *Fact) Set(t Tristate) {
	if f.v.Load() != uint32(t) {
		f.v.Store(uint32(t))
	}
}

// Kind is what an operation does.
type Kind uint8

const (
	Read Kind = iota
	Write
	Sync    // fsync, fdatasync
	Control // fallocate, fadvise: what a ring has and what waits
)

// Input is what a decision depends on.
type Input struct {
	Kind Kind
	Size int // bytes to be moved

	Ring     bool     // the file's device has a ring
	Seekable bool     // a regular file or a block device
	Direct   bool     // O_DIRECT
	Nowait   Tristate // whether the file system knows RWF_NOWAIT, without which a ring blocks kernel threads
	Polled   bool     // rings take nothing but direct transfers, and those must be polled (IOPOLL)
	FalseEOF bool     // RWF_NOWAIT may report the end of a file where it is not (before Linux 5.17)

	// Serial marks a direct write that the file system serializes, in a kernel worker if it comes from
	// a ring: one that extends the file, one after a sync, any with copy on write.
	Serial bool
	// Few means that no more transfers are in flight than are better made by system calls.
	Few bool
	// Position marks a transfer at the file position, which a ring does not move.
	Position bool
	// Cold means that the file's latest reads found nothing in the page cache.
	Cold bool
	// Leavable marks an operation that its caller may leave: a Future, or one with a context.
	Leavable bool
}

// From LargeMiss bytes on, a buffered read that misses the page cache is a system call, whatever else
// is in flight: a ring restarts it for each part that the read-ahead brings in. For the same reason, of
// reads from FewMiss bytes on a larger number counts as few than of smaller ones.
const (
	LargeMiss = 256 << 10
	FewMiss   = 64 << 10
)

// Choose returns the route of an operation. docs/design.md has it as a table, with the reasons.
func Choose(in Input) Route {
	if !in.Ring || !in.Seekable {
		return Syscall
	}
	switch in.Kind {
	case Read, Write:
		if in.Direct {
			return direct(in)
		}
		if in.Kind == Write || in.Nowait == No || in.FalseEOF {
			return Syscall // a ring hands buffered writes to one kernel worker for each inode
		}
		if in.Position {
			return Syscall // one, as others may move the position between two
		}
		if in.Cold {
			return AfterMiss(in)
		}
		return Inline
	case Sync:
		return Syscall // a ring has a kernel thread do it: a quarter more time and processor time
	}
	if in.Polled {
		return Syscall
	}
	return Ring
}

func direct(in Input) Route {
	switch {
	case in.Polled:
		return Ring // whose answer counts
	case in.Position, in.Nowait != Yes:
		return Syscall // which asks, the first time
	case in.Serial:
		return Syscall
	case in.Few && !in.Leavable:
		return Syscall
	}
	return Ring
}

// AfterMiss returns the route of what a buffered read did not find in the page cache.
func AfterMiss(in Input) Route {
	switch {
	case in.Polled, in.Nowait == No:
		return Syscall
	case in.Size >= LargeMiss, in.Few && !in.Leavable:
		return Syscall
	}
	return Ring
}
