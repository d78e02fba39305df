package fsys_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/measure"
)

// measuredTree is 100,000 files in 1,000 directories on two levels.
func measuredTree(t *testing.T) string {
	dir, err := os.MkdirTemp(measure.Dir(t), "walk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for i := range 1000 {
		sub := filepath.Join(dir, fmt.Sprint(i/40), fmt.Sprint(i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for k := range 100 {
			f, err := os.Create(filepath.Join(sub, fmt.Sprint(k)))
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	}
	return dir
}

// forget empties the kernel's caches of names and inodes, which needs root.
func forget() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) }

// TestMeasureWalk has the table of docs/filesystem.md: a tree with the size of each file.
func TestMeasureWalk(t *testing.T) {
	dir := measuredTree(t)
	count := func(walk func(string, fs.WalkDirFunc) error) func() (int, error) {
		return func() (n int, err error) {
			err = walk(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				n++
				_, err = d.Info()
				return err
			})
			return n, err
		}
	}
	e, err := ringfile.Default()
	if err != nil {
		t.Fatal(err)
	}
	plain, withContext := bound{fsys.On(e), context.Background()}, bound{fsys.On(e), t.Context()}
	before := e.Stats()
	proof := func() string {
		s := e.Stats()
		p := fmt.Sprintf("ring %d, blocking %d", s.Ring-before.Ring, s.Blocking-before.Blocking)
		before = s
		return p
	}
	measure.Header()
	for _, cell := range []string{"cached", "cold"} {
		var prepare func() error
		if cell == "cold" {
			if err := forget(); err != nil {
				t.Skip(err)
			}
			prepare = forget
		}
		measure.Compare(t, "walk with Info, 100,000 files, "+cell,
			measure.Side{Name: "filepath.WalkDir", Prepare: prepare, Run: count(filepath.WalkDir)},
			measure.Side{Name: "fsys.WalkDir", Prepare: prepare, Run: count(plain.WalkDir), Proof: proof},
			measure.Side{Name: "with a context", Prepare: prepare, Run: count(withContext.WalkDir), Proof: proof})
	}
}

// TestMeasureStat has the other table: what is in memory already.
func TestMeasureStat(t *testing.T) {
	dir, err := os.MkdirTemp(measure.Dir(t), "stat")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	names := make([]string, 256)
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(names[i], nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := ringfile.Default()
	if err != nil {
		t.Fatal(err)
	}
	plain, withContext := bound{fsys.On(e), context.Background()}, bound{fsys.On(e), t.Context()}
	const total = 60_000
	measure.Header()
	for _, goroutines := range []int{1, 32} {
		loop := func(stat func(string) (fs.FileInfo, error)) func() (int, error) {
			return func() (int, error) {
				var wg sync.WaitGroup
				for g := range goroutines {
					wg.Go(func() {
						for i := range total / goroutines {
							if _, err := stat(names[(i+g)%len(names)]); err != nil {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
				return total, nil
			}
		}
		measure.Compare(t, fmt.Sprintf("Stat, cached, %d goroutines", goroutines),
			measure.Side{Name: "os.Stat", Run: loop(os.Stat)},
			measure.Side{Name: "fsys.Stat", Run: loop(plain.Stat)},
			measure.Side{Name: "with a context", Run: loop(withContext.Stat)})
	}
}
