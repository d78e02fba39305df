package ringfile

import (
	"bytes"
	"io"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile/internal/testutil"
)

const (
	faultSize = 4096 // bytes of a transfer
	faultPart = 512  // of a short one, and of each buffer of a vector
	faultOff  = 8192
)

// transferCase is a way to move faultSize bytes at faultOff, where the position is, too.
type transferCase struct {
	name   string
	writes bool
	once   bool // content with a part
	moves  bool // uses the position, and moves it
	call   func(t *testing.T, f *File, p []byte) (int, error)
}

var transferCases = []transferCase{
	{name: "ReadAt", call: func(t *testing.T, f *File, p []byte) (int, error) { return f.ReadAt(p, faultOff) }},
	{name: "ReadvAt", call: func(t *testing.T, f *File, p []byte) (int, error) { return f.ReadvAt(parts(p), faultOff) }},
	{name: "ReadAtContext", call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.ReadAtContext(t.Context(), p, faultOff)
	}},
	{name: "ReadvAtContext", call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.ReadvAtContext(t.Context(), parts(p), faultOff)
	}},
	{name: "StartReadAt", call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.StartReadAt(p, faultOff).Await()
	}},
	{name: "StartReadvAt", call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.StartReadvAt(parts(p), faultOff).AwaitContext(t.Context())
	}},
	{name: "Read", once: true, moves: true, call: func(t *testing.T, f *File, p []byte) (int, error) { return f.Read(p) }},
	{name: "ReadContext", once: true, moves: true, call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.ReadContext(t.Context(), p)
	}},
	{name: "WriteAt", writes: true, call: func(t *testing.T, f *File, p []byte) (int, error) { return f.WriteAt(p, faultOff) }},
	{name: "WritevAt", writes: true, call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.WritevAt(parts(p), faultOff)
	}},
	{name: "WriteAtContext", writes: true, call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.WriteAtContext(t.Context(), p, faultOff)
	}},
	{name: "StartWriteAt", writes: true, call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.StartWriteAt(p, faultOff).Await()
	}},
	{name: "StartWritevAt", writes: true, call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.StartWritevAt(parts(p), faultOff).Await()
	}},
	{name: "Write", writes: true, moves: true, call: func(t *testing.T, f *File, p []byte) (int, error) { return f.Write(p) }},
	{name: "WriteContext", writes: true, moves: true, call: func(t *testing.T, f *File, p []byte) (int, error) {
		return f.WriteContext(t.Context(), p)
	}},
}

// parts splits p into buffers of faultPart bytes.
func parts(p []byte) [][]byte { return slices.Collect(slices.Chunk(p, faultPart)) }

// fault is what the kernel answers, one answer after the other, before all goes well, and what has to
// come of it.
type fault struct {
	name     string
	answers  []answer
	n        int           // bytes that the caller must be told of, -1 for all
	errno    syscall.Errno // the error, if it is one of the kernel
	ends     bool          // the error is the one for a transfer that ended early
	blocking bool          // a system call has to finish it
	restarts uint64        // submissions beyond the first
}

func transferFaults() []fault {
	part := moves(faultPart)
	var faults []fault
	for _, errno := range []syscall.Errno{syscall.EINTR, syscall.EAGAIN, syscall.ECANCELED, syscall.EFAULT} {
		e := errno.Error()
		faults = append(faults,
			fault{name: e + " once", answers: times(1, fails(errno)), n: -1, restarts: 1},
			fault{name: e + " 8 times", answers: times(8, fails(errno)), n: -1, restarts: 8},
			fault{name: e + " 9 times", answers: times(9, fails(errno)), n: -1, restarts: 8, blocking: true},
			fault{name: "short, then " + e, answers: append(times(1, part), fails(errno)), n: -1, restarts: 2},
			fault{name: "short, then " + e + " 9 times", answers: append(times(1, part), times(9, fails(errno))...),
				n: -1, restarts: 9, blocking: true},
			fault{name: e + " and short by turns", answers: []answer{fails(errno), part, fails(errno), part, fails(errno)},
				n: -1, restarts: 5})
	}
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOMEM} {
		e := errno.Error()
		faults = append(faults,
			fault{name: e, answers: times(1, fails(errno)), errno: errno},
			fault{name: "short, then " + e, answers: append(times(1, part), fails(errno)), n: faultPart, errno: errno, restarts: 1},
			fault{name: "3 times short, then " + e, answers: append(times(3, part), fails(errno)), n: 3 * faultPart, errno: errno, restarts: 3},
			fault{name: "EAGAIN, short, then " + e, answers: []answer{fails(syscall.EAGAIN), part, fails(errno)}, n: faultPart, errno: errno, restarts: 2})
	}
	for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.EINVAL, syscall.ENOSYS, syscall.EBADF} {
		e := errno.Error()
		faults = append(faults,
			fault{name: e, answers: times(1, fails(errno)), n: -1, blocking: true},
			fault{name: "short, then " + e, answers: append(times(1, part), fails(errno)), n: -1, restarts: 1, blocking: true})
	}
	return append(faults,
		fault{name: "nothing", n: -1},
		fault{name: "short", answers: times(1, part), n: -1, restarts: 1},
		fault{name: "all in parts", answers: times(8, part), n: -1, restarts: 7},
		fault{name: "zero", answers: times(1, claims(0)), ends: true},
		fault{name: "short, then zero", answers: append(times(1, part), claims(0)), n: faultPart, ends: true, restarts: 1},
		fault{name: "more than asked", answers: times(1, claims(faultSize+1)), errno: syscall.EIO},
		fault{name: "very much more than asked", answers: times(1, claims(1<<31-1)), errno: syscall.EIO},
		fault{name: "short, then more than is left", answers: append(times(1, part), claims(faultSize)), n: faultPart, errno: syscall.EIO, restarts: 1})
}

