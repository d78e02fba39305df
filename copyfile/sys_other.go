//go:build !linux

package copyfile

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/ringfile/ringfile/internal/acl"
)

func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

func setDirect(*os.File) bool { return false }

func clone(dst, src *os.File) error { return errors.ErrUnsupported }

func copyRange(dst, src *os.File, off, length int64) (int, error) {
	return 0, errors.ErrUnsupported
}

func mayHaveHoles(fs.FileInfo) bool { return false }

func nextData(f *os.File, off, size int64) (from, to int64) { return off, size }

func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

func setTimes(f *os.File, info fs.FileInfo) error {
	return os.Chtimes(f.Name(), time.Time{}, info.ModTime())
}

func getACL(*os.File) acl.List { return nil }

func setACL(*os.File, acl.List) (bool, error) { return false, nil }
