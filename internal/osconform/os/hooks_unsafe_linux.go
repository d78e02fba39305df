package os

import (
	"io/fs"
	stdos "os"
	"reflect"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe" // and for linkname

	"github.com/ringfile/ringfile/internal/osconform/poll"
)

// The tests see some unexported names of os through its export_test.go files. They are reached by
// linkname here, which the linker must be told to allow (-checklinkname=0): osconform does, and
// nothing else links this package. A variable that os drops or renames stays zero, and the tests
// which use it fail.

//go:linkname errWriteAtInAppendMode os.errWriteAtInAppendMode
var errWriteAtInAppendMode error

//go:linkname errPatternHasSeparator os.errPatternHasSeparator
var errPatternHasSeparator error

//go:linkname errPathEscapes os.errPathEscapes
var errPathEscapes error

//go:linkname checkWrapErr os.checkWrapErr
var checkWrapErr bool

//go:linkname stathook os.stathook
var stathook func(f *stdos.File, name string) (fs.FileInfo, error)

//go:linkname pollCopyFileRange os.pollCopyFileRange
var pollCopyFileRange func(dst, src *poll.FD, remain int64) (int64, bool, error)

//go:linkname pollSplice os.pollSplice
var pollSplice func(dst, src *poll.FD, remain int64) (int64, bool, error)

//go:linkname checkPidfdOnce os.checkPidfdOnce
var checkPidfdOnce func() error

//go:linkname splitPath os.splitPath
func splitPath(path string) (string, string)

// readContents is ringfile's, not os's: it is what the ReadFile under test uses.
//
//go:linkname readContents github.com/ringfile/ringfile.readContents
func readContents(size int64, read func([]byte) (int, error)) ([]byte, error)

// What export_test.go, export_unix_test.go and export_linux_test.go in os declare.
var (
	ErrWriteAtInAppendMode = errWriteAtInAppendMode
	ErrPatternHasSeparator = errPatternHasSeparator
	ErrPathEscapes         = errPathEscapes

	PollCopyFileRangeP = &pollCopyFileRange
	PollSpliceFile     = &pollSplice
	CheckPidfdOnce     = checkPidfdOnce

	SplitPath              = splitPath
	ExportReadFileContents = readContents
)

func init() { checkWrapErr = true } // as export_test.go does

// Atime returns the time of the last access.
func Atime(fi fs.FileInfo) time.Time { return time.Unix(fi.Sys().(*syscall.Stat_t).Atim.Unix()) }

// SetStatHook makes os call f before it stats a file in a directory, until t ends.
func SetStatHook(t interface{ Cleanup(func()) }, f func(f *File, name string) (fs.FileInfo, error)) {
	old := stathook
	t.Cleanup(func() { stathook = old })
	stathook = func(std *stdos.File, name string) (fs.FileInfo, error) { return f(view(std), name) }
}

var opened atomic.Int32

// chill makes every second file one whose last reads were not in the page cache, so that its next
// ones at an offset take a ring: what the tests have just written always is in the page cache.
func chill(f *File, err error) (*File, error) {
	if f != nil && opened.Add(1)%2 == 0 {
		// The pointer is to a field of a live object, and of the field's type, which is checked.
		field := reflect.ValueOf(f).Elem().FieldByName("t").FieldByName("misses")
		if field.Type() != reflect.TypeFor[atomic.Int32]() {
			panic("osconform: the field misses of ringfile.File has changed")
		}
		(*atomic.Int32)(unsafe.Pointer(field.UnsafeAddr())).Store(manyMisses)
		// And no reads are so few that they are left to system calls.
		few := reflect.ValueOf(f).Elem().FieldByName("t").FieldByName("dev").Elem().FieldByName("lane").Elem().FieldByName("fewPerP")
		if few.Type() != reflect.TypeFor[atomic.Int32]() {
			panic("osconform: the lanes of ringfile's devices have changed")
		}
		(*atomic.Int32)(unsafe.Pointer(few.UnsafeAddr())).Store(-1)
	}
	return f, err
}

// manyMisses is above missLimit of ringfile, and just above a multiple of its missProbe.
const manyMisses = 33
