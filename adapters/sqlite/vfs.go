//go:build linux || darwin

package sqlite

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

func init() { vfs.Register(Name, VFS{}) }

// plain is the default VFS, which makes the calls on names.
var plain = vfs.Find("")

// VFS is the interface between SQLite and ringfile. The zero value uses ringfile's default engine.
type VFS struct{ engine *ringfile.Engine }

var _ vfs.VFSFilename = VFS{}

// On returns a VFS that uses engine e. Register it with vfs.Register under a name of its own.
func On(e *ringfile.Engine) vfs.VFS { return VFS{e} }

// No call of SQLite has a context.
var forever = context.Background()

func (v VFS) use() (*ringfile.Engine, error) {
	if v.engine != nil {
		return v.engine, nil
	}
	return ringfile.Default()
}

// call makes a call of the default VFS, one of the engine's bounded number.
func (v VFS) call(name string, fn func() error) error {
	e, err := v.use()
	if err != nil {
		return err
	}
	return e.Call(forever, name, fn)
}

func (v VFS) FullPathname(name string) (full string, err error) {
	err = v.call(name, func() (err error) {
		full, err = plain.FullPathname(name)
		return err
	})
	return full, err
}

func (v VFS) Access(name string, flags vfs.AccessFlag) (ok bool, err error) {
	err = v.call(name, func() (err error) {
		ok, err = plain.Access(name, flags)
		return err
	})
	return ok, err
}

func (v VFS) Delete(name string, syncDir bool) error {
	return v.call(name, func() error { return plain.Delete(name, syncDir) })
}

// Open opens a temporary file. SQLite opens all others with OpenFilename.
func (v VFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if name != "" {
		return nil, flags, sqlite3.CANTOPEN
	}
	return v.OpenFilename(nil, flags)
}

func (v VFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	e, err := v.use()
	if err != nil {
		return nil, flags, err
	}
	create := flags&vfs.OPEN_CREATE != 0
	journal := flags&(vfs.OPEN_MAIN_JOURNAL|vfs.OPEN_SUPER_JOURNAL|vfs.OPEN_WAL) != 0
	f := &file{flags: flags, safeOverwrite: true}
	if name == nil {
		f.File, err = temporary(e, flags)
	} else {
		f.File, err = e.OpenFile(name.String(), openFlags(flags), 0o666)
	}
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, flags, vfs.SystemError(err, sqlite3.CANTOPEN_ISDIR)
	case create && journal && errors.Is(err, fs.ErrPermission):
		if there, _ := v.Access(name.String(), vfs.ACCESS_EXISTS); !there {
			return nil, flags, vfs.SystemError(err, sqlite3.READONLY_DIRECTORY)
		}
	}
	if err != nil {
		return nil, flags, err
	}
	if of := name.URIParameter("modeof"); of != "" {
		if err := f.takeMode(of); err != nil {
			f.File.Close()
			return nil, flags, vfs.SystemError(err, sqlite3.IOERR_FSTAT)
		}
	}
	f.syncDir = create && journal
	if flags&vfs.OPEN_MAIN_DB != 0 && flags&vfs.OPEN_READWRITE != 0 && name.URIBoolean("atomic", false) {
		f.atomic = openAtomic(e, name.String())
	}
	if name.String() != "" {
		f.shared = vfs.NewSharedMemory(name.String()+"-shm", flags)
	}
	return f, flags, nil
}

func openFlags(flags vfs.OpenFlag) int {
	flag := syscall.O_NOFOLLOW // SQLite has followed the links
	if flags&vfs.OPEN_READWRITE != 0 {
		flag |= os.O_RDWR
	}
	if flags&vfs.OPEN_CREATE != 0 {
		flag |= os.O_CREATE
	}
	if flags&vfs.OPEN_EXCLUSIVE != 0 {
		flag |= os.O_EXCL
	}
	return flag
}

