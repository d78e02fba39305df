package faults_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

const (
	patience = 100 * time.Millisecond // after which calls are to give up
	onTime   = 30 * time.Second       // on a machine that is busy; the disk would hang for ever
)

// hangingCall is a call that waits for the disk, with a limit to that.
type hangingCall struct {
	name    string
	flag    int
	prepare func(f *ringfile.File) // before the disk hangs
	do      func(f *ringfile.File, p []byte) error
	want    error
}

// within makes a call with a context that ends after patience.
func within(do func(ctx context.Context) error) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	return do(ctx)
}

// byDeadline gives the file a deadline for the length of a call.
func byDeadline(f *ringfile.File, do func() error) error {
	f.SetDeadline(time.Now().Add(patience))
	defer f.SetDeadline(time.Time{})
	return do()
}

func dirty(f *ringfile.File) {
	p := make([]byte, blockSize)
	testutil.Pattern(p, 0)
	f.WriteAt(p, 0)
}

func hangingCalls() (calls []hangingCall) {
	read := func(f *ringfile.File, p []byte) error { _, err := f.ReadAt(p, 0); return err }
	readCtx := func(ctx context.Context, f *ringfile.File, p []byte) error {
		_, err := f.ReadAtContext(ctx, p, 0)
		return err
	}
	write := func(f *ringfile.File, p []byte) error { _, err := f.WriteAt(p, 0); return err }
	writeCtx := func(ctx context.Context, f *ringfile.File, p []byte) error {
		_, err := f.WriteAtContext(ctx, p, 0)
		return err
	}
	readOn := func(f *ringfile.File, p []byte) error { _, err := f.Read(p); return err }
	readOnCtx := func(ctx context.Context, f *ringfile.File, p []byte) error {
		_, err := f.ReadContext(ctx, p)
		return err
	}
	writeOn := func(f *ringfile.File, p []byte) error { _, err := f.Write(p); return err }
	writeOnCtx := func(ctx context.Context, f *ringfile.File, p []byte) error {
		_, err := f.WriteContext(ctx, p)
		return err
	}
	sync := func(f *ringfile.File, _ []byte) error { return f.Sync() }
	datasync := func(f *ringfile.File, _ []byte) error { return f.Datasync() }
	syncCtx := func(ctx context.Context, f *ringfile.File, _ []byte) error { return f.SyncContext(ctx) }
	datasyncCtx := func(ctx context.Context, f *ringfile.File, _ []byte) error { return f.DatasyncContext(ctx) }
	add := func(name string, flag int, prepare func(f *ringfile.File), do func(f *ringfile.File, p []byte) error,
		doCtx func(ctx context.Context, f *ringfile.File, p []byte) error) {
		calls = append(calls,
			hangingCall{name + ", deadline", flag, prepare, func(f *ringfile.File, p []byte) error {
				return byDeadline(f, func() error { return do(f, p) })
			}, os.ErrDeadlineExceeded},
			hangingCall{name + ", context", flag, prepare, func(f *ringfile.File, p []byte) error {
				return within(func(ctx context.Context) error { return doCtx(ctx, f, p) })
			}, context.DeadlineExceeded})
	}
	add("buffered read", 0, nil, read, readCtx)
	add("direct read", unix.O_DIRECT, nil, read, readCtx)
	add("direct write", unix.O_DIRECT, nil, write, writeCtx)
	add("read at the position", 0, nil, readOn, readOnCtx)
	add("direct write at the position", unix.O_DIRECT, nil, writeOn, writeOnCtx)
	add("sync", 0, dirty, sync, syncCtx)
	add("datasync", 0, dirty, datasync, datasyncCtx)
	return calls
}

// TestDiskHangs: a call with a deadline or a context returns on time from a disk that hangs, its
// buffer is the caller's again, and Stats tells what is going on.
func TestDiskHangs(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		name, _ := onDisk(t, d)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			defer set(t, d) // whatever happens
			for _, c := range hangingCalls() {
				f := open(t, e, name, c.flag)
				dropCache(t, f)
				if c.prepare != nil {
					c.prepare(f)
				}
				hang(t, d, e, f, c)
				f.Close()
			}
		})
	})
}

