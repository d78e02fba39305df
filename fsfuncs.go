package ringfile

import (
	"io/fs"
	"time"
)

// Stat is FileSystem.Stat on the default engine.
func Stat(name string) (fs.FileInfo, error) { return FileSystem{}.Stat(name) }

// Lstat is FileSystem.Lstat on the default engine.
func Lstat(name string) (fs.FileInfo, error) { return FileSystem{}.Lstat(name) }

// Mkdir is FileSystem.Mkdir on the default engine.
func Mkdir(name string, perm fs.FileMode) error { return FileSystem{}.Mkdir(name, perm) }

// MkdirAll is FileSystem.MkdirAll on the default engine.
func MkdirAll(path string, perm fs.FileMode) error { return FileSystem{}.MkdirAll(path, perm) }

// MkdirTemp is FileSystem.MkdirTemp on the default engine.
func MkdirTemp(dir, pattern string) (string, error) { return FileSystem{}.MkdirTemp(dir, pattern) }

// Remove is FileSystem.Remove on the default engine.
func Remove(name string) error { return FileSystem{}.Remove(name) }

// RemoveAll is FileSystem.RemoveAll on the default engine.
func RemoveAll(path string) error { return FileSystem{}.RemoveAll(path) }

// Rename is FileSystem.Rename on the default engine.
func Rename(oldname, newname string) error { return FileSystem{}.Rename(oldname, newname) }

// Link is FileSystem.Link on the default engine.
func Link(oldname, newname string) error { return FileSystem{}.Link(oldname, newname) }

// Symlink is FileSystem.Symlink on the default engine.
func Symlink(oldname, newname string) error { return FileSystem{}.Symlink(oldname, newname) }

// Readlink is FileSystem.Readlink on the default engine.
func Readlink(name string) (string, error) { return FileSystem{}.Readlink(name) }

// Truncate is FileSystem.Truncate on the default engine.
func Truncate(name string, size int64) error { return FileSystem{}.Truncate(name, size) }

// Chmod is FileSystem.Chmod on the default engine.
func Chmod(name string, mode fs.FileMode) error { return FileSystem{}.Chmod(name, mode) }

// Chown is FileSystem.Chown on the default engine.
func Chown(name string, uid, gid int) error { return FileSystem{}.Chown(name, uid, gid) }

// Lchown is FileSystem.Lchown on the default engine.
func Lchown(name string, uid, gid int) error { return FileSystem{}.Lchown(name, uid, gid) }

// Chtimes is FileSystem.Chtimes on the default engine.
func Chtimes(name string, atime, mtime time.Time) error {
	return FileSystem{}.Chtimes(name, atime, mtime)
}

// ReadDir is FileSystem.ReadDir on the default engine.
func ReadDir(name string) ([]fs.DirEntry, error) { return FileSystem{}.ReadDir(name) }

// Getxattr is FileSystem.Getxattr on the default engine.
func Getxattr(name, attr string) ([]byte, error) { return FileSystem{}.Getxattr(name, attr) }

// Setxattr is FileSystem.Setxattr on the default engine.
func Setxattr(name, attr string, data []byte) error { return FileSystem{}.Setxattr(name, attr, data) }

// Listxattr is FileSystem.Listxattr on the default engine.
func Listxattr(name string) ([]string, error) { return FileSystem{}.Listxattr(name) }

// Removexattr is FileSystem.Removexattr on the default engine.
func Removexattr(name, attr string) error { return FileSystem{}.Removexattr(name, attr) }
