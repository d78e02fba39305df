package faults_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/faults"
)

// TestHazardCachedContext: a call with a limit returns on time while the journal is being written, even
// if all it asks for is in the page cache: the access time must be changed, and waits for the journal.
func TestHazardCachedContext(t *testing.T) {
	cached := func(name string, do func(ctx context.Context, f *ringfile.File, p []byte) error) promise {
		return shared(name, 0, func(ctx context.Context, f *ringfile.File, p []byte, _ int64) error { return do(ctx, f, p) })
	}
	calls := []promise{
		cached("ReadAtContext", func(ctx context.Context, f *ringfile.File, p []byte) error {
			_, err := f.ReadAtContext(ctx, p, 0)
			return err
		}),
		cached("ReadAtContext, 128 KiB", func(ctx context.Context, f *ringfile.File, _ []byte) error {
			_, err := f.ReadAtContext(ctx, make([]byte, 128<<10), 0)
			return err
		}),
		cached("ReadvAtContext", func(ctx context.Context, f *ringfile.File, p []byte) error {
			_, err := f.ReadvAtContext(ctx, halves(p), 0)
			return err
		}),
		cached("ReadContext", func(ctx context.Context, f *ringfile.File, p []byte) error {
			_, err := f.ReadContext(ctx, p)
			return err
		}),
		cached("ReadAtMultiContext", func(ctx context.Context, f *ringfile.File, p []byte) error {
			_, err := f.ReadAtMultiContext(ctx, [][]byte{p}, []int64{0})
			return err
		}),
		late("ReadAt, deadline", 0, func(f *ringfile.File, p []byte, _ int64) error { _, err := f.ReadAt(p, 0); return err }),
		started("StartReadAt", 0, func(f *ringfile.File, p []byte, _ int64) { f.StartReadAt(p, 0) }),
	}
	d := newDisk(t, faults.Config{FS: "ext4"})
	accessTimes(t, d, unix.MS_STRICTATIME) // else the first call changes the time for all
	name := makeFile(t, d.Mount, "file", sceneBlocks*blockSize)
	engines(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		s := &scene{t: t, e: e, d: d, name: name}
		defer s.close()
		var prepared []func(i int) error
		for _, c := range calls {
			prepared = append(prepared, c.prepare(s, 1))
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		wait := duringCommit(t, d, f)
		control := inBackground(func() { f.ReadAt(make([]byte, blockSize), 0) })
		var wg sync.WaitGroup
		took := make([][]time.Duration, len(calls))
		for k, do := range prepared {
			wg.Go(func() { took[k] = atOnce(1, func() {}, func(i int) { do(i) }) })
			time.Sleep(20 * time.Millisecond) // until the access time is another
		}
		wg.Wait()
		os := control()
		wait()
		settle(t, e)
		for k, c := range calls {
			checkPromised(t, c.name, took[k])
		}
		if os < asleepFor/4 {
			t.Errorf("ReadAt of os.File took only %v: it did not sleep", os)
		}
	})
}
