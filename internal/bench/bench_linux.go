package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const oDirect = syscall.O_DIRECT

func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// syncFileSystem writes back the file system that f is on.
func syncFileSystem(f *os.File) error { return unix.Syncfs(int(f.Fd())) }

// evict drops what f has in the page cache, as far as it is written back.
func evict(f *os.File) error { return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// inCacheShare returns how much of the first n bytes of f is in the page cache, -1 if the kernel
// does not tell (before Linux 6.5).
func inCacheShare(f *os.File, n int64) float64 {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: 0, Len: uint64(n)}, &st, 0)
	if err != nil || n <= 0 {
		return -1
	}
	page := int64(os.Getpagesize())
	return min(float64(st.Cache)/float64((n+page-1)/page), 1)
}

// storageOf returns what is behind the files of dir.
func storageOf(dir string) storage {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return device
	}
	switch uint32(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return memory
	case unix.BTRFS_SUPER_MAGIC:
		return copyOnWrite
	}
	return device
}

// sameDevice reports whether two directories are on one.
func sameDevice(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

// machineStat returns the text of /proc/stat.
func machineStat() string {
	text, _ := os.ReadFile("/proc/stat")
	return string(text)
}

// threadCount returns the number of threads of the process.
func threadCount() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("\nThreads:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.Atoi(string(bytes.TrimSpace(line)))
	return n
}

// watchThreads looks at the threads of the process until the returned function is called, which
// returns the most there were: all, and those that are kernel workers. Go's threads do not end and
// idle workers stay for seconds, so that looking at the end of a short piece sees them all.
func watchThreads() func() (threads, workers int) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	most := threadCount()
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				most = max(most, threadCount())
			}
		}
	})
	return func() (int, int) {
		close(stop)
		wg.Wait()
		return max(most, threadCount()), workerCount()
	}
}

func workerCount() (n int) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		comm, _ := os.ReadFile(filepath.Join("/proc/self/task", t.Name(), "comm"))
		if strings.HasPrefix(string(comm), "iou-wrk") {
			n++
		}
	}
	return n
}
