//go:build ringfile_nolinkname || go1.28

package uring

import "syscall"

// linked is whether the submitter works without a P.
const linked = false

func (s *Submitter) run() syscall.Errno { return s.runScheduled() }
