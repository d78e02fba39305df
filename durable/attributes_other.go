//go:build !linux

package durable

import (
	"io/fs"

	"github.com/ringfile/ringfile"
)

type attributes struct{}

func attributesOf(string, fs.FileMode) (a attributes, err error) { return a, nil }

func (attributes) keepNamed(*ringfile.File) error { return nil }

func (attributes) keepAccess(f *ringfile.File, mode fs.FileMode) error { return f.Chmod(mode) }
