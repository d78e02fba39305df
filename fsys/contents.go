package fsys

import (
	"context"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/ringfile/ringfile"
)

// minRead is the least that is read at a time of a file that reports size zero, like those in /proc:
// they may refuse small reads or answer them wrongly.
const minRead = 512

// ReadFile is the function ReadFile on this engine.
func (s FS) ReadFile(ctx context.Context, name string) ([]byte, error) {
	t := target{op: "open", name: name}
	e, err := s.use()
	if err != nil {
		return nil, t.wrap(err)
	}
	if ctx.Done() == nil {
		return e.ReadFile(name)
	}
	type opened struct {
		*ringfile.File
		size int64
	}
	f, err := call(ctx, On(e), t, func() (opened, error) {
		f, err := os.Open(name)
		if err != nil {
			return opened{}, err
		}
		size := int64(0)
		if st, err := f.Stat(); err == nil { // here, as it may wait, too
			size = st.Size()
		}
		return opened{e.Adopt(f), size}, nil
	}, func(f opened) { closeLate(f.File) })
	if err != nil {
		return nil, err
	}
	defer f.CloseContext(ctx)
	return contents(ctx, f.File, f.size)
}

// contents reads a file of about size bytes.
func contents(ctx context.Context, f *ringfile.File, size int64) ([]byte, error) {
	room := minRead
	if size < math.MaxInt {
		room = max(room, int(size)+1) // one more, to find the end
	}
	data := make([]byte, 0, room)
	for {
		n, err := f.ReadContext(ctx, data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		} else if err != nil {
			return data, err
		}
		if free := cap(data) - len(data); free == 0 || size == 0 && free < minRead {
			data = slices.Grow(data, minRead)
		}
	}
}

// WriteFile is the function WriteFile on this engine.
func (s FS) WriteFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	e, err := s.use()
	if err != nil {
		return (&target{op: "open", name: name}).wrap(err)
	}
	if ctx.Done() == nil {
		return e.WriteFile(name, data, perm)
	}
	f, err := On(e).OpenFile(ctx, name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.WriteContext(ctx, data)
	if err1 := f.CloseContext(ctx); err == nil {
		err = err1
	}
	return err
}
