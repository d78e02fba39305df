package stream

import (
	"io"
	"sync"
	"sync/atomic"
)

// MultiReaderAt is an io.ReaderAt that can read many ranges at once. *ringfile.File implements it. Code
// that is given an io.ReaderAt can test for the method without importing this package.
type MultiReaderAt interface {
	io.ReaderAt
	// ReadAtMulti fills each of bufs from the offset in offs with the same index, in any order. It
	// returns n, the number of buffers filled before the first failure, and the error that ReadAt would
	// have returned for bufs[n]; the error is nil if and only if n is len(bufs). The contents of
	// bufs[n:] are unspecified. It panics if bufs and offs differ in length.
	ReadAtMulti(bufs [][]byte, offs []int64) (n int, err error)
}

// Multi returns r as a MultiReaderAt: r itself if it is one. Otherwise calls of its ReadAt, which must
// be safe for concurrent use as io.ReaderAt requires, are made by the caller and by up to limit further
// goroutines, shared by all calls. A limit of zero means 32.
func Multi(r io.ReaderAt, limit int) MultiReaderAt {
	if m, ok := r.(MultiReaderAt); ok {
		return m
	}
	if limit <= 0 {
		limit = 32
	}
	return &multi{ReaderAt: r, helpers: make(chan struct{}, limit)}
}

type multi struct {
	io.ReaderAt
	helpers chan struct{} // has an element for each goroutine
}

func (m *multi) ReadAtMulti(bufs [][]byte, offs []int64) (n int, err error) {
	if len(bufs) != len(offs) {
		panic("stream: ReadAtMulti of buffers and offsets that differ in number")
	}
	var (
		next atomic.Int64
		mu   sync.Mutex // guards n and err
		wg   sync.WaitGroup
	)
	n = len(bufs)
	read := func() {
		for i := int(next.Add(1)) - 1; i < len(bufs); i = int(next.Add(1)) - 1 {
			k, err1 := m.ReadAt(bufs[i], offs[i])
			if k == len(bufs[i]) {
				continue
			}
			if err1 == nil {
				err1 = io.ErrNoProgress
			}
			next.Store(int64(len(bufs))) // what comes behind it does not count
			mu.Lock()
			if i < n {
				n, err = i, err1
			}
			mu.Unlock()
		}
	}
	for range len(bufs) - 1 {
		select {
		case m.helpers <- struct{}{}:
			wg.Go(func() {
				defer func() { <-m.helpers }()
				read()
			})
			continue
		default:
		}
		break
	}
	read()
	wg.Wait()
	return n, err
}
