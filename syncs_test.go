package ringfile

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// everySync are the ways to ask for a sync.
var everySync = map[string]func(ctx context.Context, f *File) error{
	"Sync":            func(_ context.Context, f *File) error { return f.Sync() },
	"Datasync":        func(_ context.Context, f *File) error { return f.Datasync() },
	"SyncContext":     func(ctx context.Context, f *File) error { return f.SyncContext(ctx) },
	"DatasyncContext": func(ctx context.Context, f *File) error { return f.DatasyncContext(ctx) },
	"StartSync":       func(_ context.Context, f *File) error { _, err := f.StartSync().Await(); return err },
	"StartDatasync":   func(_ context.Context, f *File) error { _, err := f.StartDatasync().Await(); return err },
	"Batch.Sync": func(_ context.Context, f *File) error {
		var b Batch
		b.Sync(f)
		return b.Run()
	},
	"Batch.Datasync, with a context": func(ctx context.Context, f *File) error {
		var b Batch
		b.Datasync(f)
		return b.RunContext(ctx)
	},
}

// TestSyncsCounted syncs a file in each way, one after the other: each makes a sync of its own.
func TestSyncsCounted(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 4096), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := uint64(0)
		for range 2 { // the first finds out what is to be known of the device
			for name, do := range everySync {
				if err := do(ctx, f); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				n++
			}
		}
		if s := e.Stats(); s.Syncs != n || s.SharedSyncs != 0 {
			t.Errorf("%d syncs, %d shared, want %d and none", s.Syncs, s.SharedSyncs, n)
		}
	})
}

// TestSyncsDirectory has many sync one directory.
func TestSyncsDirectory(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		dir := t.TempDir()
		if err := e.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := e.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if err := d.Sync(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

// TestSyncsModel has many write and sync one file, whose syncs are marked when they begin and end: each
// write that has been acknowledged is covered by a sync that began after the write had returned, and ended
// before the acknowledgement.
func TestSyncsModel(t *testing.T) {
	eachBackend(t, Config{BlockingLimit: 64}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 4096*64), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Sync() // finds out what is to be known of the device
		var clock atomic.Int64
		var mu sync.Mutex
		type interval struct{ began, ended int64 }
		var made []interval
		onSync = func() (func(), error) {
			began := clock.Add(1)
			return func() {
				mu.Lock()
				made = append(made, interval{began, clock.Add(1)})
				mu.Unlock()
			}, nil
		}
		defer func() { onSync = nil }()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		var asked []interval // from a write's return to its acknowledgement
		for g := range 32 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(g), 1))
				buf := make([]byte, 4096)
				for range 20 {
					for name, do := range everySync {
						if rng.IntN(3) > 0 {
							continue
						}
						if _, err := f.WriteAt(buf, int64(g)*4096); err != nil {
							t.Error(err)
						}
						wrote := clock.Add(1)
						if err := do(ctx, f); err != nil {
							t.Errorf("%s: %v", name, err)
						}
						mu.Lock()
						asked = append(asked, interval{wrote, clock.Add(1)})
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, a := range asked {
			covered := false
			for _, m := range made {
				covered = covered || a.began < m.began && m.ended < a.ended
			}
			if !covered {
				t.Fatalf("a write that returned at %d was acknowledged at %d, without a sync in between", a.began, a.ended)
			}
		}
		s := e.Stats()
		t.Logf("%d syncs for %d that were asked for, %d shared", len(made), len(asked), s.SharedSyncs)
		if s.Syncs-s.SharedSyncs != uint64(len(made))+1 || s.Syncs != uint64(len(asked))+1 {
			t.Errorf("%d syncs asked for and %d shared, want %d and %d", s.Syncs, s.SharedSyncs, len(asked)+1, len(asked)-len(made))
		}
	})
}

// slowSync has the syncs of all files wait, and end as it is told.
type slowSync struct {
	begun chan struct{}
	end   chan error
}

func newSlowSync(t *testing.T) *slowSync {
	s := &slowSync{make(chan struct{}), make(chan error)}
	onSync = func() (func(), error) {
		s.begun <- struct{}{}
		return func() {}, <-s.end
	}
	t.Cleanup(func() { onSync = nil })
	return s
}

// asked has the syncs of f begin, and returns their outcomes, in order of their keys.
func asked(ctx context.Context, f *File, names ...string) []chan error {
	var all []chan error
	for _, name := range names {
		ch := make(chan error, 1)
		all = append(all, ch)
		go func() { ch <- everySync[name](ctx, f) }()
	}
	return all
}

// haveWaiting waits until n wait for the next sync of f.
func haveWaiting(f *File, n int) {
	eventually(func() bool {
		f.t.syncs.mu.Lock()
		defer f.t.syncs.mu.Unlock()
		return f.t.syncs.waiting.n == n
	})
}

// slowFile opens a file whose device is known.
func slowFile(t *testing.T, e *Engine) *File {
	f, err := e.OpenFile(testutil.PatternFile(t, 4096), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if !f.t.sharesSyncs() {
		f.Close()
		t.Skip("syncs are not shared here: the directory of temporary files is in memory")
	}
	return f
}

// TestSyncsShared has all kinds of syncs wait for two that are under way: one serves them all.
func TestSyncsShared(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f := slowFile(t, e)
		defer f.Close()
		slow := newSlowSync(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first := asked(ctx, f, "Sync", "SyncContext")
		<-slow.begun
		<-slow.begun
		var names []string
		for name := range everySync {
			names = append(names, name, name)
		}
		rest := asked(ctx, f, names...)
		haveWaiting(f, len(names))
		slow.end <- nil
		slow.end <- nil
		<-slow.begun
		slow.end <- nil
		for _, ch := range first {
			if err := <-ch; err != nil {
				t.Error(err)
			}
		}
		for i, ch := range rest {
			if err := <-ch; err != nil {
				t.Errorf("%s: %v", names[i], err)
			}
		}
		if s := e.Stats(); s.SharedSyncs != uint64(len(names)-1) {
			t.Errorf("%d shared, want %d", s.SharedSyncs, len(names)-1)
		}
	})
}

