// Package os is the standard library's os in which File is ringfile.File.
//
// It declares what differs. The rest of os is added by the generator in package osconform, which
// skips the names that it finds declared here.
package os

import (
	"io/fs"
	stdos "os"
	"syscall"

	"github.com/ringfile/ringfile"
)

// File is the file under test.
type File = ringfile.File

// The standard streams.
var (
	Stdin  = view(stdos.Stdin)
	Stdout = view(stdos.Stdout)
	Stderr = view(stdos.Stderr)
)

// Open is os.Open for a File under test.
func Open(name string) (*File, error) { return chill(ringfile.Open(name)) }

// Create is os.Create for a File under test.
func Create(name string) (*File, error) { return chill(ringfile.Create(name)) }

// OpenFile is os.OpenFile for a File under test.
func OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	return chill(ringfile.OpenFile(name, flag, perm))
}

// CreateTemp is os.CreateTemp for a File under test.
func CreateTemp(dir, pattern string) (*File, error) {
	return chill(ringfile.CreateTemp(dir, pattern))
}

// ReadFile is os.ReadFile through a File under test.
func ReadFile(name string) ([]byte, error) { return ringfile.ReadFile(name) }

// WriteFile is os.WriteFile through a File under test.
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	return ringfile.WriteFile(name, data, perm)
}

// NewFile is os.NewFile for a File under test.
func NewFile(fd uintptr, name string) *File { return view(stdos.NewFile(fd, name)) }

// Pipe is os.Pipe for Files under test.
func Pipe() (r, w *File, err error) { return wrap2(stdos.Pipe()) }

func wrap(f *stdos.File, err error) (*File, error) {
	if err != nil {
		return nil, err
	}
	return chill(ringfile.Adopt(f))
}

func wrap2(r, w *stdos.File, err error) (*File, *File, error) {
	if err != nil {
		return nil, nil, err
	}
	return view(r), view(w), nil
}

// Root is os.Root whose methods open Files under test.
type Root struct{ *stdos.Root }

// OpenRoot is os.OpenRoot for a Root of this package.
func OpenRoot(name string) (*Root, error) { return wrapRoot(stdos.OpenRoot(name)) }

// OpenInRoot is os.OpenInRoot for a File under test.
func OpenInRoot(dir, name string) (*File, error) { return wrap(stdos.OpenInRoot(dir, name)) }

// Open is os.Root.Open for a File under test.
func (r *Root) Open(name string) (*File, error) { return wrap(r.Root.Open(name)) }

// Create is os.Root.Create for a File under test.
func (r *Root) Create(name string) (*File, error) { return wrap(r.Root.Create(name)) }

// OpenFile is os.Root.OpenFile for a File under test.
func (r *Root) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	return wrap(r.Root.OpenFile(name, flag, perm))
}

// OpenRoot is os.Root.OpenRoot for a Root of this package.
func (r *Root) OpenRoot(name string) (*Root, error) { return wrapRoot(r.Root.OpenRoot(name)) }

func wrapRoot(r *stdos.Root, err error) (*Root, error) {
	if err != nil {
		return nil, err
	}
	return &Root{r}, nil
}

// ProcAttr is os.ProcAttr with Files under test.
type ProcAttr struct {
	Dir   string
	Env   []string
	Files []*File
	Sys   *syscall.SysProcAttr
}

// StartProcess is os.StartProcess with Files under test.
func StartProcess(name string, argv []string, attr *ProcAttr) (*stdos.Process, error) {
	std := &stdos.ProcAttr{Dir: attr.Dir, Env: attr.Env, Sys: attr.Sys}
	for _, f := range attr.Files {
		dup, err := Duplicate(f)
		if err != nil {
			return nil, err
		}
		if dup != nil {
			defer dup.Close()
		}
		std.Files = append(std.Files, dup)
	}
	return stdos.StartProcess(name, argv, std)
}

// Duplicate returns an os.File with a descriptor of its own for the open file of f, nil for nil:
// what a child process is to inherit must be handed to the standard library as an os.File.
func Duplicate(f *File) (*stdos.File, error) {
	if f == nil {
		return nil, nil
	}
	fd := int(f.Fd()) // makes it blocking, as os and os/exec do
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dup, err := syscall.Dup(fd)
	if err != nil {
		return nil, stdos.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(dup)
	return stdos.NewFile(uintptr(dup), f.Name()), nil
}

// view is f as a File under test, nil if there is none.
func view(f *stdos.File) *File {
	e, err := ringfile.Default()
	if err != nil {
		panic(err)
	}
	return e.Adopt(f)
}
