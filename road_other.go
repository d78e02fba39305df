//go:build !linux

package ringfile

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// openFile opens a file through os.
func (e *Engine) openFile(name string, flag int, perm fs.FileMode) (*File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return e.NewFile(f), nil
}

func setBlocking(fd int) {}

func (f *File) readHot(p []byte, off int64) (int, bool) { return 0, false }

func (f *File) pread(p []byte, off int64) (int, error) { return f.os.ReadAt(p, off) }

func (f *File) pwrite(p []byte, off int64) (int, error) {
	if off == offCurrent {
		return f.os.Write(p)
	}
	return f.os.WriteAt(p, off)
}

func (f *File) learn() {}

func (f *File) flush(opcode) error { return f.os.Sync() }

// classify finds out what the file is. On this system all operations take the blocking road.
func (f *File) classify() {
	if st, err := f.os.Stat(); err == nil && st.Mode().IsRegular() {
		f.class = classDisk
	}
}

func (f *File) tryInline(op *operation) (int, syscall.Errno, road) { return 0, 0, roadBlocking }

func blockingRoadHelps(syscall.Errno) bool { return false }

func (f *File) blockingCall(op *operation, n int, word string) (int, error) {
	switch op.code {
	case opRead, opWrite, opReadv, opWritev:
		return f.transferBlocking(op, n)
	case opPath:
		return 0, op.path.block()
	case opFsync, opFdatasync:
		return 0, f.flush(op.code)
	case opTruncate:
		return 0, f.os.Truncate(op.length)
	case opPrefetch:
		return 0, nil // a hint
	}
	return 0, f.wrap(word, errors.ErrUnsupported)
}

// Alignment is what O_DIRECT asks of transfers on a file, where there is O_DIRECT.
type Alignment struct {
	Memory   int // of a buffer's address, in bytes
	Offset   int // of a transfer's offset and length, in bytes
	Reported bool
}

// DirectAlign returns 4096 bytes: this system reports nothing.
func (f *File) DirectAlign() (Alignment, error) {
	if err := f.begin("statx"); err != nil {
		return Alignment{}, err
	}
	defer f.end()
	return Alignment{Memory: 4096, Offset: 4096}, nil
}

func uringForbidden() *UnavailableError {
	return &UnavailableError{Op: runtime.GOOS, Err: errors.ErrUnsupported, Hint: "io_uring exists on Linux only"}
}

func (e *Engine) openRing(int) (*ring, *UnavailableError) { return nil, uringForbidden() }

func (f *File) inMemory() bool { return false }

var underTest = false

const (
	maxTransfer = 0x7ffff000
	maxIovecs   = 1024
	largeRead   = 256 << 10
)

func (f *File) punts(*operation) bool { return false }
