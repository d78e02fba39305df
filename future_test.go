package ringfile_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

const fileSize = 1 << 20

// files runs test on a file of Pattern, buffered and direct, on each route.
func files(t *testing.T, test func(t *testing.T, e *ringfile.Engine, f *ringfile.File)) {
	for name, direct := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDWR|direct, 0)
				if err != nil {
					t.Skipf("no O_DIRECT here: %v", err)
				}
				defer f.Close()
				test(t, e, f)
			})
		})
	}
}

func TestFutureTwice(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		buf := ringfile.AlignedBuffer(8192, 4096)
		future := f.StartReadAt(buf, fileSize-4096)
		for range 3 {
			if n, err := future.Await(); n != 4096 || err != io.EOF {
				t.Errorf("Await = %d, %v, want 4096, EOF", n, err)
			}
		}
		<-future.Done()
		future.Cancel()
		if n, err := future.AwaitContext(t.Context()); n != 4096 || err != io.EOF {
			t.Errorf("after Cancel of a finished future: %d, %v, want 4096, EOF", n, err)
		}
		if at := testutil.CheckPattern(buf[:4096], fileSize-4096); at >= 0 {
			t.Errorf("wrong byte at %d", at)
		}
	})
}

func TestFutureDone(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		buf := ringfile.AlignedBuffer(4096, 4096)
		future := f.StartReadAt(buf, 4096)
		select {
		case <-future.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("Done is not closed")
		}
		if n, err := future.Await(); n != 4096 || err != nil || testutil.CheckPattern(buf, 4096) >= 0 {
			t.Errorf("Await = %d, %v", n, err)
		}
	})
}

func TestFutureErrgroup(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(64)
		for off := int64(0); off < fileSize; off += 4096 {
			group.Go(func() error {
				buf := ringfile.AlignedBuffer(4096, 4096)
				if _, err := f.StartReadAt(buf, off).AwaitContext(ctx); err != nil {
					return err
				}
				if at := testutil.CheckPattern(buf, off); at >= 0 {
					t.Errorf("wrong byte at %d", off+int64(at))
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestFutureWritesAndSync(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		var all []*ringfile.Future[int]
		for i := range 64 {
			buf := ringfile.AlignedBuffer(4096, 4096)
			testutil.Pattern(buf, int64(i)*4096+8) // another pattern than before
			all = append(all, f.StartWriteAt(buf, int64(i)*4096))
		}
		for i, future := range all {
			if n, err := future.Await(); n != 4096 || err != nil {
				t.Fatalf("write %d: %d, %v", i, n, err)
			}
		}
		if _, err := f.StartDatasync().Await(); err != nil {
			t.Error(err)
		}
		if _, err := f.StartSync().Await(); err != nil {
			t.Error(err)
		}
		a, b := ringfile.AlignedBuffer(4096, 4096), ringfile.AlignedBuffer(8192, 4096)
		if n, err := f.StartReadvAt([][]byte{a, b}, 0).Await(); n != 3*4096 || err != nil {
			t.Fatal(n, err)
		}
		if testutil.CheckPattern(a, 8) >= 0 || testutil.CheckPattern(b, 4096+8) >= 0 {
			t.Error("wrong data after vectored read")
		}
		if n, err := f.StartWritevAt([][]byte{b, a}, 0).Await(); n != 3*4096 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := f.ReadAt(a, 0); n != 4096 || err != nil || testutil.CheckPattern(a, 4096+8) >= 0 {
			t.Error("wrong data after vectored write", n, err)
		}
	})
}

func TestFutureBadArguments(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, 4096)
		f, err := e.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.StartReadAt(nil, 0).Await(); n != 0 || err != nil {
			t.Errorf("empty read: %d, %v", n, err)
		}
		if _, err := f.StartReadAt(make([]byte, 1), -1).Await(); err == nil {
			t.Error("negative offset accepted")
		}
		if _, err := f.StartWriteAt(make([]byte, 1), 0).Await(); err == nil {
			t.Error("write to a read-only file succeeded")
		}
		f.Close()
		_, err = f.StartReadAt(make([]byte, 1), 0).Await()
		var pe *fs.PathError
		if !errors.As(err, &pe) || pe.Err != fs.ErrClosed || pe.Op != "read" || pe.Path != name {
			t.Errorf("closed file: %v", err)
		}
		<-f.StartSync().Done()
		appended, err := e.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer appended.Close()
		if _, err := appended.StartWriteAt([]byte("x"), 0).Await(); err == nil {
			t.Error("StartWriteAt on an append-only file succeeded")
		}
	})
}

