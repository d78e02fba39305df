//go:build linux || darwin

package sqlite

import (
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/ringfile/ringfile"
)

// The bytes of a database that connections lock, whatever the program and the VFS. See os.h of SQLite.
const (
	pendingByte  = 1 << 30         // exclusive: somebody waits until all readers have gone
	reservedByte = pendingByte + 1 // exclusive: somebody is going to write
	sharedFirst  = pendingByte + 2 // shared: reads; exclusive: writes
	sharedSize   = 510
)

func (f *file) LockState() vfs.LockLevel { return f.level }

// Lock takes the lock that level stands for, SHARED, RESERVED or EXCLUSIVE. See sqlite3_io_methods, xLock.
func (f *file) Lock(level vfs.LockLevel) error {
	if level <= f.level {
		return nil
	}
	if level >= vfs.LOCK_RESERVED && f.flags&vfs.OPEN_READONLY != 0 {
		return sqlite3.IOERR_LOCK
	}
	switch level {
	case vfs.LOCK_SHARED:
		// Readers that come later let a writer in that waits.
		free, err := f.Lockable(pendingByte, 1, ringfile.LockShared)
		switch {
		case err != nil:
			return vfs.SystemError(err, sqlite3.IOERR_LOCK)
		case !free:
			return sqlite3.BUSY
		}
		if err := f.take(sharedFirst, sharedSize, ringfile.LockShared); err != nil {
			return err
		}
	case vfs.LOCK_RESERVED:
		if err := f.take(reservedByte, 1, ringfile.LockExclusive); err != nil {
			return err
		}
	case vfs.LOCK_EXCLUSIVE:
		if f.level == vfs.LOCK_RESERVED {
			// Those that become readers have it for a moment only, where SQLite's own VFS reads.
			if err := f.File.Lock(forever, pendingByte, 1, ringfile.LockExclusive); err != nil {
				return vfs.SystemError(err, sqlite3.IOERR_LOCK)
			}
			f.level = vfs.LOCK_PENDING
		}
		if err := f.take(sharedFirst, sharedSize, ringfile.LockExclusive); err != nil {
			return err
		}
	}
	f.level = level
	return nil
}

// Unlock goes back to the lock that level stands for, SHARED or NONE.
func (f *file) Unlock(level vfs.LockLevel) (err error) {
	switch {
	case level >= f.level:
		return nil
	case level == vfs.LOCK_NONE:
		err = f.drop(0, 0)
	default:
		if f.level == vfs.LOCK_EXCLUSIVE && f.take(sharedFirst, sharedSize, ringfile.LockShared) != nil {
			return sqlite3.IOERR_RDLOCK
		}
		err = f.drop(pendingByte, 2)
	}
	f.level = level
	return err
}

// CheckReservedLock reports whether a connection is going to write.
func (f *file) CheckReservedLock() (bool, error) {
	if f.level >= vfs.LOCK_RESERVED {
		return true, nil
	}
	free, err := f.Lockable(reservedByte, 1, ringfile.LockShared)
	return !free, vfs.SystemError(err, sqlite3.IOERR_CHECKRESERVEDLOCK)
}

// take takes a lock, if nobody else has one that is in the way.
func (f *file) take(off, length int64, mode ringfile.LockMode) error {
	ok, err := f.TryLock(off, length, mode)
	switch {
	case err != nil:
		return vfs.SystemError(err, sqlite3.IOERR_LOCK)
	case !ok:
		return sqlite3.BUSY
	}
	return nil
}

func (f *file) drop(off, length int64) error {
	return vfs.SystemError(f.File.Unlock(off, length), sqlite3.IOERR_UNLOCK)
}
