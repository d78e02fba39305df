package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/faults"
)

// scene is a file on a disk that is going to hang, with its queue full.
type scene struct {
	t    *testing.T
	e    *ringfile.Engine
	d    *faults.Disk
	name string
	open []*ringfile.File
}

const sceneBlocks = 1024

func newScene(t *testing.T, e *ringfile.Engine, d *faults.Disk) *scene {
	t.Helper()
	name := filepath.Join(d.Mount, "file")
	if _, err := os.Stat(name); err != nil {
		makeFile(t, d.Mount, "file", sceneBlocks*blockSize)
	}
	return &scene{t: t, e: e, d: d, name: name}
}

// file opens the file once more.
func (s *scene) file(flag int) *ringfile.File {
	f := open(s.t, s.e, s.name, flag)
	s.open = append(s.open, f)
	return f
}

// files opens the file n times.
func (s *scene) files(n, flag int) []*ringfile.File {
	all := make([]*ringfile.File, n)
	for i := range all {
		all[i] = s.file(flag)
	}
	return all
}

func (s *scene) close() {
	for _, f := range s.open {
		f.Close()
	}
	s.open = nil
}

// promise is a kind of call that returns on time, whatever a device does: as it has a context or a
// deadline, both of patience, or as it does not wait at all.
type promise struct {
	name string
	// prepare makes ready for n calls on a disk that works, and returns them.
	prepare func(s *scene, n int) func(i int) error
	want    error // that each call returns; nil if it is not to fail
}

// offset returns where on the file the i-th call is.
func offset(i int) int64 { return int64(i%sceneBlocks) * blockSize }

// shared makes a promise whose calls are on one file, with a buffer each, and a context.
func shared(name string, flag int, do func(ctx context.Context, f *ringfile.File, p []byte, off int64) error) promise {
	return promise{name, func(s *scene, n int) func(i int) error {
		f := s.file(flag)
		buffers := aligned(s.t, n*blockSize)
		return func(i int) error {
			return within(func(ctx context.Context) error {
				return do(ctx, f, buffers[i*blockSize:(i+1)*blockSize], offset(i))
			})
		}
	}, context.DeadlineExceeded}
}

// late makes a promise whose calls are on one file with a deadline, which passes while they wait.
func late(name string, flag int, do func(f *ringfile.File, p []byte, off int64) error) promise {
	return promise{name, func(s *scene, n int) func(i int) error {
		f := s.file(flag)
		buffers := aligned(s.t, n*blockSize)
		set := sync.OnceFunc(func() { f.SetDeadline(time.Now().Add(patience)) })
		return func(i int) error {
			set()
			return do(f, buffers[i*blockSize:(i+1)*blockSize], offset(i))
		}
	}, os.ErrDeadlineExceeded}
}

// started makes a promise that starts something, on a file, and does not wait for it.
func started(name string, flag int, do func(f *ringfile.File, p []byte, off int64)) promise {
	return promise{name, func(s *scene, n int) func(i int) error {
		f := s.file(flag)
		buffers := aligned(s.t, n*blockSize) // never unmapped
		return func(i int) error {
			do(f, buffers[i*blockSize:(i+1)*blockSize], offset(i))
			return nil
		}
	}, nil}
}

// small is what a write of a part of a page writes: the page cache must first read the page.
const small = 100

