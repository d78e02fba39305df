package uring

import (
	"errors"
	"fmt"
)

// Config configures a ring.
type Config struct {
	// Entries is the size of the submission queue. The kernel rounds it up to a power of two.
	Entries uint32

	// CQEntries is the size of the completion queue, rounded up likewise; 0 means twice the size of
	// the submission queue.
	CQEntries uint32

	// Flags are flags that the ring must have: New fails if the kernel refuses one.
	Flags SetupFlags

	// Wanted are flags that the ring should have if the kernel supports them. If the kernel returns
	// EINVAL, New tries again without the last one, then without the last two, and so on, so put the
	// newest flag last. Flags that depend on each other go into one element. Nil means [DefaultWanted].
	Wanted []SetupFlags

	// SQThreadIdleMS is how long the thread of SetupSQPoll polls before it sleeps, in milliseconds;
	// 0 means one second.
	SQThreadIdleMS uint32

	// SQThreadCPU is the CPU to which that thread is bound, with SetupSQAff.
	SQThreadCPU uint32

	// AttachFD is the descriptor of another ring, with SetupAttachWQ.
	AttachFD int
}

// DefaultWanted returns the optional flags that improve any ring that is driven from several threads,
// and change nothing for its user: SetupSubmitAll and SetupNoSQArray.
func DefaultWanted() []SetupFlags {
	return []SetupFlags{SetupSubmitAll, SetupNoSQArray}
}

// refusedFlags change the layout of a ring, or how it is reached, in ways this package does not know.
const refusedFlags = SetupSQE128 | SetupCQE32 | SetupNoMmap | SetupRegisteredFDOnly |
	SetupCQEMixed | SetupSQEMixed | SetupSQRewind

// neededFeatures are what this package cannot do without. All kernels from 5.5 on have them.
const neededFeatures = FeatSingleMmap | FeatNoDrop

// params returns what to ask the kernel for, with the first n of wanted.
func (c *Config) params(wanted []SetupFlags, n int) Params {
	p := Params{
		CQEntries:    c.CQEntries,
		Flags:        c.Flags,
		SQThreadCPU:  c.SQThreadCPU,
		SQThreadIdle: c.SQThreadIdleMS,
	}
	if c.CQEntries != 0 {
		p.Flags |= SetupCQSize
	}
	if p.Flags.Has(SetupAttachWQ) {
		p.WQFD = uint32(c.AttachFD)
	}
	for _, f := range wanted[:n] {
		p.Flags |= f
	}
	return p
}

// check refuses what this package cannot drive.
func (c *Config) check() ([]SetupFlags, error) {
	wanted := c.Wanted
	if wanted == nil {
		wanted = DefaultWanted()
	}
	all := c.Flags
	for _, f := range wanted {
		all |= f
	}
	if bad := all & refusedFlags; bad != 0 {
		return nil, fmt.Errorf("uring: setup flag %v: %w", bad, errors.ErrUnsupported)
	}
	return wanted, nil
}

// checkFeatures refuses kernels that this package cannot work with.
func checkFeatures(f Features) error {
	if missing := neededFeatures &^ f; missing != 0 {
		return fmt.Errorf("uring: this kernel's io_uring lacks %v, Linux 5.10 has it: %w",
			missing, errors.ErrUnsupported)
	}
	return nil
}