// TestSyncsFail has a sync fail: those that run beside it and those that wait fail with it, those that come
// later do not.
func TestSyncsFail(t *testing.T) {
	t.Run("first", func(t *testing.T) { testSyncsFail(t, true) })
	t.Run("last", func(t *testing.T) { testSyncsFail(t, false) })
}

// testSyncsFail has one of two syncs fail, before the other one ends or after that.
func testSyncsFail(t *testing.T, first bool) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f := slowFile(t, e)
		defer f.Close()
		slow := newSlowSync(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		all := asked(ctx, f, "SyncContext") // for which somebody else makes them, as they might be shared
		<-slow.begun
		all = append(all, asked(ctx, f, "StartDatasync")...)
		<-slow.begun
		var names []string
		for name := range everySync {
			names = append(names, name)
		}
		all = append(all, asked(ctx, f, names...)...)
		haveWaiting(f, len(names))
		failure := errors.New("the disk is gone")
		if first {
			slow.end <- failure
			haveWaiting(f, 0)
			slow.end <- nil // too late to be a success
		} else {
			slow.end <- nil // which may be one only because the other has been told
			time.Sleep(10 * time.Millisecond)
			slow.end <- failure
		}
		for _, ch := range all {
			if err := <-ch; !errors.Is(err, failure) {
				t.Errorf("%v, want %v", err, failure)
			}
		}
		last := asked(ctx, f, "Sync")
		<-slow.begun
		slow.end <- nil
		if err := <-last[0]; err != nil {
			t.Errorf("after the failure: %v", err)
		}
	})
}

// TestSyncsLeft has those leave that wait for a sync while two hang, each in its way. Then the two end.
func TestSyncsLeft(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		for what, step := range map[string]struct {
			want error
			do   func(t *testing.T, f *File) error
		}{
			"a context": {context.DeadlineExceeded, func(t *testing.T, f *File) error {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				return f.SyncContext(ctx)
			}},
			"a batch with a context": {context.DeadlineExceeded, func(t *testing.T, f *File) error {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				var b Batch
				b.Sync(f)
				return b.RunContext(ctx)
			}},
			"a deadline": {os.ErrDeadlineExceeded, func(t *testing.T, f *File) error {
				f.SetDeadline(time.Now().Add(20 * time.Millisecond))
				defer f.SetDeadline(time.Time{})
				return f.Sync()
			}},
			"Cancel": {context.Canceled, func(t *testing.T, f *File) error {
				u := f.StartSync()
				haveWaiting(f, 1)
				u.Cancel()
				_, err := u.Await()
				return err
			}},
			"Close": {fs.ErrClosed, func(t *testing.T, f *File) error {
				done := asked(t.Context(), f, "Sync", "StartSync")
				haveWaiting(f, 2)
				f.Close()
				return errors.Join(<-done[0], <-done[1])
			}},
		} {
			t.Run(what, func(t *testing.T) {
				f := slowFile(t, e)
				defer f.Close()
				slow := newSlowSync(t)
				first := asked(t.Context(), f, "Sync", "StartSync")
				<-slow.begun
				<-slow.begun
				promptly(t, what, func() {
					if err := step.do(t, f); !errors.Is(err, step.want) {
						t.Errorf("%v, want %v", err, step.want)
					}
				})
				haveWaiting(f, 0)
				slow.end <- nil
				slow.end <- nil
				for _, ch := range first {
					if err := <-ch; err != nil {
						t.Errorf("the sync that ran meanwhile: %v", err)
					}
				}
			})
		}
	})
}

// TestStormSyncs has many sync a file that fails now and then, with contexts that end and cancellations, and
// close it at the end: everybody is told something.
func TestStormSyncs(t *testing.T) {
	eachBackend(t, Config{BlockingLimit: 8}, func(t *testing.T, e *Engine) {
		failure := errors.New("the disk is gone")
		for end := time.Now().Add(testutil.StressTime(t) / 2); time.Now().Before(end) && !t.Failed(); {
			f := slowFile(t, e)
			onSync = func() (func(), error) {
				switch rand.IntN(8) {
				case 0:
					return nil, failure
				case 1:
					time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
				}
				return func() {}, nil
			}
			var wg sync.WaitGroup
			for g := range 24 {
				wg.Go(func() {
					for range 20 {
						for name, do := range everySync {
							ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(300))*time.Microsecond)
							err := do(ctx, f)
							cancel()
							switch {
							case err == nil, errors.Is(err, failure), errors.Is(err, context.DeadlineExceeded), errors.Is(err, fs.ErrClosed):
							default:
								t.Errorf("%s: %v", name, err)
							}
						}
						if g == 0 && rand.IntN(10) == 0 {
							f.Close()
							return
						}
					}
				})
			}
			wg.Wait()
			f.Close()
			eventually(func() bool { return f.t.uses.Load() == closedBit })
			onSync = nil
			eventually(func() bool { // who has made the last one ends after having told
				f.t.syncs.mu.Lock()
				defer f.t.syncs.mu.Unlock()
				return f.t.syncs.running == 0 && f.t.syncs.waiting.n == 0
			})
		}
	})
}