// TestFutureCancel cancels at every moment: the outcome is the data or context.Canceled, never
// something else, and the buffer is left alone afterwards.
func TestFutureCancel(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		buf := ringfile.AlignedBuffer(4096, 4096)
		cancelled := 0
		for i := range 2000 {
			off := int64(i%256) * 4096
			clear(buf)
			future := f.StartReadAt(buf, off)
			for range i % 7 {
				time.Sleep(0)
			}
			future.Cancel()
			n, err := future.Await()
			switch {
			case err == nil && n == 4096:
				if at := testutil.CheckPattern(buf, off); at >= 0 {
					t.Fatalf("wrong byte at %d", off+int64(at))
				}
			case errors.Is(err, context.Canceled):
				cancelled++
			default:
				t.Fatalf("Await = %d, %v", n, err)
			}
		}
		t.Logf("%d of 2000 cancelled", cancelled)
	})
}

// pipe returns a pipe whose reading end is a File of e.
func pipe(t *testing.T, e *ringfile.Engine) (*ringfile.File, *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return e.Adopt(r), w
}

func TestPipe(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, w := pipe(t, e)
		buf := make([]byte, 10)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		var pe *fs.PathError
		if n, err := f.ReadContext(ctx, buf); n != 0 || !errors.As(err, &pe) || pe.Err != context.DeadlineExceeded {
			t.Errorf("ReadContext = %d, %v", n, err)
		}
		f.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := f.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read with deadline = %d, %v", n, err)
		}
		// A context that ends gives the user's own deadline back.
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		f.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		f.ReadContext(ctx, buf)
		cancel()
		if n, err := f.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read with the deadline of before = %d, %v", n, err)
		}
		f.SetReadDeadline(time.Time{})
		go w.Write([]byte("hello"))
		if n, err := f.Read(buf); string(buf[:n]) != "hello" || err != nil {
			t.Errorf("Read = %q, %v", buf[:n], err)
		}
		go w.Write([]byte("again"))
		if n, err := f.ReadContext(t.Context(), buf); string(buf[:n]) != "again" || err != nil {
			t.Errorf("ReadContext = %q, %v", buf[:n], err)
		}
		// There is no offset in a pipe, and nothing must be lost in finding that out.
		go w.Write([]byte("there"))
		if n, err := f.StartReadAt(buf, 0).Await(); n != 0 || err == nil {
			t.Errorf("StartReadAt = %d, %v", n, err)
		}
		if n, err := f.Read(buf); string(buf[:n]) != "there" || err != nil {
			t.Errorf("Read = %q, %v", buf[:n], err)
		}
		go func() {
			time.Sleep(20 * time.Millisecond)
			f.Close()
		}()
		if n, err := f.Read(buf); n != 0 || !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Read during Close = %d, %v", n, err)
		}
	})
}

// TestPipeContexts has several readers of one pipe share a context: each must come back.
func TestPipeContexts(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, _ := pipe(t, e)
		defer f.Close()
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			var group errgroup.Group
			for range 4 {
				group.Go(func() error {
					_, err := f.ReadContext(ctx, make([]byte, 1))
					return err
				})
			}
			if err := group.Wait(); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
	})
}

// TestCloseInterruptsCopy closes a pipe that is being copied from, and to.
func TestCloseInterruptsCopy(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, _ := pipe(t, e)
		dst, err := e.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer dst.Close()
		done := make(chan error)
		go func() {
			_, err := io.Copy(dst, f)
			done <- err
		}()
		time.Sleep(10 * time.Millisecond)
		f.Close()
		if err := <-done; !errors.Is(err, fs.ErrClosed) {
			t.Errorf("copy from a pipe that is closed: %v", err)
		}
		f, _ = pipe(t, e)
		go func() {
			_, err := f.WriteTo(io.Discard)
			done <- err
		}()
		time.Sleep(10 * time.Millisecond)
		f.Close()
		if err := <-done; !errors.Is(err, fs.ErrClosed) {
			t.Errorf("WriteTo of a pipe that is closed: %v", err)
		}
	})
}

