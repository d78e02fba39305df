//go:build !linux

package copyfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/acl"
)

func setDirect(*os.File) bool { return false }

func clone(dst, src *ringfile.File) error { return errors.ErrUnsupported }

func copyRange(dst, src *ringfile.File, off, length int64) (int, error) {
	return 0, errors.ErrUnsupported
}

func mayHaveHoles(fs.FileInfo) bool { return false }

func nextData(f *ringfile.File, off, size int64) (from, to int64) { return off, size }

func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

func setTimes(f *ringfile.File, info fs.FileInfo) error {
	return os.Chtimes(f.Name(), time.Time{}, info.ModTime())
}

func getACL(syscall.Conn) acl.List { return nil }

func setACL(*ringfile.File, acl.List) (bool, error) { return false, nil }