var promises = []promise{
	shared("ReadAtContext, direct", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.ReadAtContext(ctx, p, off)
		return err
	}),
	shared("ReadAtContext, buffered", 0, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.ReadAtContext(ctx, p, off)
		return err
	}),
	shared("ReadvAtContext", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.ReadvAtContext(ctx, [][]byte{p}, off)
		return err
	}),
	shared("WriteAtContext, direct", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.WriteAtContext(ctx, p, off)
		return err
	}),
	shared("WriteAtContext, buffered", 0, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.WriteAtContext(ctx, p[:small], off)
		return err
	}),
	shared("WriteAtContext, O_DSYNC", unix.O_DSYNC, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.WriteAtContext(ctx, p, off)
		return err
	}),
	shared("WritevAtContext", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.WritevAtContext(ctx, [][]byte{p}, off)
		return err
	}),
	shared("ReadContext", 0, func(ctx context.Context, f *ringfile.File, p []byte, _ int64) error {
		_, err := f.ReadContext(ctx, p)
		return err
	}),
	shared("WriteContext", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, _ int64) error {
		_, err := f.WriteContext(ctx, p)
		return err
	}),
	synced("SyncContext", (*ringfile.File).SyncContext),
	synced("DatasyncContext", (*ringfile.File).DatasyncContext),
	shared("Batch.RunContext", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		var b ringfile.Batch
		b.ReadAt(f, p, off)
		b.Sync(f)
		return b.RunContext(ctx)
	}),
	shared("Batch.Results", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) (err error) {
		var b ringfile.Batch
		b.ReadAt(f, p, off)
		for _, r := range b.Results(ctx) {
			err = r.Err
		}
		return err
	}),
	shared("ReadAtMultiContext", 0, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
		_, err := f.ReadAtMultiContext(ctx, [][]byte{p}, []int64{off})
		return err
	}),
	shared("Engine.Call", 0, func(ctx context.Context, f *ringfile.File, _ []byte, off int64) error {
		e, name := f.Engine(), f.Name()
		return e.Call(ctx, name, func() error {
			o, err := os.OpenFile(name, os.O_RDWR|unix.O_DSYNC, 0)
			if err != nil {
				return err
			}
			defer o.Close()
			_, err = o.WriteAt([]byte("x"), off)
			return err
		})
	}),
	late("ReadAt, deadline", unix.O_DIRECT, func(f *ringfile.File, p []byte, off int64) error {
		_, err := f.ReadAt(p, off)
		return err
	}),
	late("Read, deadline", 0, func(f *ringfile.File, p []byte, _ int64) error { _, err := f.Read(p); return err }),
	late("WriteAt, deadline", unix.O_DSYNC, func(f *ringfile.File, p []byte, off int64) error {
		_, err := f.WriteAt(p[:small], off)
		return err
	}),
	late("Write, deadline", unix.O_DIRECT, func(f *ringfile.File, p []byte, _ int64) error { _, err := f.Write(p); return err }),
	late("Batch.Run, deadline", unix.O_DIRECT, func(f *ringfile.File, p []byte, off int64) error {
		var b ringfile.Batch
		b.ReadAt(f, p, off)
		return b.Run()
	}),
	started("StartReadAt, direct", unix.O_DIRECT, func(f *ringfile.File, p []byte, off int64) { f.StartReadAt(p, off) }),
	started("StartReadAt, buffered", 0, func(f *ringfile.File, p []byte, off int64) { f.StartReadAt(p, off) }),
	started("StartReadvAt", 0, func(f *ringfile.File, p []byte, off int64) { f.StartReadvAt([][]byte{p}, off) }),
	started("StartWriteAt, direct", unix.O_DIRECT, func(f *ringfile.File, p []byte, off int64) { f.StartWriteAt(p, off) }),
	started("StartWriteAt, buffered", 0, func(f *ringfile.File, p []byte, off int64) { f.StartWriteAt(p[:small], off) }),
	started("StartWritevAt", 0, func(f *ringfile.File, p []byte, off int64) { f.StartWritevAt([][]byte{p[:small]}, off) }),
	started("StartSync", 0, func(f *ringfile.File, p []byte, off int64) { f.StartSync() }),
	started("StartDatasync", 0, func(f *ringfile.File, p []byte, off int64) { f.StartDatasync() }),
	{"Future.Cancel", func(s *scene, n int) func(i int) error {
		f := s.file(unix.O_DIRECT)
		buffers := aligned(s.t, n*blockSize)
		return func(i int) error {
			f.StartReadAt(buffers[i*blockSize:(i+1)*blockSize], offset(i)).Cancel()
			return nil
		}
	}, nil},
	{"File.Close", closes((*ringfile.File).Close), nil},
	{"CloseContext", closes(func(f *ringfile.File) error { return f.CloseContext(context.Background()) }), nil},
	{"SetDeadline", closes(func(f *ringfile.File) error { return f.SetDeadline(time.Now().Add(-time.Second)) }), nil},
	{"Engine.Stats", func(s *scene, _ int) func(i int) error {
		return func(int) error { s.e.Stats(); return nil }
	}, nil},
}

// synced makes a promise that syncs a file of which a page is dirty.
func synced(name string, do func(f *ringfile.File, ctx context.Context) error) promise {
	return promise{name, func(s *scene, n int) func(i int) error {
		f := s.file(0)
		if _, err := f.WriteAt(make([]byte, blockSize), 0); err != nil {
			s.t.Fatal(err)
		}
		return func(int) error {
			return within(func(ctx context.Context) error { return do(f, ctx) })
		}
	}, context.DeadlineExceeded}
}

// closes calls what ends, or is to end, the calls of a file, of which two are under way.
func closes(do func(f *ringfile.File) error) func(s *scene, n int) func(i int) error {
	return func(s *scene, n int) func(i int) error {
		files := s.files(n, unix.O_DIRECT)
		buffers := aligned(s.t, n*blockSize)
		return func(i int) error {
			f, p := files[i], buffers[i*blockSize:(i+1)*blockSize]
			f.StartReadAt(p, offset(i))
			go f.ReadAt(make([]byte, blockSize), offset(i))
			return do(f)
		}
	}
}

