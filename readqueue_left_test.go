package ringfile

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestReadQueueLeftWithoutPermits leaves queues whose reads wait for permits that others have for as long as a device
// hangs: nothing of them stays behind.
func TestReadQueueLeftWithoutPermits(t *testing.T) {
	eachBackend(t, Config{BlockingLimit: 2}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var taken []limit.Permit
		for {
			stop := make(chan struct{})
			time.AfterFunc(300*time.Millisecond, func() { close(stop) })
			permit, ok := f.t.dev.calls.AcquireUntil(stop, nil)
			if !ok {
				break
			}
			taken = append(taken, permit)
		}
		defer func() {
			for i := range taken {
				f.t.dev.calls.Release(&taken[i])
			}
		}()
		for range 50 {
			ctx, cancel := context.WithCancel(context.Background())
			q := NewReadQueue(ctx)
			for range 4 {
				q.ReadAt(f, make([]byte, 4096), 0)
			}
			q.Start()
			cancel()
			q.Leave()
			q.Leave()
		}
		stacks := func() string {
			buf := make([]byte, 4<<20)
			return string(buf[:runtime.Stack(buf, true)])
		}
		for end := time.Now().Add(10 * time.Second); strings.Contains(stacks(), "(*Batch).help"); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d goroutines stay behind", strings.Count(stacks(), "(*Batch).help("))
			}
		}
	})
}

// TestReadQueueWaitForNone waits for a read that is not in flight any more: until all that are have finished.
func TestReadQueueWaitForNone(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, e *Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		ctx, cancel := context.WithCancel(context.Background()) // so that no read is settled at once
		defer cancel()
		for range 50 {
			q := NewReadQueue(ctx)
			indexes := map[int]bool{}
			for range 2 {
				i, _ := q.ReadAt(f, make([]byte, 4096), 0)
				indexes[i] = true
			}
			for i := range indexes {
				if err := q.Wait(i); err != nil {
					t.Fatal(err)
				}
			}
			q.Next()
			q.Next()
			used, _ := q.ReadAt(f, make([]byte, 1<<19), 1<<19)
			delete(indexes, used)
			for i := range indexes {
				if err := q.Wait(i); err != nil {
					t.Fatal(err)
				}
			}
			q.Leave()
		}
	})
}
