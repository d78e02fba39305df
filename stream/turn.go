package stream

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/ctxerr"
)

// turn is the right to write a file through the page cache, which one goroutine has at a time. It
// belongs to two parties, each of which may find that the other has left: the one that asked for it,
// and the call that uses it. Whichever claims it first passes it on.
type turn struct {
	file    *ringfile.File
	line    *line
	claimed atomic.Bool
}

// line holds those that have or want the turn of one file.
type line struct {
	held  chan struct{} // has an element while somebody has the turn
	users int           // guarded by lines.mu
}

// lines holds the lines of the files that are being written through the page cache.
var lines = struct {
	mu sync.Mutex // held to look something up only
	of map[*ringfile.File]*line
}{of: make(map[*ringfile.File]*line)}

// takeTurn waits for the turn of f, or for the end of ctx, and returns its cause then.
func takeTurn(ctx context.Context, f *ringfile.File) (*turn, error) {
	lines.mu.Lock()
	l := lines.of[f]
	if l == nil {
		l = &line{held: make(chan struct{}, 1)}
		lines.of[f] = l
	}
	l.users++
	lines.mu.Unlock()

	t := &turn{file: f, line: l}
	select {
	case l.held <- struct{}{}:
		return t, nil
	case <-ctx.Done():
		t.leave()
		return nil, ctxerr.Of(ctx)
	}
}

// claim reports whether the caller is the first to claim the turn, and so the one to pass it on.
func (t *turn) claim() bool { return t.claimed.CompareAndSwap(false, true) }

// pass passes the turn on.
func (t *turn) pass() {
	<-t.line.held
	t.leave()
}

// leave leaves the line, which is removed with its last user.
func (t *turn) leave() {
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if t.line.users--; t.line.users == 0 {
		delete(lines.of, t.file)
	}
}
