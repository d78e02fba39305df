package ringfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/uring"
)

const (
	statGroup  = 8  // entries whose description is timed together
	statWindow = 64 // statx requests that one directory has in flight
	statCrowd  = 16 // blocking calls that it has, without a ring
)

// slowStats is what tells a group of entries whose description had to wait: for a server, as a
// rule, since what a disk has to say about the files of one directory comes in a few pieces.
var slowStats = statGroup * 50 * time.Microsecond

// list reads a directory and describes what is in it. While that comes from memory it is done one
// by one, by system calls; a ring has a kernel thread do each. When it turns out to wait, the rest
// is in flight together.
func (w *walk) list(path string) ([]walkEntry, error) {
	place := w.engine.enterCall()
	dir, err := openDir(path)
	if err != nil {
		w.engine.leaveCall(place)
		return nil, err
	}
	entries, err := dir.ReadDir(-1)
	all := sorted(entries)
	s := statter{engine: w.engine, dir: dir, path: path}
	n := s.oneByOne(all)
	w.engine.leaveCall(place)
	rest := all[n:]
	switch {
	case len(rest) == 0:
	case w.engine.offers(uring.OpStatx):
		s.byRing(rest)
	default:
		s.byCrowd(rest)
	}
	s.dir.Close()
	return all, err
}

// openDir opens a directory for reading, with the error that os.ReadDir has.
func openDir(path string) (*os.File, error) {
	var fd int
	err := retryEINTR(func() (err error) {
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// statter describes the entries of an open directory.
type statter struct {
	engine *Engine
	dir    *os.File
	path   string
}

// oneByOne describes entries until they turn out to be slow, and returns how many it has.
func (s *statter) oneByOne(entries []walkEntry) int {
	fd := int(s.dir.Fd())
	slow := 0
	start := time.Now()
	for i := range entries {
		if i > 0 && i%statGroup == 0 {
			now := time.Now()
			if now.Sub(start) < slowStats {
				slow = 0
			} else if slow++; slow == 2 {
				return i
			}
			start = now
		}
		s.describe(fd, &entries[i])
	}
	return len(entries)
}

// describe describes an entry by a system call.
func (s *statter) describe(fd int, e *walkEntry) {
	var sx unix.Statx_t
	s.store(e, &sx, unix.Statx(fd, e.Name(), atNoFollow|atNoAutomount, unix.STATX_BASIC_STATS, &sx))
}

// store stores what a statx has found, or what os says if that has failed.
func (s *statter) store(e *walkEntry, sx *unix.Statx_t, err error) {
	if err == nil {
		e.info = newFileInfo(e.Name(), sx)
		return
	}
	e.info, e.err = os.Lstat(filepath.Join(s.path, e.Name()))
}

// statAhead is a statx in flight. It is the promise that its request keeps.
type statAhead struct {
	pathCall
	all *sync.WaitGroup
	err error
}

func (a *statAhead) published(*request, uint64) {}

func (a *statAhead) fulfil(_ int, errno syscall.Errno, why cause) {
	a.err = pathError(errno, why)
	a.all.Done()
}

// byRing describes entries with many requests in flight.
func (s *statter) byRing(entries []walkEntry) {
	fd := int(s.dir.Fd())
	var all sync.WaitGroup
	calls := make([]statAhead, min(len(entries), statWindow))
	for len(entries) > 0 {
		n := min(len(entries), len(calls))
		for i := range n {
			a := &calls[i]
			*a = statAhead{all: &all}
			a.call = call{name: entries[i].Name(), op: uring.OpStatx, flags: atNoFollow}
			a.dir = fd
			if a.err = a.pin(); a.err == nil {
				all.Add(1)
				a.start(s.engine)
			}
		}
		all.Wait()
		for i := range n {
			s.settle(&entries[i], &calls[i])
		}
		entries = entries[n:]
	}
}

// start puts the request on a ring.
func (a *statAhead) start(e *Engine) {
	r := e.pick()
	if req, _ := r.start(&operation{code: opPath, path: &a.pathCall}, 0, a, false, nil, nil); req == nil {
		a.fulfil(0, syscall.ECANCELED, notCancelled)
		return
	}
	e.stats.ring.add(1)
}

// settle stores the result of a request.
func (s *statter) settle(e *walkEntry, a *statAhead) {
	if a.err != nil { // os has the last word, by a blocking call
		defer s.engine.leaveCall(s.engine.enterCall())
	}
	s.store(e, &a.stat, a.err)
}

// byCrowd describes entries with many blocking calls.
func (s *statter) byCrowd(entries []walkEntry) {
	fd := int(s.dir.Fd())
	var next atomic.Int64
	var crowd sync.WaitGroup
	for range min(len(entries), statCrowd) {
		crowd.Go(func() {
			defer s.engine.leaveCall(s.engine.enterCall())
			for i := next.Add(1) - 1; i < int64(len(entries)); i = next.Add(1) - 1 {
				s.describe(fd, &entries[i])
			}
		})
	}
	crowd.Wait()
}
