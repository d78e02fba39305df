//go:build !linux

package ringfile

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

func (f *File) tryDirect() {}

func cloneFile(dst, src *File) bool { return false }

func copyRange(dst, src *File, off, length int64) (int, error) { return 0, errors.ErrUnsupported }

func mayHaveHoles(fs.FileInfo) bool { return false }

func (f *File) nextData(off, size int64) (from, to int64) { return off, size }

func (f *File) setTimes(info fs.FileInfo) error {
	return os.Chtimes(f.os.Name(), time.Time{}, info.ModTime())
}