// want returns what a call of c has to come to under f.
func (c *transferCase) want(f fault) fault {
	if i := slices.IndexFunc(f.answers, func(a answer) bool { return !a.claims }); c.once && i >= 0 {
		return fault{name: f.name, answers: f.answers, n: faultPart, restarts: uint64(i)}
	}
	if f.n < 0 {
		f.n = faultSize
	}
	return f
}

// TestInjectedTransfers has completions of every kind answer every kind of transfer, with a part of
// the data moved already: the count, the error, the data and the position are right, and counted.
func TestInjectedTransfers(t *testing.T) {
	for _, c := range transferCases {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range transferFaults() {
				t.Run(f.name, func(t *testing.T) { injectTransfer(t, c, c.want(f)) })
			}
		})
	}
}

func injectTransfer(t *testing.T, c transferCase, want fault) {
	e, k := fakeEngine(t)
	f := fakeFile(t, e)
	if _, err := f.Seek(faultOff, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, faultSize)
	if c.writes {
		testutil.Pattern(buf, 12345)
	}
	k.set(func() { k.script = slices.Clone(want.answers) })
	n, err := c.call(t, f, buf)
	op := "read"
	if c.writes {
		op = "write"
	}
	if n != want.n {
		t.Errorf("n = %d, want %d (%v)", n, want.n, err)
	}
	checkTransferError(t, err, want, op, f.Name())

	if c.writes {
		after, err := os.ReadFile(f.Name())
		copy(before[faultOff:], buf[:want.n])
		if err != nil || !bytes.Equal(after, before) {
			t.Errorf("the file is not as it should be after %d bytes (%v)", want.n, err)
		}
	} else if at := testutil.CheckPattern(buf[:want.n], faultOff); at >= 0 {
		t.Errorf("wrong byte at %d", at)
	}
	pos := int64(faultOff)
	if c.moves {
		pos += int64(want.n)
	}
	if got, err := f.Seek(0, io.SeekCurrent); got != pos || err != nil {
		t.Errorf("position %d, want %d (%v)", got, pos, err)
	}
	checkInjected(t, e, want)
}

// checkTransferError checks the error that a transfer has returned.
func checkTransferError(t *testing.T, err error, want fault, op, name string) {
	t.Helper()
	var wanted error
	switch {
	case want.errno != 0:
		wanted = &os.PathError{Op: op, Path: name, Err: want.errno}
	case want.ends && op == "read":
		wanted = io.EOF
	case want.ends:
		wanted = &os.PathError{Op: op, Path: name, Err: io.ErrUnexpectedEOF}
	}
	if !reflect.DeepEqual(err, wanted) {
		t.Errorf("error %v, want %v", err, wanted)
	}
}

// checkInjected checks what one operation was counted as.
func checkInjected(t *testing.T, e *Engine, want fault) {
	t.Helper()
	var blocking uint64
	if want.blocking {
		blocking = 1
	}
	s := e.Stats()
	if s.Ring != 1 || s.Blocking != blocking || s.Restarts != want.restarts || s.Unknown != 0 || s.Broken != 0 {
		t.Errorf("stats: %+v, want 1 on the ring, %d blocking, %d restarts", s, blocking, want.restarts)
	}
}

// TestInjectedControls has completions of every kind answer what moves no data.
func TestInjectedControls(t *testing.T) {
	for _, c := range []struct {
		name, op string
		call     func(f *File) error
	}{
		{"Allocate", "allocate", func(f *File) error { return f.Allocate(0, 4096, 0) }},
		{"Advise", "advise", func(f *File) error { return f.Advise(0, 4096, AdviceWillNeed) }},
	} {
		var faults []fault
		for _, errno := range []syscall.Errno{syscall.EINTR, syscall.EAGAIN, syscall.ECANCELED, syscall.EFAULT} {
			faults = append(faults,
				fault{name: errno.Error() + " once", answers: times(1, fails(errno)), restarts: 1},
				fault{name: errno.Error() + " 9 times", answers: times(9, fails(errno)), restarts: 8, blocking: true})
		}
		for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.EINVAL, syscall.ENOSYS, syscall.EBADF} {
			faults = append(faults, fault{name: errno.Error(), answers: times(1, fails(errno)), blocking: true})
		}
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOMEM} {
			faults = append(faults, fault{name: errno.Error(), answers: times(1, fails(errno)), errno: errno})
		}
		faults = append(faults, fault{name: "nothing"}, fault{name: "a number", answers: times(1, claims(7))})
		for _, want := range faults {
			t.Run(c.name+"/"+want.name, func(t *testing.T) {
				e, k := fakeEngine(t)
				f := fakeFile(t, e)
				k.set(func() { k.script = slices.Clone(want.answers) })
				checkTransferError(t, c.call(f), want, c.op, f.Name())
				checkInjected(t, e, want)
			})
		}
	}
}
