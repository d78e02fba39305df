package fsys

import (
	"container/list"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile/internal/ctxerr"
)

const (
	walkReaders = 32       // directories being read at a time, once reading them has to wait
	walkAhead   = 16 << 10 // entries read and not visited yet, from where on no more are read ahead
	statCalls   = 16       // calls at a time that fetch the Info of one directory's entries, once they have to wait
)

// A directory that takes longer to read than waitingRead, and waitingStat more per entry, was not in
// memory. One that takes longer than slowRead and slowStat is normally on a file server: a disk reads
// the inodes of one directory in a few pieces.
var (
	waitingRead, waitingStat = 200 * time.Microsecond, 5 * time.Microsecond
	slowRead, slowStat       = 4 * time.Millisecond, 50 * time.Microsecond
)

// WalkDir is the function WalkDir on this engine.
func (s FS) WalkDir(ctx context.Context, root string, fn fs.WalkDirFunc) error {
	w := &walk{ctx: ctx, on: s, fn: fn, leave: func() {}, limit: runtime.GOMAXPROCS(0) - 1}
	info, err := s.Lstat(ctx, root)
	if ended := w.cause(root); ended != nil {
		return ended
	} else if err != nil {
		err = fn(root, nil, err)
	} else {
		defer w.end()
		if ctx.Done() != nil {
			w.ctx, w.leave = context.WithCancel(ctx)
		}
		b := newBranch(root)
		b.place = w.order.PushBack(b)
		err = w.visit(root, fs.FileInfoToDirEntry(info), b)
	}
	if err == fs.SkipDir || err == fs.SkipAll {
		return nil
	}
	return err
}

// walk is one call of WalkDir: the caller, which visits the tree in order, and the readers, which run
// ahead of it and start with the directory that it will visit next. Readers never wait for the caller,
// and the caller reads what it needs itself if nobody has started on it, so there can be no deadlock.
type walk struct {
	ctx   context.Context
	leave context.CancelFunc // ends ctx if it can end
	on    FS
	fn    fs.WalkDirFunc
	wg    sync.WaitGroup // the readers

	mu      sync.Mutex
	order   list.List // of the *branch that are known and not read, in the order of the visits
	readers int
	limit   int // of readers
	ahead   int // entries read and not visited
	ended   bool
}

// branch is a directory of the tree.
type branch struct {
	path string
	done chan struct{} // closed when it has been read: listing is there

	listing
	begun bool          // it and place are guarded by walk.mu
	place *list.Element // in walk.order; nil once it has been read or skipped
}

func newBranch(path string) *branch { return &branch{path: path, done: make(chan struct{})} }

// listing is what reading a directory has found.
type listing struct {
	entries []entry
	err     error
	fetched int  // how many of the entries have their Info
	waited  bool // for a disk or a server
}

// entry is an entry of a directory with the result of Info.
type entry struct {
	fs.DirEntry
	info fs.FileInfo
	err  error
	sub  *branch // of a directory
}

func (e *entry) fetch()                     { e.info, e.err = e.DirEntry.Info() }
func (e *entry) Info() (fs.FileInfo, error) { return e.info, e.err }
func (e *entry) String() string             { return fs.FormatDirEntry(e) }

// visit calls fn for path and what is below it. b is its branch if it is a directory.
func (w *walk) visit(path string, d fs.DirEntry, b *branch) error {
	if err := w.cause(path); err != nil {
		return err
	}
	if err := w.fn(path, d, nil); err != nil || !d.IsDir() {
		w.skip(b)
		if err == fs.SkipDir && d.IsDir() {
			return nil
		}
		return err
	}
	entries, err := w.contents(b)
	defer func() {
		for i := range entries {
			w.skip(entries[i].sub) // what has not been visited
		}
	}()
	if err != nil {
		if err := w.cause(path); err != nil {
			return err
		}
		if err := w.fn(path, d, err); err == fs.SkipDir {
			return nil
		} else if err != nil {
			return err
		}
	}
	for i := range entries {
		e := &entries[i]
		sub := e.sub
		e.sub = nil // it need not be kept any longer
		if err := w.visit(filepath.Join(path, e.Name()), e, sub); err == fs.SkipDir {
			break
		} else if err != nil {
			return err
		}
	}
	return nil
}

