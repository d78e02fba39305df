package ringfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
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
	eventually(func() bool { return served(f) })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("WriteContext: %v", err)
	}
	return f.t.position.Unlock
}

// served reports whether the first write is out of the line of f, and no other is in it.
func served(f *File) bool {
	f.t.line.mu.Lock()
	defer f.t.line.mu.Unlock()
	return f.t.line.running && f.t.line.waiting.n == 0
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

// TestLineAndPosition writes at the position with a context, large and small at the same time: large writes
// have the position from the first piece to the last, and small ones wait for it in the line, with memory of
// the engine.
func TestLineAndPosition(t *testing.T) {
	eachBackend(t, Config{Depth: minDepth}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 10), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const large, small = 2*maxLoan + 10, 100
		large1 := bytes.Repeat([]byte{'l'}, large)
		var end atomic.Bool
		var smalls atomic.Int64
		var wg sync.WaitGroup
		for range 2 * minDepth { // more than have memory of the engine at a time
			wg.Go(func() {
				for !end.Load() {
					if _, err := f.WriteContext(t.Context(), bytes.Repeat([]byte{'s'}, small)); err != nil {
						t.Error(err)
					}
					smalls.Add(1)
				}
			})
		}
		for range 5 {
			if _, err := f.WriteContext(t.Context(), large1); err != nil {
				t.Error(err)
			}
		}
		end.Store(true)
		wg.Wait()
		data, err := os.ReadFile(f.Name())
		if want := 5*large + small*int(smalls.Load()); err != nil || len(data) != want {
			t.Fatalf("%d bytes are in the file, want %d (%v)", len(data), want, err)
		}
		for len(data) > 0 {
			n := small
			if data[0] == 'l' {
				n = large
			}
			if len(data) < n || bytes.Count(data[:n], data[:1]) != n {
				t.Fatalf("%d bytes before the end, one write is torn by another", len(data))
			}
			data = data[n:]
		}
	})
}

// TestPositionLeftWaiting gives up writes that wait for the position: whoever has it does not wait for them,
// and they do not begin.
func TestPositionLeftWaiting(t *testing.T) {
	for _, flag := range []int{os.O_RDWR, os.O_RDWR | os.O_APPEND} {
		eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
			f, err := e.OpenFile(testutil.PatternFile(t, 0), flag, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.t.position.Lock(nil, nil) // as a read does that hangs
			plain, read := make(chan error), make(chan error)
			go func() {
				_, err := f.Write([]byte("plain"))
				plain <- err
			}()
			waiting := func() int { return stacksWith("limit.(*Lock).wait(") }
			eventually(func() bool { return waiting() == 1 })
			go func() {
				_, err := f.ReadContext(t.Context(), make([]byte, 1))
				read <- err
			}()
			eventually(func() bool { return waiting() == 2 })
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan error)
			go func() {
				_, err := f.WriteContext(ctx, []byte("left"))
				left <- err
			}()
			eventually(func() bool { return waiting() == 3 })
			cancel()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("WriteContext: %v", err)
			}
			f.t.position.Unlock()
			if err := <-plain; err != nil {
				t.Errorf("Write: %v", err)
			}
			if err := <-read; err != io.EOF {
				t.Errorf("ReadContext: %v", err)
			}
			eventually(func() bool { return lines() == 0 && !f.t.left.any() })
			if data, err := os.ReadFile(f.Name()); string(data) != "plain" || err != nil {
				t.Errorf("%q is in the file (%v)", data, err)
			}
		})
	}
}

// TestPositionAndCopies writes at the position while os copies to it: each byte has a place of its own.
func TestPositionAndCopies(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 0), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const size = 100 << 10
		name := testutil.PatternFile(t, size)
		var end atomic.Bool
		var written atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for !end.Load() {
					n, err := f.WriteContext(t.Context(), make([]byte, 100))
					if written.Add(int64(n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 200 {
			src, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			n, err := f.ReadFrom(src)
			if written.Add(n); n != size || err != nil {
				t.Errorf("ReadFrom: %d, %v", n, err)
			}
			src.Close()
		}
		end.Store(true)
		wg.Wait()
		if st, err := f.Stat(); err != nil || st.Size() != written.Load() {
			t.Errorf("%d bytes are in the file, %d were written (%v)", st.Size(), written.Load(), err)
		}
	})
}
