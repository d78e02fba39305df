package ringfile

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"syscall"
)

// ReadFile reads the whole named file, as os.ReadFile does. Reaching the end of the file is not an
// error.
func ReadFile(name string) ([]byte, error) {
	e, err := Default()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.ReadFile(name)
}

// ReadFile is the package-level ReadFile on this engine.
func (e *Engine) ReadFile(name string) ([]byte, error) {
	f, err := e.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size := f.t.Size; size > 0 {
		return readContents(size, f.fromStart())
	}
	return readContents(0, f.Read)
}

// ReadFileInto reads the named file from its beginning into p and returns the number of bytes read. It
// suits programs that read many files into the same buffer. If n is less than len(p), that is the whole
// file; if n is len(p), there may be more. Errors are *fs.PathError; reaching the end of the file is
// not an error.
func ReadFileInto(name string, p []byte) (n int, err error) {
	e, err := Default()
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.ReadFileInto(name, p)
}

// ReadFileInto is the package-level ReadFileInto on this engine.
func (e *Engine) ReadFileInto(name string, p []byte) (n int, err error) {
	f, err := e.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	read := f.Read
	if f.t.Size > 0 {
		read = f.fromStart()
	}
	for n < len(p) && err == nil {
		var m int
		m, err = read(p[n:])
		n += m
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// fromStart returns a function that reads the file from its beginning on: by ReadAt, unless the file
// has no offsets.
func (f *File) fromStart() func([]byte) (int, error) {
	off, byOffset := int64(0), f.t.Seekable
	return func(p []byte) (int, error) {
		if byOffset {
			n, err := f.ReadAt(p, off)
			if off > 0 || n > 0 || !errors.Is(err, syscall.ESPIPE) {
				off += int64(n)
				return n, err
			}
			byOffset = false
		}
		return f.Read(p)
	}
}

// WriteFile writes data to the named file, creating it with mode perm before umask or truncating it, as
// os.WriteFile does. If it fails midway the file is left partly written.
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	e, err := Default()
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.WriteFile(name, data, perm)
}

// WriteFile is the package-level WriteFile on this engine.
func (e *Engine) WriteFile(name string, data []byte, perm fs.FileMode) error {
	f, err := e.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err1 := f.Close(); err == nil {
		err = err1
	}
	return err
}

// readContents reads until io.EOF; size is the expected number of bytes.
func readContents(size int64, read func([]byte) (int, error)) ([]byte, error) {
	// Files that claim to be empty, as in /proc, may refuse small reads or answer them wrongly.
	const minRead = 512
	room := minRead
	if size < math.MaxInt {
		room = max(room, int(size)+1) // one more, to find the end
	}
	data := make([]byte, 0, room)
	for {
		n, err := read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return data, err
		}
		if left := cap(data) - len(data); left == 0 || size == 0 && left < minRead {
			data = slices.Grow(data, minRead)
		}
	}
}
