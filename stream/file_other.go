//go:build !linux

package stream

import (
	"context"
	"errors"
	"math"

	"github.com/ringfile/ringfile"
)

// describe describes f: without O_DIRECT, which does not exist here. The context is ignored.
func describe(_ context.Context, f *ringfile.File) (description, error) {
	st, err := f.Stat()
	if err != nil {
		return description{}, err
	}
	d := description{size: math.MaxInt64, seeks: st.Mode().IsRegular()}
	if d.seeks {
		d.size = st.Size()
		_, err := f.WriteAt(nil, 0) // refused with O_APPEND, and otherwise nothing
		d.append = err != nil
	}
	return d, nil
}

func writeCached(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
	_, err := f.WriteAtContext(ctx, p, off)
	return err
}

// uncachedSupported: no call leaves nothing in the page cache.
const uncachedSupported = false

const dropAfter = 8 << 20

func readUncached(context.Context, *ringfile.File, []byte, int64) (n int, left bool, err error) {
	return 0, false, errors.ErrUnsupported
}

func writeUncached(*ringfile.File, []byte, int64) (n int, err error) {
	return 0, errors.ErrUnsupported
}

func drop(context.Context, *ringfile.File, int64, int64)     {}
func writeOut(context.Context, *ringfile.File, int64, int64) {}

func beingWritten(context.Context, *ringfile.File, int64, int64) bool { return false }
