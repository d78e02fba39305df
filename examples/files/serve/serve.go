// Package serve has a handler for static files that stays responsive while its disk hangs: a request
// that waits for the disk is abandoned after some time, and holds neither a thread nor, once the client
// has its response, a goroutine of the server.
package serve

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// Handler serves the regular files below dir, following symbolic links. Patience is the time limit for
// each step: looking up and opening a file, after which the response is 503, or a read, after which the
// response is cut off.
func Handler(e *ringfile.Engine, dir string, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Join(dir, filepath.FromSlash(path.Clean("/"+r.URL.Path)))
		ctx, stop := context.WithTimeout(r.Context(), patience)
		defer stop()
		st, err := fsys.On(e).Stat(ctx, name)
		if err == nil && !st.Mode().IsRegular() { // a FIFO would wait for somebody to write
			err = fs.ErrNotExist
		}
		var f *ringfile.File
		if err == nil {
			f, err = fsys.On(e).Open(ctx, name)
		}
		if err != nil {
			code := statusOf(err)
			http.Error(w, http.StatusText(code), code)
			return
		}
		defer func() {
			ctx, stop := context.WithTimeout(context.Background(), patience)
			defer stop()
			f.CloseContext(ctx)
		}()
		http.ServeContent(w, r, name, st.ModTime(), &content{ctx: r.Context(), f: f, size: st.Size(), patience: patience})
	})
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// content is a file as http.ServeContent reads it.
type content struct {
	ctx      context.Context
	f        *ringfile.File
	off      int64
	size     int64
	patience time.Duration
}

func (c *content) Read(p []byte) (int, error) {
	if c.off >= c.size {
		return 0, io.EOF
	}
	ctx, stop := context.WithTimeout(c.ctx, c.patience)
	defer stop()
	n, err := c.f.ReadAtContext(ctx, p[:min(int64(len(p)), c.size-c.off)], c.off)
	c.off += int64(n)
	return n, err
}

func (c *content) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += c.off
	case io.SeekEnd:
		off += c.size
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	c.off = off
	return off, nil
}
