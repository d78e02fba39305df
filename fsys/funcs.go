package fsys

import (
	"context"
	"io/fs"
	"time"

	"github.com/ringfile/ringfile"
)

// Open opens the named file for reading. See OpenFile.
func Open(ctx context.Context, name string) (*ringfile.File, error) { return FS{}.Open(ctx, name) }

// Create creates or truncates the named file, with mode 0666 before umask, for reading and writing. See
// OpenFile.
func Create(ctx context.Context, name string) (*ringfile.File, error) { return FS{}.Create(ctx, name) }

// OpenFile opens the named file as ringfile.OpenFile does. ctx applies to the opening only: the File
// has methods with contexts of their own. A file that is opened after ctx has ended is closed again;
// with os.O_CREATE or os.O_TRUNC it may have been created or truncated. See open(2).
func OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*ringfile.File, error) {
	return FS{}.OpenFile(ctx, name, flag, perm)
}

// CreateTemp creates a new temporary file as os.CreateTemp does and opens it for reading and writing.
// The caller must remove it. A file that is created after ctx has ended is removed again.
func CreateTemp(ctx context.Context, dir, pattern string) (*ringfile.File, error) {
	return FS{}.CreateTemp(ctx, dir, pattern)
}

// ReadFile reads the whole named file, as os.ReadFile does. Reaching the end of the file is not an
// error. When ctx ends it returns what has been read so far, and the cause.
func ReadFile(ctx context.Context, name string) ([]byte, error) { return FS{}.ReadFile(ctx, name) }

// WriteFile writes data to the named file, creating it with mode perm before umask or truncating it, as
// os.WriteFile does. If it fails midway, for example because ctx ends, the file is left partly written.
// data belongs to the caller again when WriteFile returns.
func WriteFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	return FS{}.WriteFile(ctx, name, data, perm)
}

// Stat describes the named file; it follows symbolic links. See stat(2).
func Stat(ctx context.Context, name string) (fs.FileInfo, error) { return FS{}.Stat(ctx, name) }

// Lstat is Stat, but describes a symbolic link itself.
func Lstat(ctx context.Context, name string) (fs.FileInfo, error) { return FS{}.Lstat(ctx, name) }

// Mkdir creates a directory with mode perm before umask. See mkdir(2).
func Mkdir(ctx context.Context, name string, perm fs.FileMode) error {
	return FS{}.Mkdir(ctx, name, perm)
}

// MkdirAll creates a directory and any missing parents, with mode perm before umask. It does nothing if
// the directory exists.
func MkdirAll(ctx context.Context, path string, perm fs.FileMode) error {
	return FS{}.MkdirAll(ctx, path, perm)
}

// MkdirTemp creates a new directory with mode 0700 before umask, as os.MkdirTemp does, and returns its
// name. The caller must remove it. A directory that is created after ctx has ended is removed again.
func MkdirTemp(ctx context.Context, dir, pattern string) (string, error) {
	return FS{}.MkdirTemp(ctx, dir, pattern)
}

// Remove removes a file or an empty directory. See unlink(2), rmdir(2).
func Remove(ctx context.Context, name string) error { return FS{}.Remove(ctx, name) }

// RemoveAll removes a file, or a directory with everything in it; it is not an error if path does not
// exist. It does not follow symbolic links. If something cannot be removed, it removes the rest and
// returns the first error. When ctx ends, it stops where it is.
func RemoveAll(ctx context.Context, path string) error { return FS{}.RemoveAll(ctx, path) }

// Rename renames a file; a file with the name newname is replaced, unless it is a directory. Errors are
// *os.LinkError. See rename(2).
func Rename(ctx context.Context, oldname, newname string) error {
	return FS{}.Rename(ctx, oldname, newname)
}

// Link creates newname as a hard link to oldname. Errors are *os.LinkError. See link(2).
func Link(ctx context.Context, oldname, newname string) error {
	return FS{}.Link(ctx, oldname, newname)
}

// Symlink creates newname as a symbolic link to oldname. Errors are *os.LinkError. See symlink(2).
func Symlink(ctx context.Context, oldname, newname string) error {
	return FS{}.Symlink(ctx, oldname, newname)
}

// Readlink returns the target of a symbolic link. See readlink(2).
func Readlink(ctx context.Context, name string) (string, error) { return FS{}.Readlink(ctx, name) }

// Truncate changes the size of a file to size bytes. See truncate(2).
func Truncate(ctx context.Context, name string, size int64) error {
	return FS{}.Truncate(ctx, name, size)
}

// Chmod changes the mode of a file; it follows symbolic links. See chmod(2).
func Chmod(ctx context.Context, name string, mode fs.FileMode) error {
	return FS{}.Chmod(ctx, name, mode)
}

// Chown changes the owner and the group of a file; it follows symbolic links. -1 leaves either
// unchanged. See chown(2).
func Chown(ctx context.Context, name string, uid, gid int) error {
	return FS{}.Chown(ctx, name, uid, gid)
}

// Lchown is Chown, but changes a symbolic link itself.
func Lchown(ctx context.Context, name string, uid, gid int) error {
	return FS{}.Lchown(ctx, name, uid, gid)
}

// Chtimes changes the access and modification times; a zero time leaves either unchanged. See
// utimensat(2).
func Chtimes(ctx context.Context, name string, atime, mtime time.Time) error {
	return FS{}.Chtimes(ctx, name, atime, mtime)
}

// ReadDir returns the entries of a directory, sorted by name. On an error it returns the entries that
// it has read. See getdents(2).
func ReadDir(ctx context.Context, name string) ([]fs.DirEntry, error) { return FS{}.ReadDir(ctx, name) }

// DirFS returns the tree below the directory dir as an fs.FS, as os.DirFS does, whose files are
// *ringfile.File. It implements fs.StatFS, fs.ReadFileFS, fs.ReadDirFS, fs.ReadLinkFS and fs.SubFS.
// Errors of its methods have paths within the tree; errors of its files have the names that the files
// were opened with. As with os.DirFS, symbolic links may lead out of the tree, and dir is looked up
// anew in each call. When ctx ends, the methods of the fs.FS return its cause; the methods of open
// files ignore ctx.
func DirFS(ctx context.Context, dir string) fs.FS { return FS{}.DirFS(ctx, dir) }

// WalkDir calls fn, in the calling goroutine, for each file and directory in the tree rooted at root,
// including root: with the same arguments, in the same lexical order and with the same rules for
// errors, fs.SkipDir and fs.SkipAll as filepath.WalkDir. But it reads directories ahead of fn, several
// at a time, and fetches the Info of their entries, so that the Info method of an entry returns at
// once. What fn sees of a directory is therefore up to 16,384 entries out of date, and directories that
// fn skips may have been read.
//
// When ctx ends, WalkDir returns its cause in a *fs.PathError with Op "walk", without waiting for reads
// in progress.
func WalkDir(ctx context.Context, root string, fn fs.WalkDirFunc) error {
	return FS{}.WalkDir(ctx, root, fn)
}
