package ringfile

import (
	"testing"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// TestPolledBesideHanging reads from a device that is polled while another one, polled through the
// same ring, does not answer. The reaper must submit meanwhile.
func TestPolledBesideHanging(t *testing.T) {
	for _, tt := range []struct {
		how  string
		read func(f *File, buf []byte) error
	}{
		{"future", func(f *File, buf []byte) error {
			_, err := f.StartReadAt(buf, 0).Await()
			return err
		}},
		{"call", func(f *File, buf []byte) error {
			_, err := f.ReadAt(buf, 0)
			return err
		}},
		{"batch", func(f *File, buf []byte) error {
			var b Batch
			for i := range 4 {
				b.ReadAt(f, buf[i*512:][:512], int64(i)*512)
			}
			return b.Run()
		}},
	} {
		t.Run(tt.how, func(t *testing.T) {
			e, k := fakeEngine(t)
			hangs, works := fakeFile(t, e), fakeFile(t, e)
			q := queueOf(t, works)
			q.mu.Lock() // nothing is in flight: nobody enters
			q.polling.io = true
			q.mu.Unlock()
			k.set(func() { k.hold = func(e *uring.SQE) bool { return int(e.FD) == hangs.t.FD } })
			hanging := make(chan error)
			go func() { hanging <- tt.read(hangs, make([]byte, 2048)) }()
			k.wait(1)
			buf := make([]byte, 512)
			for range 100 {
				if n, err := works.ReadAt(buf, 512); n != 512 || err != nil || testutil.CheckPattern(buf, 512) >= 0 {
					t.Fatalf("beside it: ReadAt = %d, %v, or wrong data", n, err)
				}
			}
			k.set(func() { k.hold = nil })
			k.finish(func(int) int { return 0 })
			if err := <-hanging; err != nil {
				t.Error(err)
			}
		})
	}
}