// TestHazardPromised: 200 calls of each kind that promise to return on time do so on a disk that hangs
// with its queue full.
func TestHazardPromised(t *testing.T) {
	d := narrowDisk(t)
	engines(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		for _, p := range promises {
			s := newScene(t, e, d)
			call := p.prepare(s, 200)
			chill(t, s.file(0))
			release := fill(t, d, hungFor)
			var wrong atomic.Pointer[error]
			took := atOnce(200, release, func(i int) {
				if err := call(i); !errors.Is(err, p.want) {
					wrong.CompareAndSwap(nil, &err)
				}
			})
			release()
			checkPromised(t, p.name, took)
			if err := wrong.Load(); err != nil {
				t.Errorf("%s: got %v, want %v", p.name, *err, p.want)
			}
			settle(t, e)
			s.close()
		}
	})
}

// checkPromised checks that calls have returned on time.
func checkPromised(t *testing.T, name string, took []time.Duration) {
	t.Helper()
	lateOnes := 0
	for _, d := range took {
		if d > promised {
			lateOnes++
		}
	}
	worst := took[len(took)-1]
	if lateOnes > 0 {
		t.Errorf("%s: %d of %d calls on a hung disk took longer than %v, the worst %v", name, lateOnes, len(took), promised, worst)
		return
	}
	t.Logf("%s: the worst of %d calls took %v", name, len(took), worst)
}

// crowd prepares n calls of all kinds of promises.
func crowd(s *scene, n int) (calls []func() error) {
	each := (n + len(promises) - 1) / len(promises)
	for _, p := range promises {
		call := p.prepare(s, each)
		for i := range each {
			calls = append(calls, func() error { return call(i) })
		}
	}
	return calls[:n]
}

// TestHazardPromisedCrowd: the same with 2,000 calls of all kinds at once.
func TestHazardPromisedCrowd(t *testing.T) {
	d := narrowDisk(t)
	engines(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		tries(t, 2, func() error {
			s := newScene(t, e, d)
			calls := crowd(s, 2000)
			chill(t, s.file(0))
			release := fill(t, d, hungFor)
			took := atOnce(len(calls), release, func(i int) { calls[i]() })
			release()
			settle(t, e)
			s.close()
			worst := took[len(took)-1]
			t.Logf("2,000 calls on a hung disk: p99 %v, worst %v", quantile(took, 0.99), worst)
			switch {
			case worst > givenUp:
				return fmt.Errorf("a promised call %w: the worst of 2,000 took %v", errHung, worst)
			case worst > promised:
				return fmt.Errorf("the worst of 2,000 promised calls took %v, want %v at most", worst, promised)
			}
			return nil
		})
	})
}

// TestHazardEngineClose: Engine.Close returns on time when the disk hangs, and says what is in flight.
func TestHazardEngineClose(t *testing.T) {
	d := narrowDisk(t)
	engines(t, ringfile.Config{CloseTimeout: 500 * time.Millisecond}, func(t *testing.T, e *ringfile.Engine) {
		s := newScene(t, e, d)
		defer s.close()
		calls := crowd(s, 200)
		plain := plainCalls(s, 100)
		chill(t, s.file(0))
		release := fill(t, d, hungFor)
		defer release()
		var wg sync.WaitGroup
		for _, do := range append(calls, plain...) {
			wg.Go(func() { do() })
		}
		time.Sleep(patience / 2)
		var err error
		took := atOnce(1, release, func(int) { err = e.Close() })[0]
		var left *ringfile.CloseError
		if !errors.As(err, &left) || left.InFlight == 0 {
			t.Errorf("Engine.Close: %v, want a *CloseError with some in flight", err)
		}
		if limit := time.Second; took > limit {
			t.Errorf("Engine.Close took %v, want %v at most with a CloseTimeout of %v", took, limit, limit/2)
		}
		release()
		wg.Wait()
	})
}

// plainCalls prepares n calls without a limit, of the kinds that wait for a disk.
func plainCalls(s *scene, n int) (calls []func() error) {
	direct, buffered := s.file(unix.O_DIRECT), s.file(0)
	buffers := aligned(s.t, n*blockSize)
	for i := range n {
		p, off := buffers[i*blockSize:(i+1)*blockSize], offset(i)
		calls = append(calls, []func() error{
			func() error { _, err := direct.ReadAt(p, off); return err },
			func() error { _, err := buffered.ReadAt(p, off); return err },
			func() error { _, err := direct.WriteAt(p, off); return err },
			func() error { _, err := buffered.WriteAt(p[:small], off); return err },
			func() error { return buffered.Sync() },
			func() error { _, err := direct.StartReadAt(p, off).Await(); return err },
			func() error { _, err := buffered.Seek(0, io.SeekEnd); return err },
			func() error {
				var b ringfile.Batch
				b.ReadAt(direct, p, off)
				b.Sync(buffered)
				return b.Run()
			},
		}[i%8])
	}
	return calls
}