func hang(t *testing.T, d *faults.Disk, e *ringfile.Engine, f *ringfile.File, c hangingCall) {
	t.Helper()
	set(t, d, faults.Rule{Effect: faults.Hang})
	defer occupy(t, d)()
	p := patterned(t, 4*blockSize, 0) // what is written is what is there
	start := time.Now()
	err := c.do(f, p)
	took := time.Since(start)
	var pe *fs.PathError
	if !errors.Is(err, c.want) || !errors.As(err, &pe) {
		t.Errorf("%s: got %v, want %v", c.name, err, c.want)
	}
	if took > onTime {
		t.Errorf("%s: returned after %v", c.name, took)
	}
	if s := e.Stats(); s.OldestInFlight < patience/2 || s.InFlight+s.BlockingCalls == 0 {
		t.Errorf("%s: Stats has nothing of it: the oldest in flight is %v, %d requests, %d blocking calls",
			c.name, s.OldestInFlight, s.InFlight, s.BlockingCalls)
	}

	// The buffer is the caller's: what the disk does now must not reach it, nor take from it.
	mine := bytes.Repeat([]byte{0xa5}, len(p))
	copy(p, mine)
	set(t, d)
	awaitQuiet(e)
	if !bytes.Equal(p, mine) {
		t.Errorf("%s: the buffer was changed after the return", c.name)
	}
	if pos, err := f.Seek(0, io.SeekCurrent); pos != 0 || err != nil {
		t.Errorf("%s: moved the position to %d, %v", c.name, pos, err)
	}
	if s := e.Stats(); s.OldestInFlight != 0 {
		t.Errorf("%s: nothing is in flight, but the oldest for %v", c.name, s.OldestInFlight)
	}
	dropCache(t, f)
	if n, err := f.ReadAt(p, 0); n != len(p) || err != nil {
		t.Errorf("%s: a read after the hang: %d, %v", c.name, n, err)
	} else if at := testutil.CheckPattern(p, 0); at >= 0 {
		t.Errorf("%s: after the hang the file differs at %d", c.name, at)
	}
}

// occupy has the disk hang on a read of somebody else. The loop device carries out one request at a
// time, so the data of those that come next has not even left the memory of this process. It returns
// a function that waits until the read is done.
func occupy(t *testing.T, d *faults.Disk) (wait func()) {
	t.Helper()
	f, err := os.OpenFile(d.Device, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := aligned(t, blockSize)
	done := make(chan struct{})
	go func() {
		f.ReadAt(p, 0)
		f.Close()
		close(done)
	}()
	await(func() bool { return counts(t, d).Hanging > 0 })
	return func() { <-done }
}

// awaitQuiet waits until the kernel has nothing of e.
func awaitQuiet(e *ringfile.Engine) {
	await(func() bool { s := e.Stats(); return s.InFlight == 0 && s.BlockingCalls == 0 })
}

// TestCrowdOnHangingDisk: contexts are kept even by those who cannot even begin, as all slots and
// all blocking calls are taken by others.
func TestCrowdOnHangingDisk(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4"})
	name, _ := onDisk(t, d)
	small := ringfile.Config{Rings: 1, Depth: 16, BlockingLimit: 2}
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		modes(t, func(t *testing.T, flag int) {
			f := open(t, e, name, flag)
			defer f.Close()
			dropCache(t, f)
			defer set(t, d)
			set(t, d, faults.Rule{Effect: faults.Hang})
			var wg sync.WaitGroup
			for i := range 40 {
				p := aligned(t, blockSize)
				wg.Go(func() {
					start := time.Now()
					err := within(func(ctx context.Context) error {
						_, err := f.ReadAtContext(ctx, p, int64(i%blocks)*blockSize)
						return err
					})
					if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > onTime {
						t.Errorf("read %d: %v after %v", i, err, time.Since(start))
					}
				})
			}
			wg.Wait()
			set(t, d)
			awaitQuiet(e)
		})
	})
}

