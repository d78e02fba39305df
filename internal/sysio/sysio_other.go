//go:build !linux

package sysio

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/ringfile/ringfile/uring"
)

// On this system there is no ring, and package os carries everything out.

// SyscallHelps is not used.
func SyscallHelps(syscall.Errno) bool { return false }

// RetryEINTR makes a call once.
func RetryEINTR(call func() error) error { return call() }

// Open is os.OpenFile.
func Open(name string, flag int, perm fs.FileMode) (Handle, Status, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return Handle{}, Status{}, err
	}
	h, status := Adopt(f)
	return h, status, nil
}

// Adopt finds out what an open file is. Files whose writes append are told by os alone.
func Adopt(f *os.File) (Handle, Status) {
	var s Status
	if st, err := f.Stat(); err == nil {
		s = Status{Known: true, Seekable: st.Mode().IsRegular(), Size: st.Size()}
	}
	return Handle{OS: f, FD: -1}, s
}

func (h Handle) SetBlocking() {}

func (h Handle) Pread(p []byte, off int64, once bool) (int, error) {
	if off == OffCurrent {
		return h.OS.Read(p)
	}
	return h.OS.ReadAt(p, off)
}

func (h Handle) Seek(off int64, whence int) (int64, error) { return h.OS.Seek(off, whence) }

func (h Handle) Pwrite(p []byte, off int64) (int, error) {
	if off == OffCurrent {
		return h.OS.Write(p)
	}
	return h.OS.WriteAt(p, off)
}

func (h Handle) Preadv(vec [][]byte, off int64) (n int, err error) {
	return each(vec, off, h.OS.ReadAt)
}

func (h Handle) Pwritev(vec [][]byte, off int64) (n int, err error) {
	return each(vec, off, h.OS.WriteAt)
}

// each makes a call for each buffer.
func each(vec [][]byte, off int64, call func([]byte, int64) (int, error)) (n int, err error) {
	for _, p := range vec {
		m, err := call(p, off+int64(n))
		n += m
		if err == io.EOF && n > 0 {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (h Handle) PreadNowait([]byte, int64) (int, syscall.Errno)    { return 0, syscall.ENOSYS }
func (h Handle) PwriteNowait([]byte, int64) (int, syscall.Errno)   { return 0, syscall.ENOSYS }
func (h Handle) PreadvNowait([][]byte, int64) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func (h Handle) Sync(bool) error                         { return h.OS.Sync() }
func (h Handle) Advise(off, length int64, _ int) error   { return nil } // a hint
func (h Handle) Cached(off, length int64) (int64, error) { return 0, errors.ErrUnsupported }
func (h Handle) Length() (int64, bool)                   { return 0, false }
func (h Handle) Medium() Medium                          { return MediumDevice }
func (h Handle) DirectNow() bool                         { return false }
func (h Handle) Alignment() (mem, off int, err error)    { return 0, 0, nil }
func (h Handle) PollQueues() (polled, known bool)        { return false, false }

func (h Handle) Allocate(mode uint32, off, length int64) error { return errors.ErrUnsupported }
func (h Handle) Writeback(off, length int64) error             { return errors.ErrUnsupported }
func (h Handle) AtomicUnits() (smallest, largest int)          { return 0, 0 }
func (h Handle) NextData(off int64) (start, end int64, err error) {
	return 0, 0, errors.ErrUnsupported
}
func (h Handle) PwriteAtomic([]byte, int64) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// Modes and flags that are not used.
const (
	KeepSize    = 1
	ZeroRange   = 2
	PunchHole   = 4
	WriteAtomic = 1
	TimedOut    = syscall.Errno(62)
)

func UringForbidden() (system, hint string, err error) {
	return runtime.GOOS, "io_uring exists on Linux only", errors.ErrUnsupported
}

// ReadFacts has nothing to tell.
func ReadFacts() Facts { return Facts{UringDisabled: -1, Release: runtime.GOOS, Memlock: "unknown"} }

// Iovec is not used.
type Iovec struct{}

func Describe(*Iovec, []byte)                     {}
func PrepReadv(*uring.SQE, int, []Iovec, uint64)  {}
func PrepWritev(*uring.SQE, int, []Iovec, uint64) {}

// The advice of posix_fadvise(2), which does nothing here.
const (
	AdviceNormal = iota
	AdviceRandom
	AdviceSequential
	AdviceWillNeed
	AdviceDontNeed
)
