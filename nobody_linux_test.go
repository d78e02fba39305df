package ringfile_test

import (
	"syscall"
)

// becomeNobody gives up root, and with it the exemption from limits, for all threads and for good.
func becomeNobody() error {
	const nobody = 65534
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(nobody); err != nil {
		return err
	}
	return syscall.Setuid(nobody)
}