// temporary opens a file that has no name, or loses it soon.
func temporary(e *ringfile.Engine, flags vfs.OpenFlag) (*ringfile.File, error) {
	f, err := e.CreateTemp(os.Getenv("SQLITE_TMPDIR"), "*.db")
	if err != nil {
		return nil, vfs.SystemError(err, sqlite3.IOERR_GETTEMPPATH)
	}
	if flags&vfs.OPEN_DELETEONCLOSE != 0 {
		fsys.On(e).Remove(forever, f.Name())
	}
	return f, nil
}

// file is an open file: a database, a journal or a log.
type file struct {
	*ringfile.File
	flags         vfs.OpenFlag
	atomic        *atomic          // nil: writes may be torn
	shared        vfs.SharedMemory // the index of the log, which all connections to a database have mapped
	level         vfs.LockLevel
	syncDir       bool // the next Sync is to make the file's name safe, too
	safeOverwrite bool // to write over a part of a sector harms nothing else in it
	keepWAL       bool
}

var _ interface {
	vfs.FileLockState
	vfs.FileHasMoved
	vfs.FileSizeHint
	vfs.FilePersistWAL
	vfs.FilePowersafeOverwrite
	vfs.FileSharedMemory
} = (*file)(nil)

// takeMode gives the file the mode and the owner of the file named name, as far as that is allowed.
func (f *file) takeMode(name string) error {
	st, err := fsys.On(f.Engine()).Stat(forever, name)
	if err != nil {
		return err
	}
	f.Chmod(st.Mode())
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		f.Chown(int(sys.Uid), int(sys.Gid))
	}
	return nil
}

func (f *file) Close() error {
	if f.shared != nil {
		f.shared.Close()
	}
	if f.atomic != nil {
		f.atomic.Close()
	}
	f.Unlock(vfs.LOCK_NONE) // closing gives it up, too, but perhaps only when the kernel has let go of the last request
	return f.File.Close()
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ERANGE) || errors.Is(err, syscall.ENXIO) {
		err = vfs.SystemError(err, sqlite3.IOERR_CORRUPTFS)
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	if f.atomic != nil && f.atomic.writes(p, off) {
		n, err = f.atomic.WriteAt(p, off)
	} else {
		n, err = f.File.WriteAt(p, off)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = vfs.SystemError(err, sqlite3.FULL)
	}
	return n, err
}

// Sync is a Datasync whatever the flags, as on the default VFS: the size of a file is among the data.
func (f *file) Sync(vfs.SyncFlag) error {
	if err := f.Datasync(); err != nil || !f.syncDir {
		return err
	}
	f.syncDir = false
	dir, err := f.Engine().Open(filepath.Dir(f.Name()))
	if err != nil {
		return nil
	}
	return vfs.SystemError(cmp.Or(dir.Sync(), dir.Close()), sqlite3.IOERR_DIR_FSYNC)
}

func (f *file) Size() (int64, error) { return f.Seek(0, io.SeekEnd) } // nobody uses the position

// SizeHint reserves space for a file that will be size bytes long.
func (f *file) SizeHint(size int64) error {
	end, err := f.Size()
	if err != nil || size <= end {
		return err
	}
	err = f.Allocate(end, size-end, ringfile.AllocateExtend)
	if errors.Is(err, errors.ErrUnsupported) {
		err = f.Truncate(size)
	}
	return err
}

func (f *file) HasMoved() (bool, error) {
	here, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := fsys.On(f.Engine()).Stat(forever, f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && !os.SameFile(here, there), err
}

func (f *file) SectorSize() int { return 4096 }

func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	can := vfs.IOCAP_SUBPAGE_READ
	if f.safeOverwrite {
		can |= vfs.IOCAP_POWERSAFE_OVERWRITE
	}
	if f.atomic != nil {
		can |= f.atomic.can()
	}
	return can
}

func (f *file) SharedMemory() vfs.SharedMemory { return f.shared }
func (f *file) PowersafeOverwrite() bool       { return f.safeOverwrite }
func (f *file) SetPowersafeOverwrite(on bool)  { f.safeOverwrite = on }
func (f *file) PersistWAL() bool               { return f.keepWAL }
func (f *file) SetPersistWAL(on bool)          { f.keepWAL = on }
