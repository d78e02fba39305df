//go:build !unix

package durable

import (
	"io/fs"

	"github.com/ringfile/ringfile"
)

const syncsDirs = false

func identity(fs.FileInfo) (dev, ino uint64) { return 0, 0 }

func keepOwner(*ringfile.File, fs.FileInfo) error { return nil }
