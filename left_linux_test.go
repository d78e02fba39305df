package ringfile

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// TestLeftWrites gives up a write that the kernel does not let go of: a newer write to the same place waits
// until it is finished, whatever its form, and others do not.
func TestLeftWrites(t *testing.T) {
	e, k := fakeEngine(t)
	f, other := fakeFile(t, e), fakeFile(t, e)
	fill := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	k.set(func() {
		k.deaf = true
		k.hold = func(e *uring.SQE) bool { return int(e.FD) == f.t.FD && e.Opcode == uring.OpWrite && e.Off == 4096 }
	})
	onTime(t, "the write that is given up", context.DeadlineExceeded, func(ctx context.Context) error {
		n, err := f.WriteAtContext(ctx, fill('a', 2048), 4096)
		if n != 0 {
			t.Errorf("%d bytes were written", n)
		}
		return err
	})
	k.wait(1)
	if !f.t.left.any() {
		t.Error("nothing is known of the write")
	}

	for what, write := range map[string]func() error{
		"before it":         func() error { _, err := f.WriteAt(fill('b', 1024), 3072); return err },
		"behind it":         func() error { _, err := f.StartWriteAt(fill('b', 1024), 6144).Await(); return err },
		"behind, a context": func() error { _, err := f.WriteAtContext(t.Context(), fill('b', 1024), 6144); return err },
		"another file":      func() error { _, err := other.WriteAt(fill('b', 2048), 4096); return err },
		"a hole before it":  func() error { return f.PunchHole(2048, 2048) },
		"space":             func() error { return f.Allocate(4096, 2048, 0) },
		"a read":            func() error { _, err := f.ReadAt(make([]byte, 4096), 3072); return err },
		"a batch": func() error {
			var b Batch
			b.WriteAt(f, fill('b', 1024), 6144)
			b.ReadAt(f, make([]byte, 1024), 4096)
			return b.Run()
		},
	} {
		promptly(t, what, func() {
			if err := write(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}

	onTime(t, "WriteAtContext to the same place", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.WriteAtContext(ctx, fill('x', 1), 4096)
		return err
	})
	onTime(t, "WriteContext", context.DeadlineExceeded, func(ctx context.Context) error {
		_, err := f.WriteContext(ctx, fill('x', 1))
		return err
	})
	f.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	onTime(t, "WriteAt with a deadline", os.ErrDeadlineExceeded, func(context.Context) error {
		_, err := f.WriteAt(fill('x', 1), 6143)
		return err
	})
	onTime(t, "StartWriteAt with a deadline", os.ErrDeadlineExceeded, func(context.Context) error {
		_, err := f.StartWriteAt(fill('x', 1), 6143).Await()
		return err
	})
	f.SetWriteDeadline(time.Time{})

	waiting := map[string]func() error{
		"WriteAt":      func() error { _, err := f.WriteAt(fill('c', 256), 4096); return err },
		"PunchHole":    func() error { return f.PunchHole(4096+256, 256) },
		"StartWriteAt": func() error { _, err := f.StartWriteAt(fill('c', 512), 4096+512).Await(); return err },
		"WritevAt":     func() error { _, err := f.WritevAt([][]byte{fill('c', 256), fill('c', 256)}, 4096+1024); return err },
		"Batch": func() error {
			var b Batch
			b.WriteAt(f, fill('c', 512), 4096+1536)
			return b.Run()
		},
	}
	done := make(chan error)
	for what, write := range waiting {
		go func() {
			if err := write(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			done <- nil
		}()
	}
	select {
	case <-done:
		t.Fatal("a newer write overtakes the one that was given up")
	case <-time.After(50 * time.Millisecond):
	}
	k.set(func() { k.hold = nil })
	k.finish(func(int) int { return 0 })
	for range waiting {
		<-done
	}
	eventually(func() bool { return !f.t.left.any() })
	data, err := os.ReadFile(f.Name())
	want := fill('c', 2048)
	clear(want[256:512])
	if err != nil || !bytes.Equal(data[4096:6144], want) {
		t.Errorf("the newer writes are not in the file: %.20q... (%v)", data[4096:6144], err)
	}
}

// TestLeftWritesWake has several wait for writes that were given up, of which they do not all concern them,
// and some give up.
func TestLeftWritesWake(t *testing.T) {
	var l leftWrites
	desc := new(descriptor)
	op := func(off int64) *operation {
		return &operation{code: opWrite, desc: desc, buf: make([]byte, 10), off: off}
	}
	low, high := placeOf(op(0), false), placeOf(op(100), false)
	low.of, high.of = new(request), new(request)
	l.add(&low)
	l.add(&high)
	waits := func(off int64, u until) chan bool {
		got := make(chan bool, 1)
		go func() { got <- l.wait(op(off), u, nil) }()
		return got
	}
	registered := func(n int) {
		eventually(func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.wake) == n
		})
	}
	if !<-waits(10, until{}) {
		t.Error("a write between them is held back")
	}
	stop := make(chan struct{})
	first, second, third := waits(9, until{}), waits(109, until{}), waits(5, until{ctx: t.Context(), stop: stop})
	registered(3)
	close(stop)
	if <-third {
		t.Error("one that gave up is told to go on")
	}
	registered(2)
	l.remove(&low)
	if !<-first {
		t.Error("one that does not give up")
	}
	registered(1) // the other has looked, and waits again
	select {
	case <-second:
		t.Error("goes on, though its place is taken")
	default:
	}
	anywhere := waits(offCurrent, until{})
	registered(2)
	l.remove(&high)
	<-second
	<-anywhere
	if l.any() || len(l.all) != 0 || len(l.wake) != 0 {
		t.Errorf("left: %v, %d waiting", l.all, len(l.wake))
	}
}

// TestLeftWriteFails gives up a write that fails later, or is cancelled: the newer one does not wait for ever.
func TestLeftWriteFails(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		e, k := fakeEngine(t)
		f := fakeFile(t, e)
		k.set(func() { k.hold, k.deaf = always, deaf })
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := f.WriteAtContext(ctx, make([]byte, 512), 0)
			left <- err
		}()
		k.wait(1)
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("WriteAtContext: %v", err)
		}
		newer := f.StartWriteAt(make([]byte, 512), 0)
		k.set(func() {
			k.hold = nil
			if deaf {
				k.script = []answer{fails(5)}
			}
		})
		k.finish(func(int) int { return 0 })
		if n, err := newer.Await(); n != 512 || err != nil {
			t.Errorf("the newer write: %d, %v", n, err)
		}
	}
}
