//go:build !linux

package ringfile

import (
	"errors"
	"io/fs"
)

// Package os has no extended attributes, and so this system has none here.

func (s FileSystem) getxattr(c call) ([]byte, error) { return nil, c.wrap(errors.ErrUnsupported) }

func setxattr(name, attr string, data []byte) error {
	return &fs.PathError{Op: "setxattr", Path: name, Err: errors.ErrUnsupported}
}

func removexattr(name, attr string) error {
	return &fs.PathError{Op: "removexattr", Path: name, Err: errors.ErrUnsupported}
}

func listxattr(name string) ([]string, error) {
	return nil, &fs.PathError{Op: "listxattr", Path: name, Err: errors.ErrUnsupported}
}
