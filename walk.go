package ringfile

import (
	"container/heap"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	walkReaders = 32       // directories being read at a time, once reading them has to wait
	walkAhead   = 16 << 10 // entries read and not visited yet, from where on no more are read ahead
)

// WalkDir is FileSystem.WalkDir on the default engine.
func WalkDir(root string, fn fs.WalkDirFunc) error { return FileSystem{}.WalkDir(root, fn) }

// WalkDir calls fn, in this goroutine, for each file and directory in the tree below root, root
// included: with the same arguments, in the same lexical order and with the same rules for errors,
// fs.SkipDir and fs.SkipAll as filepath.WalkDir. But it reads directories ahead of fn, several at a
// time, and describes what is in them, so that the Info method of an entry returns at once. What
// fn sees of a directory is therefore as it was some time before, up to 16,384 entries ago, and
// directories that fn skips may have been read. SameFile knows what Info returns, os.SameFile does
// not. When the context ends, WalkDir returns its cause without waiting for what is being read.
func (s FileSystem) WalkDir(root string, fn fs.WalkDirFunc) error {
	info, err := s.Lstat(root)
	if err != nil {
		if s.ctx != nil && s.ctx.Err() != nil {
			return &fs.PathError{Op: "walk", Path: root, Err: context.Cause(s.ctx)}
		}
		err = fn(root, nil, err)
	} else if e, err1 := s.admit(&call{word: "walk", name: root}); err1 != nil {
		err = err1
	} else {
		w := &walk{calls: s, engine: e, fn: fn, limit: runtime.GOMAXPROCS(0) - 1}
		defer w.end()
		err = w.visit(root, fs.FileInfoToDirEntry(info), newBranch(root))
	}
	if err == fs.SkipDir || err == fs.SkipAll {
		return nil
	}
	return err
}

// walk is one call of WalkDir: the caller, who visits the tree in order, and the readers, who run
// ahead of it and begin with what it will visit next. Readers never wait for the caller, and the
// caller reads what it needs itself if nobody has begun with that, so they cannot lock each other
// out.
type walk struct {
	calls  FileSystem
	engine *Engine
	fn     fs.WalkDirFunc
	wg     sync.WaitGroup // the readers

	mu      sync.Mutex
	pending branches // known and not begun, but for those that the caller has begun or skipped
	readers int
	limit   int // of readers
	ahead   int // entries read and not visited
	ended   bool
}

// branch is a directory of the tree.
type branch struct {
	path string
	done chan struct{} // closed when it has been read: entries and err are there

	entries []walkEntry
	err     error

	begun, read, skipped bool // guarded by walk.mu
}

func newBranch(path string) *branch { return &branch{path: path, done: make(chan struct{})} }

// walkEntry is an entry of a directory with what Info returns.
type walkEntry struct {
	fs.DirEntry
	info fs.FileInfo
	err  error
	sub  *branch // of a directory
}

func (e *walkEntry) Info() (fs.FileInfo, error) { return e.info, e.err }
func (e *walkEntry) String() string             { return fs.FormatDirEntry(e) }

