package ringfile_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/testutil"
)

// evictNamed writes a file's dirty pages out and drops it from the page cache.
func evictNamed(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return evictFile(f)
}

// evictTree is evictNamed for a tree.
func evictTree(dir string) error {
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return evictNamed(name)
	})
}

// TestMeasureCopy compares copies of one large file and of a tree. Each repetition copies to a new
// place, which is removed before the next.
func TestMeasureCopy(t *testing.T) {
	base, err := os.MkdirTemp(measure.Dir(t), "ringfile-copy-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	src, dst := filepath.Join(base, "src"), filepath.Join(base, "dst")
	if err := os.WriteFile(src, patternBytes(measureStreamSize), 0o640); err != nil {
		t.Fatal(err)
	}
	measure.Header()
	copying := func(c ringfile.CopyConfig) func() (int, error) {
		return func() (int, error) {
			n, err := e.CopyFile(context.Background(), dst, src, c)
			return int(n >> 20), err
		}
	}
	for _, cold := range []bool{false, true} {
		prepare := func() error {
			os.Remove(dst)
			if cold {
				return evictNamed(src)
			}
			_, err := os.ReadFile(src)
			return err
		}
		cell := map[bool]string{false: "one file, in the page cache", true: "one file, cold"}[cold]
		sides := []measure.Side{
			{Name: "io.Copy of os.File", Prepare: prepare, Run: func() (int, error) { return copyByOS(dst, src) }},
			{Name: "cp", Prepare: prepare, Run: func() (int, error) { return measureStreamSize >> 20, exec.Command("cp", "-p", src, dst).Run() }},
			ringSide(e, "CopyFile", prepare, copying(ringfile.CopyConfig{})),
		}
		if oDirect != 0 && cold {
			sides = append(sides, ringSide(e, "CopyFile, Direct", prepare, copying(ringfile.CopyConfig{Direct: true})))
		}
		for i := range sides {
			run := sides[i].Run
			sides[i].Run = func() (int, error) {
				n, err := run()
				if st, err1 := os.Stat(dst); err == nil && (err1 != nil || st.Size() != measureStreamSize) {
					err = fmt.Errorf("the copy has %v bytes, %w", st, err1)
				}
				return n, err
			}
		}
		measure.Compare(t, cell+" (op: 1 MiB)", sides...)
		if _, err := e.CopyFile(context.Background(), dst, src, ringfile.CopyConfig{Direct: cold}); err != nil {
			t.Fatal(err)
		}
		sameCopy(t, dst, src)
	}
	measureTree(t, base)
}

// copyByOS is the usual way to copy a file in Go.
func copyByOS(dst, src string) (int, error) {
	in, err := os.Open(src)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	if err1 := out.Close(); err == nil {
		err = err1
	}
	return int(n >> 20), err
}

// measureTree compares ringfile cp and cp -r on a part of the sources of Go.
func measureTree(t *testing.T, base string) {
	program := filepath.Join(base, "ringfile")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/ringfile").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tree, dst := filepath.Join(base, "tree"), filepath.Join(base, "tree2")
	if out, err := exec.Command("cp", "-rp", filepath.Join(testutil.GoSource(t), "encoding"), tree).CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	files := 0
	filepath.WalkDir(tree, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
		}
		return err
	})
	command := func(args ...string) func() (int, error) {
		return func() (int, error) {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				return 0, fmt.Errorf("%w: %s", err, out)
			}
			return files, nil
		}
	}
	for _, cold := range []bool{false, true} {
		prepare := func() error {
			if err := os.RemoveAll(dst); err != nil || !cold {
				return err
			}
			return evictTree(tree)
		}
		cell := map[bool]string{false: "tree, in the page cache (op: a file)", true: "tree, cold (op: a file)"}[cold]
		measure.Compare(t, cell,
			measure.Side{Name: "cp -rp", Prepare: prepare, Run: command("cp", "-rp", tree, dst)},
			measure.Side{Name: "ringfile cp", Prepare: prepare, Run: command(program, "cp", "-q", tree, dst)},
			measure.Side{Name: "ringfile cp --direct", Prepare: prepare, Run: command(program, "cp", "-q", "--direct", tree, dst)},
		)
		if out, err := exec.Command("diff", "-r", tree, dst).CombinedOutput(); err != nil {
			t.Errorf("diff: %v: %s", err, out)
		}
	}
}
