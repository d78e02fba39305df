//go:build !linux

package ringfile_test

import (
	"errors"
	"testing"

	"github.com/ringfile/ringfile"
)

func sameHoles(t *testing.T, name, dst, src string) {}

func dropCache(f *ringfile.File) error { return errors.ErrUnsupported }
