//go:build !linux

package ringfile

import "github.com/ringfile/ringfile/uring"

type iovec struct{}

// prepare is not reached: there are no rings on this system.
func (req *request) prepare(sqe *uring.SQE) {}
