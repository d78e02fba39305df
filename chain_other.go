//go:build !linux

package ringfile

import "github.com/ringfile/ringfile/uring"

// prepare is not reached: there are no rings on this system.
func (l *link) prepare(req *request, sqe *uring.SQE) {}
