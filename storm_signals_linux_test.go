package ringfile_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// pester sends SIGURG and SIGPROF to every thread of the process as fast as it can until the
// returned function is called. The runtime handles both: one is its own for preemption, the other
// it ignores unless a profile is being taken.
func pester(t *testing.T) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		pid := os.Getpid()
		for round := 0; ; round++ {
			tasks, err := os.ReadDir("/proc/self/task")
			if err != nil {
				t.Error(err)
				return
			}
			for _, task := range tasks {
				tid, err := strconv.Atoi(task.Name())
				if err != nil {
					continue
				}
				for range 20 {
					unix.Tgkill(pid, tid, syscall.SIGURG)
					unix.Tgkill(pid, tid, syscall.SIGPROF)
				}
			}
			select {
			case <-end:
				return
			default:
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// TestStormSignals has signals interrupt every call that can be interrupted, while data is read and
// written in every way.
func TestStormSignals(t *testing.T) {
	defer pester(t)()
	stormFiles(t, func(t *testing.T, e *ringfile.Engine, open func() *ringfile.File) {
		f := open()
		defer f.Close()
		const part = fileSize / 16
		storm(t, 16, func(rng *rand.Rand, w int) {
			size := (1 + rng.IntN(8)) * 4096
			off := int64(w)*part + rng.Int64N(int64(part-size)/4096+1)*4096
			seed := rng.Int64N(1 << 40)
			if n, err := anyWrite(t, rng, f, size, off, seed); n != size || err != nil {
				t.Errorf("write of %d at %d = %d, %v", size, off, n, err)
				return
			}
			if rng.IntN(8) == 0 {
				unix.Fadvise(int(f.Fd()), off, int64(size), unix.FADV_DONTNEED)
			}
			got := ringfile.AlignedBuffer(size, 4096)
			n, err := anyRead(t.Context(), rng, f, got, off)
			checkRead(t, n, err, got, seed)
		})
	})
}

// anyWrite writes size bytes of the pattern that belongs at seed at off, in one of the ways there are.
func anyWrite(t *testing.T, rng *rand.Rand, f *ringfile.File, size int, off, seed int64) (n int, err error) {
	buf := ringfile.AlignedBuffer(size, 4096)
	testutil.Pattern(buf, seed)
	switch rng.IntN(8) {
	case 0:
		return f.WriteAt(buf, off)
	case 1:
		return f.StartWriteAt(buf, off).Await()
	case 2:
		return f.WriteAtContext(t.Context(), buf, off)
	case 3:
		return f.WritevAt([][]byte{buf[:512], buf[512:]}, off)
	case 4:
		return f.StartWritevAt([][]byte{buf[:1024], buf[1024:]}, off).Await()
	case 5:
		if n, err = f.WriteAt(buf, off); err == nil {
			err = f.Datasync()
		}
		return n, err
	case 6:
		if n, err = f.WriteAt(buf, off); err == nil {
			_, err = f.StartDatasync().Await()
		}
		return n, err
	}
	if n, err = f.WriteAt(buf, off); err == nil {
		err = f.SyncContext(t.Context())
	}
	return n, err
}

var _ = time.Second
