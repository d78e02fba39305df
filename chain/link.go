package chain

import (
	"context"

	"github.com/ringfile/ringfile"
)

type opcode uint8

const (
	opRead opcode = iota
	opWrite
	opReadv
	opWritev
	opSync
	opDatasync
)

func (op opcode) reads() bool  { return op == opRead || op == opReadv }
func (op opcode) writes() bool { return op == opWrite || op == opWritev }
func (op opcode) moves() bool  { return op.reads() || op.writes() }

// name is what os calls the operation.
func (op opcode) name() string {
	switch {
	case op.reads():
		return "read"
	case op.writes():
		return "write"
	}
	return "sync"
}

// want returns how many bytes are to be moved in all.
func (l *link) want() int {
	n := len(l.buf)
	for _, p := range l.vec {
		n += len(p)
	}
	return n
}

// rest returns what is left of the vector.
func (l *link) rest() [][]byte {
	skip := l.n
	for i, p := range l.vec {
		if skip == 0 {
			return l.vec[i:]
		}
		if skip < len(p) {
			return append([][]byte{p[skip:]}, l.vec[i+1:]...)
		}
		skip -= len(p)
	}
	return nil
}

// call carries out what is left of l as a method of File does. With a context that cannot end, the
// methods with a context are the plain ones.
func (l *link) call(ctx context.Context) {
	n, off := 0, l.off+int64(l.n)
	switch l.op {
	case opRead:
		n, l.err = l.file.ReadAtContext(ctx, l.buf[l.n:], off)
	case opWrite:
		n, l.err = l.file.WriteAtContext(ctx, l.buf[l.n:], off)
	case opReadv:
		n, l.err = l.file.ReadvAtContext(ctx, l.rest(), off)
	case opWritev:
		n, l.err = l.file.WritevAtContext(ctx, l.rest(), off)
	case opSync:
		l.err = l.file.SyncContext(ctx)
	case opDatasync:
		l.err = l.file.DatasyncContext(ctx)
	}
	l.n += n
}

// ended is a context that has ended.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// isOpen reports whether an engine is open, at no cost: with an ended context a call is not carried
// out, and the error tells a closed engine.
func isOpen(e *ringfile.Engine) bool {
	return e.Call(ended, "", nil) != ringfile.ErrEngineClosed
}
