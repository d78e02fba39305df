//go:build !linux

package main

import (
	"errors"
	"os"
	"time"
)

// makeSpecial has no portable way to do it.
func makeSpecial(src, dst string) error { return errors.ErrUnsupported }

// keep gives dst, which is no regular file, the permissions and the time of modification of src, which info
// describes. There is no portable way to do that for symbolic links.
func keep(dst, src string, info os.FileInfo, owner bool) (err error) {
	if owner {
		err = &os.PathError{Op: "chown", Path: dst, Err: errors.ErrUnsupported}
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return err
	}
	return errors.Join(err, os.Chmod(dst, info.Mode()&^(os.ModeSetuid|os.ModeSetgid)),
		os.Chtimes(dst, time.Time{}, info.ModTime()))
}
