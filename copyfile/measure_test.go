package copyfile_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/testutil"
)

// evictTree drops the files of a tree from the page cache.
func evictTree(dir string) error {
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return testutil.Evict(name)
	})
}

// measureSize is the length of the large file.
const measureSize = 256 << 20

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
	if err := os.WriteFile(src, testutil.PatternBytes(measureSize), 0o640); err != nil {
		t.Fatal(err)
	}
	measure.Header()
	copying := func(c copyfile.Config) func() (int, error) {
		return func() (int, error) {
			n, err := copyfile.Copy(context.Background(), dst, src, c)
			return int(n >> 20), err
		}
	}
	for _, cold := range []bool{false, true} {
		prepare := func() error {
			os.Remove(dst)
			if cold {
				return testutil.Evict(src)
			}
			_, err := os.ReadFile(src)
			return err
		}
		cell := map[bool]string{false: "one file, in the page cache", true: "one file, cold"}[cold]
		sides := []measure.Side{
			{Name: "io.Copy of os.File", Prepare: prepare, Run: func() (int, error) { return copyByOS(dst, src) }},
			{Name: "cp", Prepare: prepare, Run: func() (int, error) { return measureSize >> 20, exec.Command("cp", "-p", src, dst).Run() }},
			enginetest.Side(e, "Copy", prepare, copying(copyfile.Config{Engine: e})),
		}
		if runtime.GOOS == "linux" && cold {
			sides = append(sides, enginetest.Side(e, "Copy, Direct", prepare, copying(copyfile.Config{Engine: e, Direct: true})))
		}
		for i := range sides {
			run := sides[i].Run
			sides[i].Run = func() (int, error) {
				n, err := run()
				if st, err1 := os.Stat(dst); err == nil && (err1 != nil || st.Size() != measureSize) {
					err = fmt.Errorf("the copy has %v bytes, %w", st, err1)
				}
				return n, err
			}
		}
		measure.Compare(t, cell+" (op: 1 MiB)", sides...)
		if _, err := copyfile.Copy(context.Background(), dst, src, copyfile.Config{Engine: e, Direct: cold}); err != nil {
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
	if out, err := exec.Command("go", "build", "-o", program, "github.com/ringfile/ringfile/cmd/ringfile").CombinedOutput(); err != nil {
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
