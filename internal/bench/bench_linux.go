package bench

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const oDirect = syscall.O_DIRECT

func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// evict drops the files from the page cache.
func evict(f *os.File, small []string) error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return err
	}
	for _, name := range small {
		s, err := os.Open(name)
		if err != nil {
			return err
		}
		unix.Fdatasync(int(s.Fd()))
		unix.Fadvise(int(s.Fd()), 0, 0, unix.FADV_DONTNEED)
		s.Close()
	}
	return nil
}

// watchThreads looks at the threads of the process until the returned function is called, which
// returns the most there were: all, and those that are kernel workers.
func watchThreads() func() (threads, workers int) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var most, mostWorkers int
	wg.Go(func() {
		for {
			tasks, _ := os.ReadDir("/proc/self/task")
			most = max(most, len(tasks))
			if len(tasks) < 100 {
				n := 0
				for _, t := range tasks {
					comm, _ := os.ReadFile(filepath.Join("/proc/self/task", t.Name(), "comm"))
					if strings.HasPrefix(string(comm), "iou-wrk") {
						n++
					}
				}
				mostWorkers = max(mostWorkers, n)
			}
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return func() (int, int) {
		close(stop)
		wg.Wait()
		return most, mostWorkers
	}
}
