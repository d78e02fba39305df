//go:build !linux

package ringfile_test

import "errors"

func becomeNobody() error { return errors.ErrUnsupported }

func refuseRegistration(string) error { return errors.ErrUnsupported }
