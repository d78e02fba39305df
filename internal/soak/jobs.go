//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

const (
	directFlag  = syscall.O_DIRECT
	maxTransfer = 128 << 10
)

// worker is a goroutine that makes load.
type worker struct {
	*soak
	rng *rand.Rand
	buf []byte
	own *ringfile.File // ownBytes of Pattern, which it writes over and over
}

// jobs are what the load consists of.
var jobs = []struct {
	name   string
	weight int
	do     func(w *worker) error
}{
	{"cached read", 300, (*worker).readCached},
	{"direct read", 150, (*worker).readDirect},
	{"vectored read", 60, (*worker).readVector},
	{"cold read", 20, (*worker).readCold},
	{"write", 150, (*worker).write},
	{"sync", 3, (*worker).sync},
	{"futures", 60, (*worker).futures},
	{"cancelled futures", 40, (*worker).cancelFutures},
	{"abandoned futures", 20, (*worker).abandonFutures},
	{"ending context", 80, (*worker).endContext},
	{"deadline", 40, (*worker).deadline},
	{"open and close", 60, (*worker).openClose},
	{"close in flight", 20, (*worker).closeInFlight},
	{"engine", 2, (*worker).openEngine},
}

// place draws a stretch of the shared file, aligned for O_DIRECT.
func (w *worker) place() (p []byte, off int64) {
	n := 4096 << w.rng.IntN(5)
	return w.buf[:n], int64(w.rng.IntN((sharedBytes-n)/4096)) * 4096
}

// slow returns the file whose reads wait for the device.
func (w *worker) slow() *ringfile.File {
	if w.direct {
		return w.uncached
	}
	return w.cached
}

// check compares what was read with what the file contains.
func check(p []byte, n int, off int64, err error) error {
	switch bad := testutil.CheckPattern(p[:n], off); {
	case err != nil:
		return err
	case n != len(p):
		return fmt.Errorf("%d of %d bytes at %d", n, len(p), off)
	case bad >= 0:
		return fmt.Errorf("wrong data at %d", off+int64(bad))
	}
	return nil
}

func (w *worker) readCached() error {
	p, off := w.place()
	n, err := w.cached.ReadAt(p, off)
	return check(p, n, off, err)
}

func (w *worker) readDirect() error {
	p, off := w.place()
	n, err := w.slow().ReadAt(p, off)
	return check(p, n, off, err)
}

func (w *worker) readVector() error {
	p, off := w.place()
	cut := len(p) / 4096 / 2 * 4096
	n, err := w.slow().ReadvAt([][]byte{p[:cut], p[cut:]}, off)
	return check(p, n, off, err)
}

// readCold reads after the page cache has been asked to drop the file.
func (w *worker) readCold() error {
	conn, err := w.cached.SyscallConn()
	if err != nil {
		return err
	}
	if err := conn.Control(func(fd uintptr) {
		unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED) // a wish
	}); err != nil {
		return err
	}
	return w.readCached()
}

// fill writes the worker's own file.
func (w *worker) fill() error {
	for off := int64(0); off < ownBytes; off += maxTransfer {
		testutil.Pattern(w.buf, off)
		if _, err := w.own.WriteAt(w.buf, off); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) write() error {
	p, off := w.place()
	off %= ownBytes - int64(len(p))
	testutil.Pattern(p, off)
	n, err := w.own.WriteAt(p, off)
	if err != nil || n != len(p) {
		return fmt.Errorf("%d of %d bytes: %w", n, len(p), err)
	}
	clear(p)
	n, err = w.own.ReadAt(p, off)
	return check(p, n, off, err)
}

func (w *worker) sync() error {
	_, err := w.own.StartDatasync().Await()
	return errors.Join(err, w.own.Sync())
}

// read is a future with its buffer.
type read struct {
	p      []byte
	off    int64
	future *ringfile.Future[int]
}

// start starts reads of f side by side.
func (w *worker) start(f *ringfile.File, n int) []read {
	all := make([]read, n)
	for i := range all {
		_, off := w.place()
		p := w.buf[i*4096:][:4096]
		all[i] = read{p, off, f.StartReadAt(p, off)}
	}
	return all
}

// await awaits all futures; what passes tells which errors are expected.
func await(all []read, expected func(error) bool) (err error) {
	for _, r := range all {
		n, err1 := r.future.Await()
		if err1 == nil || !expected(err1) {
			err = errors.Join(err, check(r.p, n, r.off, err1))
		}
	}
	return err
}

func never(error) bool         { return false }
func cancelled(err error) bool { return errors.Is(err, context.Canceled) }
func closed(err error) bool    { return errors.Is(err, fs.ErrClosed) }

func (w *worker) futures() error { return await(w.start(w.slow(), 16), never) }

func (w *worker) cancelFutures() error {
	all := w.start(w.slow(), 16)
	for i := range all {
		if i%2 == 0 {
			all[i].future.Cancel()
		}
	}
	return await(all, cancelled)
}

// abandonFutures starts reads that nobody awaits, in memory that nobody else keeps.
func (w *worker) abandonFutures() error {
	for range 4 {
		_, off := w.place()
		w.slow().StartReadAt(ringfile.AlignedBuffer(4096, 4096), off)
	}
	return nil
}

// endContext reads with a context that ends about when the device answers.
func (w *worker) endContext() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w.rng.IntN(300))*time.Microsecond)
	defer cancel()
	p, off := w.place()
	n, err := w.slow().ReadAtContext(ctx, p, off)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return check(p, n, off, err)
}

func (w *worker) deadline() error {
	f, err := w.engine.OpenFile(w.shared, w.openFlag(), 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.SetReadDeadline(time.Now().Add(time.Duration(w.rng.IntN(300)) * time.Microsecond)); err != nil {
		return err
	}
	p, off := w.place()
	n, err := f.ReadAt(p, off)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return check(p, n, off, err)
}

func (w *worker) openFlag() int {
	if w.direct {
		return directFlag
	}
	return 0
}

func (w *worker) openClose() error {
	f, err := w.engine.Open(w.shared)
	if err != nil {
		return err
	}
	p, off := w.place()
	n, err := f.ReadAt(p, off)
	return errors.Join(check(p, n, off, err), f.Close())
}

func (w *worker) closeInFlight() error {
	f, err := w.engine.OpenFile(w.shared, w.openFlag(), 0)
	if err != nil {
		return err
	}
	all := w.start(f, 8)
	return errors.Join(f.Close(), await(all, closed))
}

// openEngine makes an engine, and closes it while it works.
func (w *worker) openEngine() error {
	e, err := ringfile.New(ringfile.Config{Rings: 1, Depth: 16})
	if err != nil {
		return err
	}
	f, err := e.OpenFile(w.shared, w.openFlag(), 0)
	if err != nil {
		return errors.Join(err, e.Close())
	}
	all := w.start(f, 8)
	return errors.Join(e.Close(), await(all, closed), f.Close())
}

// runtimesOwn tells the descriptors of Go's poller from others, by how they are described.
func runtimesOwn(fd string) bool { return strings.Contains(fd, "anon_inode:[event") }
