//go:build !linux

package copyfile_test

import "testing"

func sameHoles(t *testing.T, name, dst, src string) {}

func canClone(t *testing.T) bool { return false }
