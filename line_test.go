package ringfile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// hangingWrite has a write to f, which its caller has left, hold up those behind it in the line, until release
// is called.
func hangingWrite(t *testing.T, f *File) (release func()) {
	t.Helper()
	f.t.position.Lock(nil, nil) // the write needs it
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := f.WriteContext(ctx, []byte("head"))
		left <- err
	}()
	eventually(func() bool { return f.t.dev.calls.Running() == 1 })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("WriteContext: %v", err)
	}
	return f.t.position.Unlock
}

// lines returns how many goroutines serve lines.
func lines() int { return stacksWith(".(*line).serve(") }

// TestLineGivenUp has writes wait behind one that hangs: each can be given up, in each way, at once.
func TestLineGivenUp(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(f *File, future *Future[int])
		want error
	}{
		{"Cancel", func(f *File, future *Future[int]) { future.Cancel() }, context.Canceled},
		{"deadline", func(f *File, future *Future[int]) { f.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"deadline that passes", func(f *File, future *Future[int]) { f.SetWriteDeadline(time.Now().Add(time.Millisecond)) }, os.ErrDeadlineExceeded},
		{"Close", func(f *File, future *Future[int]) { f.Close() }, fs.ErrClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
				f, err := e.OpenFile(testutil.PatternFile(t, 64<<10), os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				f.SetWriteDeadline(time.Now().Add(time.Hour))
				release := hangingWrite(t, f)
				future, other := f.StartWriteAt([]byte("future"), 8192), f.StartWriteAt([]byte("other"), 4096)
				vector := f.StartWritevAt([][]byte{[]byte("vec"), []byte("tor")}, 8192)
				done := make(chan error)
				go func() {
					_, err := f.WriteAtContext(t.Context(), []byte("context"), 8192)
					done <- err
				}()
				eventually(func() bool {
					f.t.line.mu.Lock()
					defer f.t.line.mu.Unlock()
					return f.t.line.waiting.n == 4
				})
				c.end(f, future)
				if n, err := future.Await(); n != 0 || !errors.Is(err, c.want) {
					t.Errorf("the future: %d, %v, want %v", n, err, c.want)
				}
				want := c.want
				if c.name != "Cancel" {
					if _, err := vector.Await(); !errors.Is(err, want) {
						t.Errorf("the vector: %v, want %v", err, want)
					}
					if _, err := other.Await(); !errors.Is(err, want) {
						t.Errorf("the other one: %v, want %v", err, want)
					}
					if err := <-done; !errors.Is(err, want) {
						t.Errorf("WriteAtContext: %v, want %v", err, want)
					}
				}
				release()
				if c.name == "Cancel" {
					if n, err := vector.Await(); n != 6 || err != nil {
						t.Errorf("the vector: %d, %v", n, err)
					}
					if n, err := other.Await(); n != 5 || err != nil {
						t.Errorf("the other one: %d, %v", n, err)
					}
					if err := <-done; err != nil {
						t.Errorf("WriteAtContext: %v", err)
					}
					data, err := os.ReadFile(f.Name())
					if err != nil || !bytes.HasPrefix(data[4096:], []byte("other")) || !bytes.HasPrefix(data[8192:], []byte("context")) {
						t.Errorf("%.8q and %.8q are in the file (%v)", data[4096:], data[8192:], err)
					}
				}
				eventually(func() bool { return lines() == 0 && f.t.dev.calls.Present() == 0 && !f.t.left.any() })
			})
		})
	}
}

// TestLineOrder writes to the same place, again and again, without waiting: the last one stays, and one
// goroutine does it.
func TestLineOrder(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 64<<10), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		release := hangingWrite(t, f)
		var all []*Future[int]
		for i := range 300 {
			all = append(all, f.StartWriteAt(bytes.Repeat([]byte{byte(i)}, 100+i), 4096))
		}
		if n := lines(); n != 1 {
			t.Errorf("%d goroutines serve a line, want one", n)
		}
		release()
		for i, future := range all {
			if n, err := future.Await(); n != 100+i || err != nil {
				t.Errorf("future %d: %d, %v", i, n, err)
			}
		}
		buf := make([]byte, 400)
		if _, err := f.ReadAt(buf, 4096); err != nil {
			t.Fatal(err)
		}
		if want := bytes.Repeat([]byte{299 & 255}, 399); !bytes.Equal(buf[:399], want) {
			t.Error("it is not the last write that is in the file")
		}
		eventually(func() bool { return lines() == 0 })
	})
}

// lateWrite has been given up on its way into the line.
type lateWrite struct {
	request
	gaveUp, written int
}

func (w *lateWrite) complete(*request) {}
func (w *lateWrite) over() cause       { return byCaller }
func (w *lateWrite) giveUp(why cause) {
	if why == byCaller {
		w.gaveUp++
	}
}
func (w *lateWrite) writeBlocking() { w.written++ }

// TestLineGivenUpBefore pushes a write that was given up by somebody who did not find it in the line.
func TestLineGivenUpBefore(t *testing.T) {
	var l line
	w := new(lateWrite)
	l.push(&w.request, w)
	if w.gaveUp != 1 || l.waiting.n != 0 {
		t.Errorf("given up %d times, %d wait, want once and none", w.gaveUp, l.waiting.n)
	}
	eventually(func() bool { return lines() == 0 })
	if w.written != 0 {
		t.Error("what was given up is written")
	}
}

// TestLineLate pushes writes that have been given up before they got there.
func TestLineLate(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 64<<10), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 500 {
			f.SetWriteDeadline(time.Now().Add(time.Duration(i%50) * time.Microsecond))
			future := f.StartWriteAt([]byte("x"), 0)
			go future.Cancel()
			if n, err := future.Await(); err == nil && n != 1 || err != nil &&
				!errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%d, %v", n, err)
			}
		}
		f.SetWriteDeadline(time.Time{})
		closed := make(chan error)
		go func() { closed <- f.Close() }()
		for range 100 {
			if n, err := f.StartWriteAt([]byte("x"), 0).Await(); err == nil && n != 1 || err != nil && !errors.Is(err, fs.ErrClosed) {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		eventually(func() bool { return f.t.uses.Load() == closedBit })
	})
}
