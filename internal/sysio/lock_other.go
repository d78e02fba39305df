//go:build !linux && !darwin && !windows

package sysio

import "errors"

// LockRange and its kin are not to be had: other locks are given up when anything in the process closes the file, or have no
// ranges.
func (h Handle) LockRange(off, length int64, shared bool) (ok bool, err error) {
	return false, errors.ErrUnsupported
}
func (h Handle) LockableRange(off, length int64, shared bool) (bool, error) {
	return false, errors.ErrUnsupported
}
func (h Handle) UnlockRange(off, length int64) error { return errors.ErrUnsupported }
