package faults

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Image is the content of a disk, without its zeros.
type Image struct {
	size   int64
	chunks []chunk
}

type chunk struct {
	off  int64
	data []byte
}

const chunkSize = 4096

var zeros [chunkSize]byte

// readImage reads an image file.
func readImage(name string) (*Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	image := &Image{size: st.Size()}
	for off := int64(0); off < image.size; {
		data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		} else if err != nil {
			return nil, os.NewSyscallError("lseek", err)
		}
		hole, err := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return nil, os.NewSyscallError("lseek", err)
		}
		if err := image.read(f, data, hole); err != nil {
			return nil, err
		}
		off = hole
	}
	return image, nil
}

// read adds what f has between from and to, which are multiples of the chunk size but for the end.
func (m *Image) read(f *os.File, from, to int64) error {
	p := make([]byte, to-from)
	if _, err := f.ReadAt(p, from); err != nil && err != io.EOF {
		return err
	}
	for off := from; len(p) > 0; off += chunkSize {
		n := min(len(p), chunkSize)
		if !bytes.Equal(p[:n], zeros[:n]) {
			m.chunks = append(m.chunks, chunk{off, p[:n:n]})
		}
		p = p[n:]
	}
	return nil
}

// write makes a file of the image.
func (m *Image) write(name string) (*os.File, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	err = f.Truncate(m.size)
	for _, c := range m.chunks {
		if err == nil {
			_, err = f.WriteAt(c.data, c.off)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