// visit calls fn for path and what is below it. b is its branch if it is a directory.
func (w *walk) visit(path string, d fs.DirEntry, b *branch) error {
	if err := w.cause(path); err != nil {
		return err
	}
	if err := w.fn(path, d, nil); err != nil || !d.IsDir() {
		w.skip(b)
		return notSkipped(err, d)
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
		if err := w.fn(path, d, err); err != nil {
			return notSkipped(err, d)
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

// notSkipped returns what becomes of err, from fn, for d.
func notSkipped(err error, d fs.DirEntry) error {
	if err == fs.SkipDir && d.IsDir() {
		return nil
	}
	return err
}

// cause returns the error of a walk whose context has ended.
func (w *walk) cause(path string) error {
	if w.calls.ctx == nil {
		return nil
	}
	if err := context.Cause(w.calls.ctx); err != nil {
		return &fs.PathError{Op: "walk", Path: path, Err: err}
	}
	return nil
}

// contents returns what is in b, which it waits for or reads itself.
func (w *walk) contents(b *branch) ([]walkEntry, error) {
	w.mu.Lock()
	begun := b.begun
	b.begun = true
	if !begun && w.calls.ctx != nil {
		w.wg.Go(func() { w.read(b) }) // so that the caller can leave
	}
	w.mu.Unlock()
	if w.calls.ctx == nil {
		if !begun {
			w.read(b)
		}
		<-b.done
	} else {
		select {
		case <-b.done:
		case <-w.calls.ctx.Done():
			return nil, w.cause(b.path)
		}
	}
	w.mu.Lock()
	w.ahead -= len(b.entries)
	w.hire()
	w.mu.Unlock()
	return b.entries, b.err
}

// skip forgets b and what is below it, as it will not be visited. A nil b is none.
func (w *walk) skip(b *branch) {
	if b == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(b)
}

// forget is skip with mu held.
func (w *walk) forget(b *branch) {
	b.begun, b.skipped = true, true
	if !b.read {
		return // whoever is reading it will find out
	}
	w.ahead -= len(b.entries)
	for i := range b.entries {
		if sub := b.entries[i].sub; sub != nil {
			w.forget(sub)
		}
	}
}

// read reads a directory that has been begun.
func (w *walk) read(b *branch) {
	start := time.Now()
	b.entries, b.err = w.list(b.path)
	for i := range b.entries {
		if e := &b.entries[i]; e.IsDir() {
			e.sub = newBranch(filepath.Join(b.path, e.Name()))
		}
	}
	took := time.Since(start)
	w.mu.Lock()
	if took > waitingRead+time.Duration(len(b.entries))*waitingStat {
		w.limit = walkReaders
	}
	b.read = true
	if !b.skipped {
		w.ahead += len(b.entries)
		for i := range b.entries {
			if sub := b.entries[i].sub; sub != nil {
				heap.Push(&w.pending, sub)
			}
		}
		w.hire()
	}
	w.mu.Unlock()
	close(b.done)
}

// A directory whose reading takes longer than this has not been in memory, as a rule. Then many
// readers are worth their while; they wait, and not for one another.
const (
	waitingRead = 200 * time.Microsecond
	waitingStat = 5 * time.Microsecond // for each entry
)

// hire starts readers if there is work for more. mu is held.
func (w *walk) hire() {
	for n := len(w.pending); n > 0 && w.mayRead(); n-- {
		w.readers++
		w.wg.Go(w.reader)
	}
}

// mayRead reports whether there may be one more reader. mu is held.
func (w *walk) mayRead() bool {
	return !w.ended && w.readers < w.limit && w.ahead < walkAhead
}

// reader reads directories ahead until there is nothing to do.
func (w *walk) reader() {
	for {
		w.mu.Lock()
		w.readers--
		b := w.next()
		if b == nil {
			w.mu.Unlock()
			return
		}
		w.readers++
		w.mu.Unlock()
		w.read(b)
	}
}

// next begins with the directory that the caller will visit first. mu is held.
func (w *walk) next() *branch {
	for w.mayRead() && len(w.pending) > 0 {
		b := heap.Pop(&w.pending).(*branch)
		if !b.begun {
			b.begun = true
			return b
		}
	}
	return nil
}

// end ends the walk. It waits for the readers unless the context has ended.
func (w *walk) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	if w.cause("") == nil {
		w.wg.Wait()
	}
}

// branches is a heap of directories by the order in which they are visited.
type branches []*branch

func (h branches) Len() int           { return len(h) }
func (h branches) Less(i, j int) bool { return visitedBefore(h[i].path, h[j].path) }
func (h branches) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *branches) Push(b any)        { *h = append(*h, b.(*branch)) }
func (h *branches) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return b
}

// visitedBefore reports whether a walk visits a before b: what is in a directory comes before the
// directory's next sibling, however that is called.
func visitedBefore(a, b string) bool {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return os.IsPathSeparator(a[i]) || !os.IsPathSeparator(b[i]) && a[i] < b[i]
		}
	}
	return len(a) < len(b)
}

// sorted returns entries in the order of a walk, without Info.
func sorted(entries []fs.DirEntry) []walkEntry {
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	all := make([]walkEntry, len(entries))
	for i, d := range entries {
		all[i].DirEntry = d
	}
	return all
}