// TestPipesLeaveDiskAlone has more readers wait for pipes than requests can be in flight.
func TestPipesLeaveDiskAlone(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		var group errgroup.Group
		var ends []*os.File
		for range 100 {
			f, w := pipe(t, e)
			ends = append(ends, w)
			group.Go(func() error {
				defer f.Close()
				_, err := f.Read(make([]byte, 1))
				return err
			})
		}
		f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDONLY|oDirect, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		buf := ringfile.AlignedBuffer(4096, 4096)
		for range 100 {
			if n, err := f.ReadAt(buf, 0); n != 4096 || err != nil {
				t.Fatal(n, err)
			}
		}
		for _, w := range ends {
			w.Write([]byte{1})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestContexts runs the context forms with a context that lives, and one that has ended.
func TestContexts(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		ctx, cancel := context.WithCancel(t.Context())
		buf := ringfile.AlignedBuffer(3<<19, 4096) // more than one piece of engine memory
		if n, err := f.ReadAtContext(ctx, buf[:fileSize], 0); n != fileSize || err != nil || testutil.CheckPattern(buf[:n], 0) >= 0 {
			t.Errorf("ReadAtContext = %d, %v", n, err)
		}
		if n, err := f.ReadAtContext(ctx, buf, 0); n != fileSize || err != io.EOF {
			t.Errorf("ReadAtContext beyond the end = %d, %v", n, err)
		}
		testutil.Pattern(buf, 64)
		if n, err := f.WriteAtContext(ctx, buf, 0); n != len(buf) || err != nil {
			t.Errorf("WriteAtContext = %d, %v", n, err)
		}
		clear(buf)
		vec := [][]byte{buf[:4096], buf[4096 : 5*4096], buf[5*4096:]}
		if n, err := f.ReadvAtContext(ctx, vec, 0); n != len(buf) || err != nil || testutil.CheckPattern(buf, 64) >= 0 {
			t.Errorf("ReadvAtContext = %d, %v", n, err)
		}
		if n, err := f.WritevAtContext(ctx, vec, 0); n != len(buf) || err != nil {
			t.Errorf("WritevAtContext = %d, %v", n, err)
		}
		f.Seek(0, io.SeekStart)
		if n, err := f.ReadContext(ctx, buf[:8192]); n != 8192 || err != nil || testutil.CheckPattern(buf[:n], 64) >= 0 {
			t.Errorf("ReadContext = %d, %v", n, err)
		}
		if n, err := f.WriteContext(ctx, buf[:4096]); n != 4096 || err != nil {
			t.Errorf("WriteContext = %d, %v", n, err)
		}
		if pos, _ := f.Seek(0, io.SeekCurrent); pos != 12288 {
			t.Errorf("position is %d, want 12288", pos)
		}
		for what, err := range map[string]error{
			"SyncContext":     f.SyncContext(ctx),
			"DatasyncContext": f.DatasyncContext(ctx),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		cancel()
		check := func(what string, n int, err error) {
			t.Helper()
			var pe *fs.PathError
			if n != 0 || !errors.Is(err, context.Canceled) || !errors.As(err, &pe) {
				t.Errorf("%s with an ended context = %d, %v", what, n, err)
			}
		}
		n, err := f.ReadAtContext(ctx, buf, 0)
		check("ReadAtContext", n, err)
		n, err = f.WriteAtContext(ctx, buf, 0)
		check("WriteAtContext", n, err)
		n, err = f.ReadContext(ctx, buf)
		check("ReadContext", n, err)
		n, err = f.WriteContext(ctx, buf)
		check("WriteContext", n, err)
		check("SyncContext", 0, f.SyncContext(ctx))
	})
}

func TestDeadlines(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		buf := ringfile.AlignedBuffer(4096, 4096)
		if err := f.SetDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		check := func(what string, n int, err error) {
			t.Helper()
			var pe *fs.PathError
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &pe) {
				t.Errorf("%s past the deadline = %d, %v", what, n, err)
			}
		}
		for range 2 {
			n, err := f.ReadAt(buf, 0)
			check("ReadAt", n, err)
			n, err = f.WriteAt(buf, 0)
			check("WriteAt", n, err)
			n, err = f.Read(buf)
			check("Read", n, err)
			n, err = f.Write(buf)
			check("Write", n, err)
			check("Sync", 0, f.Sync())
			n, err = f.StartReadAt(buf, 0).Await()
			check("StartReadAt", n, err)
		}
		f.SetDeadline(time.Now().Add(time.Hour))
		if n, err := f.ReadAt(buf, 4096); n != 4096 || err != nil || testutil.CheckPattern(buf, 4096) >= 0 {
			t.Errorf("ReadAt before the deadline = %d, %v", n, err)
		}
		f.SetDeadline(time.Time{})
		if n, err := f.ReadAt(buf, 4096); n != 4096 || err != nil {
			t.Errorf("ReadAt without deadline = %d, %v", n, err)
		}
		if n, err := f.Read(buf); n != 4096 || err != nil || testutil.CheckPattern(buf, 0) >= 0 {
			t.Errorf("Read after the deadline = %d, %v", n, err)
		}
	})
}

