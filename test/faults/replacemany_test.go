package faults_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/durable"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/test/faults"
)

var replacements = flag.Int("replacements", 1000, "files that are replaced at the same time")

// slowSync is how long a sync of the disk takes on which many files are replaced.
const slowSync = 10 * time.Millisecond

// manyFiles makes a disk whose syncs are slow, with as many files, and returns their names.
func manyFiles(t *testing.T) []string {
	d := newDisk(t, faults.Config{FS: "ext4", Size: 512 << 20})
	names := make([]string, *replacements)
	for i := range names {
		names[i] = filepath.Join(d.Mount, fmt.Sprint(i))
		if err := os.WriteFile(names[i], []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set(t, d, faults.Rule{Effect: faults.Slow, Kind: faults.Flush, Delay: slowSync})
	return names
}

// replaceAll replaces each file in a goroutine of its own, and returns the most threads that the process had.
func replaceAll(names []string, content string, replace func(name string, data []byte) error) (most int, err error) {
	var group errgroup.Group
	for i, name := range names {
		group.Go(func() error { return replace(name, fmt.Append(nil, content, i)) })
	}
	var done atomic.Bool
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for !done.Load() {
			if all, _ := os.ReadDir("/proc/self/task"); len(all) > most {
				n, _ := threads() // without the kernel's
				most = max(most, n)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	err = group.Wait()
	done.Store(true)
	<-counted
	return most, err
}

// checkAll sees to it that the files have their new content, and that there are no others.
func checkAll(names []string, content string) error {
	for i, name := range names {
		if got, err := os.ReadFile(name); string(got) != fmt.Sprint(content, i) {
			return fmt.Errorf("%s has %q, %v", name, got, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(names[0]))
	if len(entries) != len(names)+1 { // lost+found
		return fmt.Errorf("%d names, want %d: %v", len(entries), len(names)+1, err)
	}
	return nil
}

// replaceManyEnv makes a process that which replaces: threads that others have left idle would be taken for none.
const replaceManyEnv = "RINGFILE_REPLACE_MANY"

// TestReplaceMany replaces many files at the same time on a disk whose syncs take 10 ms: no replacement fails, all
// contents are right, and the number of threads stays below the bound that Config documents. With -replacements 10000
// it takes a minute or two for each backend.
func TestReplaceMany(t *testing.T) {
	if os.Getenv(replaceManyEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestReplaceMany$", "-replacements", fmt.Sprint(*replacements))
		cmd.Env = append(os.Environ(), replaceManyEnv+"=1")
		out, err := cmd.CombinedOutput()
		switch {
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skipf("%s", out)
		default:
			t.Logf("%s", out)
		}
		return
	}
	names := manyFiles(t)
	config := ringfile.Config{BlockingLimit: max(len(names)/20, 8)} // near 512 with 10,000
	before, _ := threads()
	bound := before + threadBound(config, 1)
	routesWithin(t, time.Minute+time.Duration(len(names))*50*time.Millisecond, config, func(t *testing.T, e *ringfile.Engine) {
		content := fmt.Sprint(e.Backend(), " ")
		start := time.Now()
		most, err := replaceAll(names, content, func(name string, data []byte) error {
			return durable.On(e).ReplaceFile(context.Background(), name, data, 0o600)
		})
		took := time.Since(start)
		if err := errors.Join(err, checkAll(names, content)); err != nil {
			t.Error(err)
		}
		if most > bound {
			t.Errorf("%d threads, want %d at most", most, bound)
		}
		s := e.Stats()
		t.Logf("%d files in %v, with %d threads at most (bound %d), %d syncs of which %d were shared", len(names),
			took.Round(time.Millisecond), most, bound, s.Syncs, s.SharedSyncs)
	})
}

// TestMeasureReplaceMany compares that with plain calls behind a semaphore, in turns:
//
//	RINGFILE_MEASURE=/tmp go test -count=1 -v -run TestMeasureReplaceMany . -replacements 10000
func TestMeasureReplaceMany(t *testing.T) {
	measure.Dir(t)
	names := manyFiles(t)
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	places := make(chan struct{}, 4096)
	plainly := func(name string, data []byte) error {
		places <- struct{}{}
		defer func() { <-places }()
		return replacePlainly(name, data)
	}
	durably := func(name string, data []byte) error {
		return durable.On(e).ReplaceFile(context.Background(), name, data, 0o600)
	}
	run := func(content string, replace func(name string, data []byte) error) float64 {
		start := time.Now()
		most, err := replaceAll(names, content, replace)
		took := time.Since(start)
		if err := errors.Join(err, checkAll(names, content)); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d files in %v, %d threads of the process at most", content, len(names), took.Round(time.Millisecond), most)
		return took.Seconds()
	}
	for range 3 {
		ours := run("durable.ReplaceFile", durably)
		t.Logf("ratio %.2f", run("os, 4,096 at a time", plainly)/ours)
	}
}

// replacePlainly is what a careful program does with os.
func replacePlainly(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
