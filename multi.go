package ringfile

import (
	"context"
	"io/fs"
	"sync"
)

// Range is a part of a file that ReadMulti reads: as many bytes as Buf has, from offset Off. N and
// Err are what ReadAt would have returned for it.
type Range struct {
	Off int64
	Buf []byte
	N   int
	Err error
}

var batches = sync.Pool{New: func() any { return new(Batch) }}

// ReadMulti reads all the ranges, in any order and at the same time, as a Batch does, and sets N
// and Err of each. It returns nil if all went well, otherwise the Err of the first range that has
// one; io.EOF is bare. The buffers are the caller's again at the return.
func (f *File) ReadMulti(ranges []Range) error {
	return f.ReadMultiContext(context.Background(), ranges)
}

// ReadMultiContext is ReadMulti, given up when ctx ends: what can be cancelled is, what cannot is
// waited for, as the buffers are the caller's. See Batch.RunContext.
func (f *File) ReadMultiContext(ctx context.Context, ranges []Range) error {
	if f == nil || f.os == nil {
		return fs.ErrInvalid
	}
	b := batches.Get().(*Batch)
	for i := range ranges {
		b.ReadAt(f, ranges[i].Buf, ranges[i].Off)
	}
	err := b.RunContext(ctx)
	for i := range ranges {
		r := b.Result(i)
		ranges[i].N, ranges[i].Err = r.N, r.Err
	}
	b.Reset()
	batches.Put(b)
	return err
}
