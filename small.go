package ringfile

import (
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
)

// ReadFileInto reads the named file, from its beginning, into p and returns how many bytes it read.
// That is the whole file if n is less than len(p); if n is len(p), there may be more. Opening,
// reading and closing are one submission, a Chain on a descriptor that the process never sees
// (Linux 5.17), which suits many small regular files; elsewhere, and while another goroutine submits
// a chain, they are the calls of File. Errors are *fs.PathError; reaching the end is none.
func ReadFileInto(name string, p []byte) (n int, err error) {
	e, err := Default()
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return e.ReadFileInto(name, p)
}

// ReadFileInto is the package's ReadFileInto on this engine.
func (e *Engine) ReadFileInto(name string, p []byte) (n int, err error) {
	if e.closed.Load() {
		return 0, &fs.PathError{Op: "open", Path: name, Err: ErrEngineClosed}
	}
	r := e.chainRing()
	if r == nil || !r.whole.files || r.whole.busy() || len(p) == 0 || len(p) > maxTransfer || strings.IndexByte(name, 0) >= 0 {
		return e.readFileInto(name, p)
	}
	if underTest {
		os.Stat(name) // as openFile does
	}
	s := smalls.Get().(*small)
	s.name = append(append(s.name[:0], name...), 0)
	n, op, errno := s.read(r, p)
	s.chain.Reset()
	smalls.Put(s)
	switch {
	case errno == 0:
		return n, nil
	case blockingRoadHelps(errno):
		return e.readFileInto(name, p)
	}
	return 0, &fs.PathError{Op: op, Path: name, Err: errno}
}

// readFileInto is ReadFileInto by calls of File.
func (e *Engine) readFileInto(name string, p []byte) (n int, err error) {
	f, err := e.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if f.class == classDisk && f.opened > 0 {
		return fill(f.reader(), p)
	}
	return fill(f.Read, p)
}

// fill calls read until p is full or the file ends, which is no error.
func fill(read func([]byte) (int, error), p []byte) (n int, err error) {
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

// small is a chain that opens, reads and closes.
type small struct {
	chain Chain
	name  []byte // with its NUL
}

var smalls = sync.Pool{New: func() any {
	s := new(small)
	s.chain.wake = make(chan struct{}, 1)
	return s
}}

// read runs the chain. On an error it returns the Op for it; EAGAIN if the chain was not carried
// out.
func (s *small) read(r *ring, p []byte) (n int, op string, errno syscall.Errno) {
	c := &s.chain
	c.add(operation{code: opOpenDirect})
	c.add(operation{code: opRead, buf: p})
	c.add(operation{code: opCloseDirect})
	links := c.links[:c.n]
	open, read, closing := links[0], links[1], links[2]
	open.path = &s.name[0]
	read.anyway = true // most files are shorter than p, which would break the chain
	m, lead := r.startChain(links, nil)
	if m == 0 {
		return 0, "", syscall.EAGAIN
	}
	if lead {
		r.leadChain(c)
	}
	<-c.wake
	if open.errno == 0 && closing.errno != 0 {
		// The chain came apart. The table must not keep the file.
		r.dropFile(closing.slot)
	}
	switch {
	case open.errno != 0:
		return 0, "open", open.errno
	case read.errno != 0:
		return 0, "read", read.errno
	}
	return read.n, "", 0
}
