package ringfile

import (
	"os"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// TestBatchTrouble has io_uring_enter refuse now and then, and fail for good, while batches run.
func TestBatchTrouble(t *testing.T) {
	for name, breaks := range map[string]int{"now and then": 1 << 30, "for good": 20} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			hook := func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
				if calls++; calls > breaks {
					return 0, syscall.EBADF, true
				}
				switch calls % 7 {
				case 0:
					return 0, syscall.EINTR, true
				case 2:
					return 0, syscall.EAGAIN, true
				case 5:
					return 0, 0, true // success, and nothing done
				}
				return 0, 0, false
			}
			e := hookedEngine(t, serialized(hook))
			f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDONLY|testDirect, 0)
			if err != nil {
				t.Skip(err)
			}
			defer f.Close()
			var b Batch
			for range 20 {
				var bufs [][]byte
				for i := range 200 {
					buf := AlignedBuffer(4096, 4096)
					bufs = append(bufs, buf)
					b.ReadAt(f, buf, int64(i)*4096)
				}
				if err := b.Run(); err != nil {
					t.Fatal(err)
				}
				for i, buf := range bufs {
					if testutil.CheckPattern(buf, int64(i)*4096) >= 0 {
						t.Fatalf("wrong data at %d", i*4096)
					}
				}
				b.Reset()
			}
			if s := e.Stats(); s.InFlight != 0 || s.Unknown != 0 {
				t.Errorf("stats: %+v", s)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// serialized makes calls of a hook one at a time.
func serialized(hook uring.EnterHook) uring.EnterHook {
	turn := make(chan struct{}, 1)
	return func(toSubmit, minComplete uint32, flags uring.EnterFlags) (int, syscall.Errno, bool) {
		turn <- struct{}{}
		defer func() { <-turn }()
		return hook(toSubmit, minComplete, flags)
	}
}
