// Package part serves an io.ReaderAt from data that has been read ahead: a reader of a file format asks
// for small pieces, at offsets of its own choosing, of ranges that are known beforehand.
package part

import "io"

// ReaderAt serves Data, which begins at Off, and leaves everything outside it to Rest.
type ReaderAt struct {
	Off  int64
	Data []byte
	Rest io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.Off && off+int64(len(p)) <= r.Off+int64(len(r.Data)) {
		return copy(p, r.Data[off-r.Off:]), nil
	}
	return r.Rest.ReadAt(p, off)
}
