package ringfile

import (
	"errors"
	"io"
	"math"
	"slices"
	"syscall"
)

// How a file is read whole.

// sizeHint returns how large the file, which has just been opened, seems to be. A file in /proc says it
// is empty, and any file may grow.
func (f *File) sizeHint() int64 {
	if f.opened > 0 {
		return f.opened
	}
	if st, err := f.os.Stat(); err == nil {
		return st.Size()
	}
	return 0
}

// contents reads the file, which has just been opened.
func (f *File) contents() ([]byte, error) {
	size := f.sizeHint()
	if f.class == classDisk && size > 0 {
		return readFileContents(size, f.reader())
	}
	return readFileContents(size, f.Read)
}

// reader returns what reads the file from its beginning on: by ReadAt, which can tell the end of a file
// where Read has to ask again, unless the file takes no offsets.
func (f *File) reader() func([]byte) (int, error) {
	off, byOffset := int64(0), true
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

// readFileContents reads until io.EOF what is thought to be size bytes.
func readFileContents(size int64, read func([]byte) (int, error)) ([]byte, error) {
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
