package faults_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// heapInUse returns how many bytes objects on the heap have. It does not stop the world.
func heapInUse() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// resident returns how much memory the process has, in bytes, with that which is not on the heap.
func resident(t *testing.T) uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var total, pages uint64
	fmt.Sscan(string(b), &total, &pages)
	return pages * uint64(os.Getpagesize())
}

// TestHazardMemory: the memory that calls with a context need of the engine, as the kernel may use it for
// longer than they last, is that of those which are in flight, not of all 4,000 that wait.
func TestHazardMemory(t *testing.T) {
	const (
		calls = 4000
		each  = 68 << 10
		limit = 128 << 20
	)
	calling := []struct {
		name string
		flag int
		do   func(ctx context.Context, f *ringfile.File, p []byte, off int64) error
	}{
		{"direct reads", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
			_, err := f.ReadAtContext(ctx, p, off)
			return err
		}},
		{"buffered reads", 0, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
			_, err := f.ReadAtContext(ctx, p, off)
			return err
		}},
		{"direct writes", unix.O_DIRECT, func(ctx context.Context, f *ringfile.File, p []byte, off int64) error {
			_, err := f.WriteAtContext(ctx, p, off)
			return err
		}},
		{"reads with a deadline", unix.O_DIRECT, func(_ context.Context, f *ringfile.File, p []byte, off int64) error {
			_, err := f.ReadAt(p, off)
			return err
		}},
	}
	d := narrowDisk(t)
	// Nobody touches what the calls are given, so that it takes no memory.
	mem := aligned(t, calls*each)
	engines(t, ringfile.Config{BlockingLimit: 64}, func(t *testing.T, e *ringfile.Engine) {
		for range 2 { // pools are emptied by the second
			debug.FreeOSMemory()
		}
		heap, rss := heapInUse(), resident(t)
		for _, c := range calling {
			s := newScene(t, e, d)
			f := s.file(c.flag)
			chill(t, s.file(0))
			release := fill(t, d, hungFor)
			ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
			f.SetDeadline(time.Now().Add(3 * patience))
			var end atomic.Bool
			var sampler sync.WaitGroup
			topHeap, topRSS := heap, rss
			sampler.Go(func() {
				for !end.Load() {
					topHeap, topRSS = max(topHeap, heapInUse()), max(topRSS, resident(t))
					time.Sleep(5 * time.Millisecond)
				}
			})
			atOnce(calls, release, func(i int) {
				c.do(ctx, f, mem[i*each:(i+1)*each:(i+1)*each], offset(i*each/blockSize)%(sceneBlocks*blockSize-each)&^(blockSize-1))
			})
			end.Store(true)
			sampler.Wait()
			cancel()
			release()
			settle(t, e)
			s.close()
			grown := max(topHeap-heap, topRSS-rss)
			t.Logf("%d %s of %d KiB: the heap grew by %d MiB, the process by %d MiB",
				calls, c.name, each>>10, (topHeap-heap)>>20, (topRSS-rss)>>20)
			// Threads and stacks of goroutines, too, are in the process, but not on the heap.
			if topHeap-heap > limit || topRSS-rss > 2*limit {
				t.Errorf("%d %s of %d KiB that wait take %d MiB: want %d MiB at most on the heap, twice that in all",
					calls, c.name, each>>10, grown>>20, limit>>20)
			}
		}
	})
}
