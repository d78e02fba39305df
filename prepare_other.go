//go:build !linux

package ringfile

import (
	"syscall"

	"github.com/ringfile/ringfile/uring"
)

type iovec struct{}

// prepare is not reached: there are no rings on this system.
func (req *request) prepare(sqe *uring.SQE) {}

// errTimedOut is not met here: there are no rings.
const errTimedOut = syscall.ETIMEDOUT
