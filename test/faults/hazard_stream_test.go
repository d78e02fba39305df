package faults_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/faults"
)

// endless is a file whose reads wait for somebody, for ever if need be.
type endless struct {
	name string
	path string
	flag int
	feed func() // has something arrive
}

// endlessFiles returns the files that can be had here.
func endlessFiles(t *testing.T) (all []endless) {
	t.Helper()
	write := func(name, text string) func() {
		return func() {
			if f, err := os.OpenFile(name, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				f.WriteString(text)
				f.Close()
			}
		}
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	all = append(all, endless{"FIFO", fifo, os.O_RDWR, write(fifo, "x")})
	if f, err := os.Open("/proc/kmsg"); err == nil {
		f.Close()
		all = append(all, endless{"/proc/kmsg", "/proc/kmsg", os.O_RDONLY, write("/dev/kmsg", "<7>ringfile: test\n")})
	}
	dir := t.TempDir()
	if err := unix.Mount("tracefs", dir, "tracefs", 0, ""); err != nil {
		t.Logf("no trace_pipe: %v", err)
		return all
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	pipe := filepath.Join(dir, "trace_pipe")
	if f, err := os.Open(pipe); err != nil {
		t.Logf("no trace_pipe: %v", err)
	} else {
		f.Close()
		all = append(all, endless{"trace_pipe", pipe, os.O_RDONLY, write(filepath.Join(dir, "trace_marker"), "ringfile: test")})
	}
	return all
}

// readOn reads until there is an error, and returns a channel with that.
func readOn(f file) <-chan error {
	ended := make(chan error, 1)
	go func() {
		p := make([]byte, 1<<14)
		for {
			if _, err := f.Read(p); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// endsAtClose reports whether Close ends a Read that waits, and with which error. If it does not, it is fed.
func endsAtClose(t *testing.T, o opener, x endless) (ends bool, err error) {
	t.Helper()
	f := o.must(t, x.path, x.flag)
	ended := readOn(f)
	time.Sleep(patience)
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	select {
	case err = <-ended:
		ends = true
	case <-time.After(givenUp / 2):
	}
	timeout := time.After(10 * givenUp)
	for closed, ended := (<-chan error)(closed), ended; closed != nil || (ended != nil && !ends); {
		select {
		case <-closed:
			closed = nil
		case <-ended:
			ended = nil
		case <-time.After(10 * time.Millisecond):
			if !ends {
				x.feed()
			}
		case <-timeout:
			t.Fatalf("%s: Read and Close of %s do not return", x.name, o.name)
		}
	}
	return ends, err
}

// TestHazardEndlessClose: where Close of os.File ends a Read that waits for what may never come, that of
// ringfile does, too, and with the same kind of error.
func TestHazardEndlessClose(t *testing.T) {
	files := endlessFiles(t)
	engines(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		for _, x := range files {
			both := openers(e)
			os, osErr := endsAtClose(t, both[0], x)
			ours, err := endsAtClose(t, both[1], x)
			t.Logf("%s: Close ends a Read of os.File: %v, %v; of ringfile: %v, %v", x.name, os, osErr, ours, err)
			if os && !ours {
				t.Errorf("%s: Close ends a Read of os.File, but not one of ringfile", x.name)
			}
			if os && ours && errors.Is(osErr, fs.ErrClosed) != errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s: Read ends with %v, that of os.File with %v", x.name, err, osErr)
			}
		}
	})
}

// TestHazardEndlessReads: nobody waits for 33 reads of what may never come, more than there are permits.
func TestHazardEndlessReads(t *testing.T) {
	const reads = 33
	files := endlessFiles(t)
	fifo := filepath.Join(t.TempDir(), "nobody writes")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	works := newDisk(t, faults.Config{FS: "ext4", Size: 64 << 20, Sound: true})
	kinds := []struct {
		name  string
		begin func(t *testing.T, e *ringfile.Engine) (end func())
	}{
		{"ReadFile of a FIFO", func(t *testing.T, e *ringfile.Engine) func() {
			var wg sync.WaitGroup
			for range reads {
				wg.Go(func() { e.ReadFile(fifo) })
			}
			return func() { feedReaders(&wg, fifo) }
		}},
		{"File.Read", func(t *testing.T, e *ringfile.Engine) func() {
			o := openers(e)[1]
			var ended []<-chan error
			var open []file
			for i := range reads {
				x := files[i%len(files)]
				f, err := o.open(x.path, x.flag)
				if errors.Is(err, unix.EBUSY) { // trace_pipe has one reader at a time
					f, err = o.open(files[0].path, files[0].flag)
				}
				if err != nil {
					t.Fatal(err)
				}
				open, ended = append(open, f), append(ended, readOn(f))
			}
			return func() {
				for i, f := range open {
					go f.Close()
					for {
						select {
						case <-ended[i]:
						case <-time.After(10 * time.Millisecond):
							for _, x := range files { // where Close does not end it
								x.feed()
							}
							continue
						}
						break
					}
				}
			}
		}},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			engines(t, ringfile.Config{Rings: 1, Depth: 16, BlockingLimit: 8}, func(t *testing.T, e *ringfile.Engine) {
				h := newHealthy(t, e, works, healthyCalls)
				defer h.close()
				h.run(50*time.Millisecond, func() {})
				alone := h.run(300*time.Millisecond, func() {})
				tries(t, 3, func() error {
					end := sync.OnceFunc(k.begin(t, e))
					defer end()
					time.Sleep(20 * time.Millisecond)
					return compare(alone, h.run(300*time.Millisecond, end), floor(reads))
				})
			})
		})
	}
}

// feedReaders opens and closes a FIFO for writing until those who read it have found its end.
func feedReaders(wg *sync.WaitGroup, fifo string) {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	for {
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
			if f, err := os.OpenFile(fifo, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				f.Close()
			}
		}
	}
}