// TestAppendAfterOneLeftBehind appends while an append that was given up hangs with the disk, holding
// the kernel's lock of the position: it is given up in time, too.
func TestAppendAfterOneLeftBehind(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4"})
	name, _ := onDisk(t, d)
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f := open(t, e, name, os.O_APPEND|unix.O_DIRECT)
		defer f.Close()
		p := patterned(t, blockSize, 0)
		if _, err := f.Write(p); err != nil { // finds out about the file system
			t.Fatal(err)
		}
		defer set(t, d)
		set(t, d, faults.Rule{Effect: faults.Hang})
		for i := range 2 {
			wrote := make(chan error, 1)
			go func() {
				wrote <- within(func(ctx context.Context) error {
					_, err := f.WriteContext(ctx, p)
					return err
				})
			}()
			select {
			case err := <-wrote:
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("append %d: %v, want the end of the context", i, err)
				}
			case <-time.After(onTime):
				t.Fatalf("append %d waits for the one before it", i)
			}
		}
	})
}

// TestStartOnHangingDisk: starting an operation does not wait for the disk, not even the first one
// on a file system that the engine knows nothing of.
func TestStartOnHangingDisk(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4"})
	name, _ := onDisk(t, d)
	read := func(f *ringfile.File, p []byte) func() (int, error) { return f.StartReadAt(p, 0).Await }
	write := func(f *ringfile.File, p []byte) func() (int, error) { return f.StartWriteAt(p, 0).Await }
	sync := func(f *ringfile.File, p []byte) func() (int, error) {
		dirty(f)
		fut := f.StartSync()
		return func() (int, error) { _, err := fut.Await(); return len(p), err }
	}
	for _, c := range []struct {
		name  string
		flag  int
		start func(f *ringfile.File, p []byte) (await func() (int, error))
	}{
		{"buffered read", 0, read},
		{"direct read", unix.O_DIRECT, read},
		{"direct write", unix.O_DIRECT, write},
		{"sync", 0, sync},
	} {
		t.Run(c.name, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				f := open(t, e, name, c.flag)
				defer f.Close()
				dropCache(t, f)
				defer set(t, d)
				set(t, d, faults.Rule{Effect: faults.Hang})
				p := patterned(t, blockSize, 0)
				started := make(chan func() (int, error), 1)
				go func() { started <- c.start(f, p) }()
				await(func() bool { return counts(t, d).Hanging > 0 })
				var finish func() (int, error)
				select {
				case finish = <-started:
				case <-time.After(onTime):
					t.Error("the start waits for the disk")
				}
				set(t, d)
				if finish == nil {
					finish = <-started
				}
				if n, err := finish(); n != len(p) || err != nil || testutil.CheckPattern(p, 0) >= 0 {
					t.Errorf("got %d, %v", n, err)
				}
			})
		})
	}
}

// TestCloseOnHangingDisk: File.Close does not wait, Engine.Close says what is still in flight, and
// leaves it alone until the disk lets go.
func TestCloseOnHangingDisk(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4"})
	name, _ := onDisk(t, d)
	for _, c := range readCalls {
		t.Run(c.name, func(t *testing.T) {
			routes(t, ringfile.Config{CloseTimeout: patience}, func(t *testing.T, e *ringfile.Engine) {
				f := open(t, e, name, unix.O_DIRECT)
				defer set(t, d)
				set(t, d, faults.Rule{Effect: faults.Hang})
				p := aligned(t, blockSize)
				type result struct {
					n   int
					err error
				}
				done := make(chan result, 1)
				go func() {
					n, err := c.do(f, p, 0)
					done <- result{n, err}
				}()
				await(func() bool { return counts(t, d).Hanging > 0 })
				if err := f.Close(); err != nil {
					t.Errorf("File.Close: %v", err)
				}
				if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
					t.Errorf("a read after File.Close: %v", err)
				}
				var ce *ringfile.CloseError
				if err := e.Close(); !errors.As(err, &ce) || ce.InFlight != 1 {
					t.Errorf("Engine.Close: %v, want a *CloseError with one request", err)
				}
				set(t, d)
				r := <-done
				if r.err == nil && (r.n != len(p) || testutil.CheckPattern(p, 0) >= 0) ||
					r.err != nil && !errors.Is(r.err, fs.ErrClosed) {
					t.Errorf("the read ended with %d, %v", r.n, r.err)
				}
				awaitQuiet(e)
				await(func() bool { return !isOpen(name) })
			})
		})
	}
}

// isOpen reports whether this process has the named file open.
func isOpen(name string) bool {
	for _, fd := range testutil.OpenDescriptors() {
		if strings.HasSuffix(fd, " -> "+name) {
			return true
		}
	}
	return false
}
