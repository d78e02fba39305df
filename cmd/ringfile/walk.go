package main

import (
	"context"
	"io/fs"
	"os"
)

// item is something to print a line about: a file, or an error.
type item struct {
	name  string
	kind  kind
	after <-chan struct{} // of a stream: closed when the stream before it has been read
	done  chan struct{}   // closed when sum or err is there
	sum   [32]byte
	err   error
}

// kind is how a file is read.
type kind uint8

const (
	regular kind = iota // at any offset
	block               // a block device: likewise, but its size is not in its inode
	serial              // only from its front to its end, and not beside another stream
	stdin               // the stream that the program was given
)

// walker turns the arguments of the command line into items.
type walker struct {
	ctx  context.Context
	emit func(*item) // takes an item; called by one goroutine, in the order of the output

	// skip counts an entry of a tree that is neither a directory nor a regular file.
	skip func()

	streams <-chan struct{} // done of the last stream
}

// arguments walks what is named on the command line, in its order. What is named is read whatever
// it is; symbolic links are followed.
func (w *walker) arguments(names []string) {
	for _, name := range names {
		if w.ctx.Err() != nil {
			return
		}
		if name == "-" {
			w.stream(&item{name: name, kind: stdin})
			continue
		}
		st, err := os.Stat(name)
		switch {
		case err != nil:
			w.emit(&item{name: name, err: err})
		case st.IsDir():
			w.tree(name)
		case st.Mode().IsRegular():
			w.emit(&item{name: name})
		case st.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice:
			w.emit(&item{name: name, kind: block})
		default:
			w.stream(&item{name: name, kind: serial})
		}
	}
}

// stream emits an item that waits for the stream before it: two names may mean the same pipe, and
// a writer may serve one pipe after the other.
func (w *walker) stream(it *item) {
	it.after = w.streams
	it.done = make(chan struct{})
	w.streams = it.done
	w.emit(it)
}

// tree walks the directory named dir in lexical order, as filepath.WalkDir does, except that dir
// itself may be a symbolic link.
func (w *walker) tree(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.emit(&item{name: dir, err: err})
	}
	for _, entry := range entries {
		if w.ctx.Err() != nil {
			return
		}
		switch mode := entry.Type(); {
		case mode.IsDir():
			w.tree(join(dir, entry.Name()))
		case mode.IsRegular():
			w.emit(&item{name: join(dir, entry.Name())})
		default:
			w.skip()
		}
	}
}

// measure finds out how many files and bytes there are to read, ahead of those who read them, for
// the progress bar. It reports false if that cannot be known.
func measure(ctx context.Context, names []string, add func(files, bytes int64)) bool {
	known := true
	var tree func(dir string)
	tree = func(dir string) {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if ctx.Err() != nil {
				return
			}
			if entry.IsDir() {
				tree(join(dir, entry.Name()))
			} else if entry.Type().IsRegular() {
				if st, err := entry.Info(); err == nil {
					add(1, st.Size())
				}
			}
		}
	}
	for _, name := range names {
		if name == "-" {
			known = false
			continue
		}
		st, err := os.Stat(name)
		switch {
		case err != nil:
		case st.IsDir():
			tree(name)
		case st.Mode().IsRegular():
			add(1, st.Size())
		default:
			known = false
		}
	}
	return known && ctx.Err() == nil
}
