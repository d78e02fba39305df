// Package restrict restricts rings of package uring to the operations that they are for.
package restrict

import (
	"errors"
	"syscall"

	"github.com/ringfile/ringfile/uring"
)

// Wanted returns, for [uring.Config], the optional flags of a ring that is to be restricted: those of any ring,
// and the one with which it begins disabled (Linux 5.10).
func Wanted() []uring.SetupFlags {
	return append([]uring.SetupFlags{uring.SetupRDisabled}, uring.DefaultWanted()...)
}

// Enable lets a ring that was made with [Wanted] work, on the given operations with the given flags and no others
// (IORING_REGISTER_RESTRICTIONS): the kernel ends those with EACCES. Nothing can be registered with it any more, but it
// can be asked what it knows ([uring.Ring.Probe]). Enable reports whether that is so: where the kernel refuses the
// restrictions, the ring works without them. With an error it does not work.
func Enable(u *uring.Ring, flags uring.SQEFlags, ops ...uring.Op) (restricted bool, err error) {
	if !u.Flags().Has(uring.SetupRDisabled) {
		return false, nil
	}
	rs := []uring.Restriction{uring.AllowRegister(uring.RegProbe), uring.AllowSQEFlags(flags)}
	for _, op := range ops {
		rs = append(rs, uring.AllowOp(op))
	}
	restricted = again(func() error { return u.RegisterRestrictions(rs) }) == nil
	return restricted, again(u.EnableRings)
}

// again repeats a call until no signal interrupts it: before Linux 5.13 it waits for the ring to be
// quiet.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
