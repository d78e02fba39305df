package ringfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
)

// TestMeasureDsync compares a write and a sync with a write that is durable when it returns, to a file that was opened
// with O_DSYNC (pwritev2(RWF_DSYNC) is that for a single write): many writers of one file, who share syncs, and of a
// file each. See docs/decisions.md.
func TestMeasureDsync(t *testing.T) {
	dir, err := os.MkdirTemp(measure.Dir(t), "ringfile-dsync-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	e := measureEngine(t)
	measure.Header()
	for _, kind := range []struct {
		what   string
		flag   int
		append bool
	}{
		{"over what is there", 0, false},
		{"over what is there, O_DIRECT", oDirect, false},
		{"appending", 0, true},
	} {
		for _, own := range []bool{false, true} {
			for _, n := range []int{1, 8, 32, 128, 1024} {
				m := dsyncMeasure{n: n, own: own, append: kind.append}
				m.run(t, e, dir, kind.what, kind.flag)
			}
		}
	}
}

// dsyncMeasure is a cell: n writers of 4 KiB blocks, of one file or of their own.
type dsyncMeasure struct {
	n      int
	own    bool
	append bool

	plain, plainSync []*os.File       // the second opened with O_DSYNC
	ours, oursSync   []*ringfile.File // the same files
	ends             []atomic.Int64   // of the files, in blocks
	bufs             [][]byte
}

const (
	dsyncBlock = 4096
	dsyncPart  = 64 // blocks that a writer goes over, again and again
	dsyncPiece = 100 * time.Millisecond
)

func (m *dsyncMeasure) run(t *testing.T, e *ringfile.Engine, dir, what string, flag int) {
	files, size := 1, m.n*dsyncPart*dsyncBlock
	if m.own {
		files, size = m.n, dsyncPart*dsyncBlock
	}
	m.ends = make([]atomic.Int64, files)
	for i := range files {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, sync := range []int{0, unix.O_DSYNC} {
			plain, err := os.OpenFile(name, os.O_RDWR|flag|sync, 0)
			if err != nil {
				t.Skip(err)
			}
			defer plain.Close()
			ours, err := e.OpenFile(name, os.O_RDWR|flag|sync, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			if sync == 0 {
				m.plain, m.ours = append(m.plain, plain), append(m.ours, ours)
			} else {
				m.plainSync, m.oursSync = append(m.plainSync, plain), append(m.oursSync, ours)
			}
		}
	}
	for range m.n {
		m.bufs = append(m.bufs, ringfile.AlignedBuffer(dsyncBlock, dsyncBlock))
	}
	cell := fmt.Sprintf("%s, %d writers, one file", what, m.n)
	if m.own {
		cell = fmt.Sprintf("%s, %d writers, a file each", what, m.n)
	}
	measure.Compare(t, cell,
		m.side("WriteAt, Datasync", func(i int, p []byte, off int64) error {
			if _, err := m.ours[i].WriteAt(p, off); err != nil {
				return err
			}
			return m.ours[i].Datasync()
		}),
		m.side("os: write, fdatasync", func(i int, p []byte, off int64) error {
			if _, err := m.plain[i].WriteAt(p, off); err != nil {
				return err
			}
			return unix.Fdatasync(int(m.plain[i].Fd()))
		}),
		m.side("O_DSYNC: WriteAt", func(i int, p []byte, off int64) error {
			_, err := m.oursSync[i].WriteAt(p, off)
			return err
		}),
		m.side("os, O_DSYNC: write", func(i int, p []byte, off int64) error {
			_, err := m.plainSync[i].WriteAt(p, off)
			return err
		}))
}

// side writes for a moment. write writes p to the file with the given number, at off, and makes it durable.
func (m *dsyncMeasure) side(name string, write func(file int, p []byte, off int64) error) measure.Side {
	return measure.Side{Name: name,
		Prepare: func() error {
			for i, f := range m.plain {
				if m.append {
					m.ends[i].Store(0)
					if err := f.Truncate(0); err != nil {
						return err
					}
				}
				if err := f.Sync(); err != nil {
					return err
				}
			}
			return nil
		},
		Run: func() (int, error) {
			var ops atomic.Int64
			var group errgroup.Group
			end := time.Now().Add(dsyncPiece)
			for w := range m.n {
				group.Go(func() error {
					file, first := 0, w*dsyncPart
					if m.own {
						file, first = w, 0
					}
					for i := 0; i == 0 || time.Now().Before(end); i++ {
						block := int64(first + i%dsyncPart)
						if m.append {
							block = m.ends[file].Add(1) - 1
						}
						if err := write(file, m.bufs[w], block*dsyncBlock); err != nil {
							return err
						}
						ops.Add(1)
					}
					return nil
				})
			}
			err := group.Wait()
			return int(ops.Load()), err
		}}
}
