package faults_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

const (
	blockSize = 4096
	blocks    = 16
	badBlock  = 7
)

// call is a way to read or write all of p at off.
type call struct {
	name string
	do   func(f *ringfile.File, p []byte, off int64) (int, error)
}

// halves makes a vector of p.
func halves(p []byte) [][]byte { return [][]byte{p[:len(p)/2], p[len(p)/2:]} }

// withDeadline makes a call on a file that has a deadline, which does not pass.
func withDeadline(f *ringfile.File, do func() (int, error)) (int, error) {
	f.SetDeadline(time.Now().Add(time.Hour))
	defer f.SetDeadline(time.Time{})
	return do()
}

var readCalls = []call{
	{"ReadAt", (*ringfile.File).ReadAt},
	{"ReadvAt", func(f *ringfile.File, p []byte, off int64) (int, error) { return f.ReadvAt(halves(p), off) }},
	{"StartReadAt", func(f *ringfile.File, p []byte, off int64) (int, error) { return f.StartReadAt(p, off).Await() }},
	{"ReadAtContext", func(f *ringfile.File, p []byte, off int64) (int, error) {
		return f.ReadAtContext(context.Background(), p, off)
	}},
	{"deadline", func(f *ringfile.File, p []byte, off int64) (int, error) {
		return withDeadline(f, func() (int, error) { return f.ReadAt(p, off) })
	}},
}

var writeCalls = []call{
	{"WriteAt", (*ringfile.File).WriteAt},
	{"WritevAt", func(f *ringfile.File, p []byte, off int64) (int, error) { return f.WritevAt(halves(p), off) }},
	{"StartWriteAt", func(f *ringfile.File, p []byte, off int64) (int, error) { return f.StartWriteAt(p, off).Await() }},
	{"WriteAtContext", func(f *ringfile.File, p []byte, off int64) (int, error) {
		return f.WriteAtContext(context.Background(), p, off)
	}},
	{"deadline", func(f *ringfile.File, p []byte, off int64) (int, error) {
		return withDeadline(f, func() (int, error) { return f.WriteAt(p, off) })
	}},
}

// checkEIO checks the error of an operation that the disk has failed.
func checkEIO(t *testing.T, err error, op, name string) {
	t.Helper()
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Op != op || pe.Path != name || pe.Err != unix.EIO {
		t.Errorf("got %#v (%v), want EIO in a *fs.PathError with op %s", err, err, op)
	}
}

// onDisk makes a file whose blocks are on the disk and returns its name and where its bad block is.
func onDisk(t *testing.T, d *faults.Disk) (name string, bad int64) {
	t.Helper()
	name = filepath.Join(d.Mount, "file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, blocks*blockSize)
	testutil.Pattern(p, 0)
	if _, err := f.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if bad, err = d.Find(p[badBlock*blockSize : (badBlock+1)*blockSize]); err != nil {
		t.Fatal(err)
	}
	return name, bad
}

// open opens a file on e until the test ends, with the given flags beside O_RDWR.
func open(t *testing.T, e *ringfile.Engine, name string, flag int) *ringfile.File {
	t.Helper()
	f, err := e.OpenFile(name, os.O_RDWR|flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// modes runs test with the flags of buffered and of direct files.
func modes(t *testing.T, test func(t *testing.T, flag int)) {
	t.Run("buffered", func(t *testing.T) { test(t, 0) })
	t.Run("direct", func(t *testing.T) { test(t, unix.O_DIRECT) })
}

// readBack checks every block of the file but the bad one.
func readBack(t *testing.T, f *ringfile.File) {
	t.Helper()
	p := aligned(t, blockSize)
	for i := range int64(blocks) {
		if i == badBlock {
			continue
		}
		if n, err := f.ReadAt(p, i*blockSize); n != blockSize || err != nil {
			t.Errorf("block %d: %d bytes, %v", i, n, err)
		} else if at := testutil.CheckPattern(p, i*blockSize); at >= 0 {
			t.Errorf("block %d differs at %d", i, at)
		}
	}
}

// TestReadFails: a block that cannot be read fails the reads that need it, says so, and nothing
// else comes of it.
func TestReadFails(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		name, bad := onDisk(t, d)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			modes(t, func(t *testing.T, flag int) {
				f := open(t, e, name, flag)
				defer f.Close()
				for _, c := range readCalls {
					dropCache(t, f)
					set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Read, From: bad, To: bad + blockSize})
					failingRead(t, f, c)
					readBack(t, f)
					set(t, d)
					p := aligned(t, blockSize)
					if n, err := c.do(f, p, badBlock*blockSize); n != blockSize || err != nil {
						t.Errorf("%s, the disk works again: %d bytes, %v", c.name, n, err)
					}
				}
			})
		})
	})
}

// failingRead reads the bad block, and a range with the bad block in its middle.
func failingRead(t *testing.T, f *ringfile.File, c call) {
	t.Helper()
	p := aligned(t, blockSize)
	n, err := c.do(f, p, badBlock*blockSize)
	checkEIO(t, err, "read", f.Name())
	if n != 0 {
		t.Errorf("%s of the bad block: n is %d", c.name, n)
	}
	p = aligned(t, 4*blockSize)
	const start = (badBlock - 2) * blockSize
	n, err = c.do(f, p, start)
	checkEIO(t, err, "read", f.Name())
	if n > 2*blockSize {
		t.Errorf("%s beyond the bad block: n is %d", c.name, n)
	}
	if at := testutil.CheckPattern(p[:n], start); at >= 0 {
		t.Errorf("%s: of the %d bytes that were read, %d is wrong", c.name, n, at)
	}
}

// TestDirectWriteFails: a block that cannot be written fails the write, says so, and nothing else
// comes of it.
func TestDirectWriteFails(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		name, bad := onDisk(t, d)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			f := open(t, e, name, unix.O_DIRECT)
			defer f.Close()
			p := patterned(t, blockSize, badBlock*blockSize)
			wide := patterned(t, 4*blockSize, (badBlock-2)*blockSize)
			for _, c := range writeCalls {
				set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Write, From: bad, To: bad + blockSize})
				n, err := c.do(f, p, badBlock*blockSize)
				checkEIO(t, err, "write", name)
				if n != 0 {
					t.Errorf("%s of the bad block: n is %d", c.name, n)
				}
				n, err = c.do(f, wide, (badBlock-2)*blockSize)
				checkEIO(t, err, "write", name)
				if n > 2*blockSize {
					t.Errorf("%s beyond the bad block: n is %d", c.name, n)
				}
				readBack(t, f)
				set(t, d)
				if n, err := c.do(f, p, badBlock*blockSize); n != blockSize || err != nil {
					t.Errorf("%s, the disk works again: %d bytes, %v", c.name, n, err)
				}
				readBack(t, f)
			}
		})
	})
}