// cause returns the error of a walk whose context has ended.
func (w *walk) cause(path string) error {
	if err := ctxerr.Of(w.ctx); err != nil {
		return &fs.PathError{Op: "walk", Path: path, Err: err}
	}
	return nil
}

// contents returns the entries of b, which it waits for or reads itself; the end of ctx ends either.
func (w *walk) contents(b *branch) ([]entry, error) {
	w.mu.Lock()
	begun := b.begun
	b.begun = true
	w.mu.Unlock()
	if !begun {
		w.read(b)
	}
	<-b.done
	w.mu.Lock()
	w.ahead -= len(b.entries)
	w.hire()
	w.mu.Unlock()
	return b.entries, b.err
}

// skip drops b and everything below it, because it will not be visited. b may be nil.
func (w *walk) skip(b *branch) {
	if b != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.forget(b)
	}
}

// forget is skip with mu held.
func (w *walk) forget(b *branch) {
	if b.place != nil { // whoever is reading it will find out
		w.order.Remove(b.place)
		b.place = nil
		return
	}
	w.ahead -= len(b.entries)
	for i := range b.entries {
		if sub := b.entries[i].sub; sub != nil {
			w.forget(sub)
		}
	}
}

// read reads a directory that has been started.
func (w *walk) read(b *branch) {
	b.listing = w.list(b.path)
	for i := range b.entries {
		if e := &b.entries[i]; e.IsDir() {
			e.sub = newBranch(filepath.Join(b.path, e.Name()))
		}
	}
	w.mu.Lock()
	if b.waited { // then many readers are worth their while: they wait, and not for one another
		w.limit = walkReaders
	}
	if b.place != nil {
		w.ahead += len(b.entries)
		for i := range b.entries {
			if sub := b.entries[i].sub; sub != nil {
				sub.place = w.order.InsertBefore(sub, b.place)
			}
		}
		w.order.Remove(b.place)
		b.place = nil
		w.hire()
	}
	w.mu.Unlock()
	close(b.done)
}

// hire starts readers while there is work for more of them. mu is held.
func (w *walk) hire() {
	for b := w.next(); b != nil; b = w.next() {
		w.wg.Go(func() { w.run(b) })
	}
}

// next starts on the directory that will be visited first, for one more reader; nil if there is none.
// mu is held.
func (w *walk) next() *branch {
	if w.ended || w.readers >= w.limit || w.ahead >= walkAhead {
		return nil
	}
	for place := w.order.Front(); place != nil; place = place.Next() {
		if b := place.Value.(*branch); !b.begun {
			b.begun = true
			w.readers++
			return b
		}
	}
	return nil
}

// run is a reader: it reads b, and directories further ahead until there is nothing to do.
func (w *walk) run(b *branch) {
	for b != nil {
		w.read(b)
		w.mu.Lock()
		w.readers--
		b = w.next()
		w.mu.Unlock()
	}
}

// end ends the walk and waits for the readers, which do not wait for calls once their context has
// ended.
func (w *walk) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.leave()
	w.wg.Wait()
}

// list reads a directory and fetches the Info of its entries: one by one and, once that is slow, by
// several concurrent calls.
func (w *walk) list(path string) listing {
	l, err := call(w.ctx, w.on, target{op: "open", name: path}, func() (l listing, _ error) {
		start := time.Now()
		found, err := os.ReadDir(path)
		l.entries, l.err = make([]entry, len(found)), err
		for i, d := range found {
			l.entries[i].DirEntry = d
		}
		took := time.Since(start)
		for l.fetched < len(found) && took <= slowRead+time.Duration(l.fetched)*slowStat {
			l.entries[l.fetched].fetch()
			if l.fetched++; l.fetched%8 == 0 || l.fetched == len(found) {
				took = time.Since(start)
			}
		}
		l.waited = took > waitingRead+time.Duration(l.fetched)*waitingStat
		return l, nil
	}, nil)
	if err != nil {
		return listing{err: err}
	}
	var calls errgroup.Group
	calls.SetLimit(statCalls)
	for i := l.fetched; i < len(l.entries) && w.ctx.Err() == nil; i++ {
		calls.Go(func() error {
			return do(w.ctx, w.on, target{op: "lstat", name: path}, func() error {
				l.entries[i].fetch()
				return nil
			})
		})
	}
	if err := calls.Wait(); err != nil {
		return listing{err: err} // not the entries, which those that were left behind may still write to
	}
	return l
}
