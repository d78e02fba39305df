package faults_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
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
	pageSize = 16 << 10 // of the file in TestPowerCutsAtomic
	pages    = 32
)

// TestPowerCutsAtomic: a power cut tears no write of WriteAtAtomic, where it tears others of that size, and loses none
// that was synced. It takes a file system that has atomic writes on this disk: XFS, from Linux 6.16 on.
func TestPowerCutsAtomic(t *testing.T) {
	probe := open(t, newEngine(t), filepath.Join(newDisk(t, faults.Config{FS: "xfs"}).Mount, "probe"), os.O_CREATE)
	smallest, largest, err := probe.AtomicWriteUnits()
	probe.Close()
	if err != nil || smallest > pageSize || largest < pageSize {
		t.Skipf("XFS writes from %d to %d bytes atomically here (%v)", smallest, largest, err)
	}
	t.Logf("to repeat: -seed %d -states %d", *seed, *states)
	for i, c := range []struct {
		w    workload
		torn bool
	}{
		{paging("atomic", func(f *ringfile.File, p []byte, off int64) error { return f.WriteAtAtomic(p, off) }), false},
		{paging("control", func(f *ringfile.File, p []byte, off int64) error {
			_, err := f.WriteAt(p, off)
			return err
		}), true},
	} {
		t.Run(c.w.name, func(t *testing.T) {
			defer testutil.Watchdog(t, 2*time.Minute+time.Duration(*states)*time.Second)()
			errs := powerCut(t, "xfs", c.w, max(*states, 50), rand.New(rand.NewPCG(*seed, uint64(i))))
			if c.torn {
				if len(errs) == 0 {
					t.Error("no write is torn that is not atomic")
				}
				return
			}
			for _, err := range errs {
				t.Error(err)
			}
		})
	}
}

// newEngine makes an engine until the test ends.
func newEngine(t *testing.T) *ringfile.Engine {
	t.Helper()
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// paging is a workload that writes pages, each sector of which has the page's number and that of the write.
func paging(name string, write func(f *ringfile.File, p []byte, off int64) error) workload {
	const sector = 512
	fill := func(p []byte, page int, seq uint64) {
		for i := 0; i < len(p); i += sector {
			binary.LittleEndian.PutUint64(p[i:], uint64(page))
			binary.LittleEndian.PutUint64(p[i+8:], seq)
		}
	}
	run := func(e *ringfile.Engine, dir string, rng *rand.Rand, promise func(uint64) error) (uint64, error) {
		f, err := e.OpenFile(filepath.Join(dir, "pages"), os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o600)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		p := ringfile.AlignedBuffer(pageSize, 4096)
		for page := range pages {
			fill(p, page, 0)
			if _, err := f.WriteAt(p, int64(page)*pageSize); err != nil {
				return 0, err
			}
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		if err := syncDir(e, dir); err != nil {
			return 0, err
		}
		const times = 200
		for seq := uint64(1); seq <= times; seq++ {
			page := int(seq*7) % pages
			fill(p, page, seq)
			if err := write(f, p, int64(page)*pageSize); err != nil {
				return seq, err
			}
			if seq%4 != 0 {
				continue
			}
			if err := f.Datasync(); err != nil {
				return seq, err
			}
			if err := promise(seq); err != nil {
				return seq, err
			}
		}
		return times, nil
	}
	check := func(dir string, promised uint64) error {
		p, err := os.ReadFile(filepath.Join(dir, "pages"))
		if promised == 0 {
			return nil // the file may not be there yet
		} else if err != nil || len(p) != pages*pageSize {
			return &lostError{promised, 0, fmt.Sprintf("%d bytes, %v", len(p), err)}
		}
		for page := range pages {
			seq := binary.LittleEndian.Uint64(p[page*pageSize+8:])
			for off := page * pageSize; off < (page+1)*pageSize; off += sector {
				if binary.LittleEndian.Uint64(p[off:]) != uint64(page) || binary.LittleEndian.Uint64(p[off+8:]) != seq {
					return &lostError{promised, seq, fmt.Sprintf("page %d is torn", page)}
				}
			}
			for due := promised; due > 0 && due+pages > promised; due-- {
				if int(due*7)%pages == page && seq < due {
					return &lostError{due, seq, fmt.Sprintf("page %d is old", page)}
				}
			}
		}
		return nil
	}
	return workload{name, run, check}
}
