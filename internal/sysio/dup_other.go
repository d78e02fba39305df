//go:build !unix || aix

package sysio

import (
	"errors"
	"os"
)

// Dup is not to be had: package os has no way to duplicate a handle.
func (h Handle) Dup() (*os.File, error) { return nil, errors.ErrUnsupported }
