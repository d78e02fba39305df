//go:build !unix

package mapped

import (
	"errors"

	"github.com/ringfile/ringfile"
)

// mmap is not supported here.
func mmap(*ringfile.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func munmap([]byte) {}
