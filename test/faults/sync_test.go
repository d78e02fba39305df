package faults_test

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

var syncCalls = []struct {
	name string
	do   func(f *ringfile.File) error
}{
	{"Sync", (*ringfile.File).Sync},
	{"Datasync", (*ringfile.File).Datasync},
	{"StartSync", func(f *ringfile.File) error { _, err := f.StartSync().Await(); return err }},
	{"StartDatasync", func(f *ringfile.File) error { _, err := f.StartDatasync().Await(); return err }},
	{"SyncContext", func(f *ringfile.File) error { return f.SyncContext(context.Background()) }},
	{"DatasyncContext", func(f *ringfile.File) error { return f.DatasyncContext(context.Background()) }},
	{"deadline", func(f *ringfile.File) error {
		_, err := withDeadline(f, func() (int, error) { return 0, f.Sync() })
		return err
	}},
}

// TestSyncFails: a sync whose writes fail says so, once for each open file, and what could not be
// written is gone: docs/durability.md describes this, after fsync(2).
func TestSyncFails(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		name, bad := onDisk(t, d)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			for _, c := range syncCalls {
				f := open(t, e, name, 0)
				other := open(t, e, name, 0)
				failSync(t, d, bad, f, other, c.name, c.do)
				later := open(t, e, name, 0)
				if err := c.do(later); err != nil {
					t.Errorf("%s on a file opened after the failure: %v", c.name, err)
				}
				restore(t, d, f, c.name, c.do)
				f.Close()
				other.Close()
				later.Close()
			}
		})
	})
}

// failSync writes to the bad block, sees the sync fail, and finds what fsync(2) says.
func failSync(t *testing.T, d *faults.Disk, bad int64, f, other *ringfile.File, name string, sync func(*ringfile.File) error) {
	t.Helper()
	fresh := make([]byte, blockSize)
	testutil.Pattern(fresh, 1<<40)
	set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Write, From: bad, To: bad + blockSize})
	defer set(t, d)
	if n, err := f.WriteAt(fresh, badBlock*blockSize); n != blockSize || err != nil {
		t.Errorf("%s: writing to the page cache: %d, %v", name, n, err)
	}
	checkEIO(t, sync(f), "sync", f.Name())
	if err := sync(f); err != nil {
		t.Errorf("%s: reported twice to one open file: %v", name, err)
	}
	checkEIO(t, sync(other), "sync", other.Name())
	if err := sync(other); err != nil {
		t.Errorf("%s: reported twice to the other open file: %v", name, err)
	}
	readBack(t, f)
}

// restore finds that the disk has what was there before the failed sync, writes it again and sees
// that this is kept.
func restore(t *testing.T, d *faults.Disk, f *ringfile.File, name string, sync func(*ringfile.File) error) {
	t.Helper()
	p := make([]byte, blockSize)
	dropCache(t, f)
	if _, err := f.ReadAt(p, badBlock*blockSize); err != nil {
		t.Errorf("%s: reading after the failure: %v", name, err)
	} else if testutil.CheckPattern(p, badBlock*blockSize) >= 0 {
		t.Errorf("%s: the block is not what it was before the write that failed", name)
	}
	for _, off := range []int64{2 << 40, badBlock * blockSize} {
		testutil.Pattern(p, off)
		if _, err := f.WriteAt(p, badBlock*blockSize); err != nil {
			t.Errorf("%s: writing again: %v", name, err)
		}
		if err := sync(f); err != nil {
			t.Errorf("%s: after the disk works again: %v", name, err)
		}
		dropCache(t, f)
		if _, err := f.ReadAt(p, badBlock*blockSize); err != nil || testutil.CheckPattern(p, off) >= 0 {
			t.Errorf("%s: what was written again is not there: %v", name, err)
		}
	}
}

// TestFlushFails: a flush that the disk refuses fails the sync that asked for it.
func TestFlushFails(t *testing.T) {
	d := newDisk(t, faults.Config{})
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		for _, c := range syncCalls {
			f := open(t, e, d.Device, 0)
			set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Flush, Count: 1})
			if _, err := f.WriteAt(make([]byte, blockSize), 0); err != nil {
				t.Errorf("%s: write: %v", c.name, err)
			}
			checkEIO(t, c.do(f), "sync", d.Device)
			if err := c.do(f); err != nil {
				t.Errorf("%s: once the disk flushes again: %v", c.name, err)
			}
			f.Close()
		}
	})
}

// TestSynchronousWriteFails: on a file opened with O_SYNC or O_DSYNC the write is what fails.
func TestSynchronousWriteFails(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		name, bad := onDisk(t, d)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			for _, flag := range []int{unix.O_DSYNC, os.O_SYNC, unix.O_DSYNC | unix.O_DIRECT} {
				for _, c := range writeCalls {
					f := open(t, e, name, flag)
					p := patterned(t, blockSize, badBlock*blockSize)
					set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Write, From: bad, To: bad + blockSize})
					_, err := c.do(f, p, badBlock*blockSize)
					checkEIO(t, err, "write", name)
					set(t, d)
					if n, err := c.do(f, p, badBlock*blockSize); n != blockSize || err != nil {
						t.Errorf("%s, flags %#x, the disk works again: %d, %v", c.name, flag, n, err)
					}
					readBack(t, f)
					f.Close()
				}
			}
		})
	})
}