func TestAllocateAndAdvise(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Allocate(0, 1<<20, 0); err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			t.Fatal(err)
		}
		st, err := f.Stat()
		if err != nil || st.Size() != 1<<20 {
			t.Errorf("size after Allocate is %d, %v", st.Size(), err)
		}
		if err := f.Advise(0, 0, ringfile.AdviceWillNeed); err != nil {
			t.Error(err)
		}
		if err := f.Advise(4096, 5<<30, ringfile.AdviceWillNeed); err != nil {
			t.Error(err)
		}
		var pe *fs.PathError
		if err := f.Allocate(-1, 10, 0); !errors.As(err, &pe) || pe.Op != "allocate" {
			t.Errorf("Allocate(-1): %v", err)
		}
	})
}

// TestPosition follows the file position through all the calls that use it. With offset -1 the
// kernel does not move it after a direct transfer.
func TestPosition(t *testing.T) {
	files(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		buf := ringfile.AlignedBuffer(4096, 4096)
		at := int64(0)
		check := func(what string, n int, err error) {
			t.Helper()
			if at += 4096; n != 4096 || err != nil {
				t.Fatalf("%s = %d, %v", what, n, err)
			}
			if pos, err := f.Seek(0, io.SeekCurrent); pos != at || err != nil {
				t.Fatalf("after %s the position is %d, %v, want %d", what, pos, err, at)
			}
		}
		for range 3 {
			n, err := f.Read(buf)
			check("Read", n, err)
			if testutil.CheckPattern(buf, at-4096) >= 0 {
				t.Fatal("Read read from elsewhere")
			}
			n, err = f.Write(buf)
			check("Write", n, err)
			n, err = f.ReadContext(t.Context(), buf)
			check("ReadContext", n, err)
			n, err = f.WriteContext(t.Context(), buf)
			check("WriteContext", n, err)
		}
	})
}

func TestAppend(t *testing.T) {
	for name, direct := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				name := testutil.PatternFile(t, 4096)
				f, err := e.OpenFile(name, os.O_WRONLY|os.O_APPEND|direct, 0)
				if err != nil {
					t.Skip(err)
				}
				defer f.Close()
				buf := ringfile.AlignedBuffer(4096, 4096)
				for off := int64(4096); off < 10*4096; off += 2 * 4096 {
					testutil.Pattern(buf, off)
					if n, err := f.Write(buf); n != 4096 || err != nil {
						t.Fatal(n, err)
					}
					testutil.Pattern(buf, off+4096)
					if n, err := f.WriteContext(t.Context(), buf); n != 4096 || err != nil {
						t.Fatal(n, err)
					}
					if pos, _ := f.Seek(0, io.SeekCurrent); pos != off+8192 {
						t.Fatalf("position is %d, want %d", pos, off+8192)
					}
				}
				got, err := e.ReadFile(name)
				if err != nil || len(got) != 11*4096 || testutil.CheckPattern(got, 0) >= 0 {
					t.Errorf("read back %d bytes, %v, first difference %d", len(got), err, testutil.CheckPattern(got, 0))
				}
			})
		})
	}
}

// TestDeadlineSends has net send a file to a connection, which it does with the descriptor: not past a deadline.
func TestDeadlineSends(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.Open(testutil.PatternFile(t, fileSize))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Skip(err)
		}
		defer conn.Close()
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		f.SetReadDeadline(time.Now().Add(-time.Second))
		if n, err := io.CopyN(conn, f, 8192); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("CopyN past the deadline = %d, %v", n, err)
		}
		buf := make([]byte, 8192)
		for i, deadline := range []time.Time{time.Now().Add(time.Hour), {}} {
			f.SetReadDeadline(deadline)
			at := int64(i) * 3 * 8192
			if n, err := f.Read(buf); n != len(buf) || err != nil || testutil.CheckPattern(buf, at) >= 0 {
				t.Fatalf("Read before CopyN = %d, %v", n, err)
			}
			if n, err := io.CopyN(conn, f, 8192); n != 8192 || err != nil {
				t.Fatalf("CopyN before the deadline = %d, %v", n, err)
			}
			if _, err := io.ReadFull(peer, buf); err != nil || testutil.CheckPattern(buf, at+8192) >= 0 {
				t.Errorf("%v, or other bytes", err)
			}
			if n, err := f.Read(buf); n != len(buf) || err != nil || testutil.CheckPattern(buf, at+2*8192) >= 0 {
				t.Errorf("Read after CopyN = %d, %v, or other bytes", n, err)
			}
		}
	})
}
