package patches

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/upstream"
	"github.com/ringfile/ringfile/test/faults"
)

var keep = flag.String("keep", "", "leave the patched program in this `directory`, and test nothing")

// long asks for all suites.
var long = os.Getenv("RINGFILE_SUITES") == "long"

func TestMain(m *testing.M) {
	faults.ServeIfAsked()
	faults.Sweep()
	os.Exit(m.Run())
}

// kit is a patch for a program, and how it is tested and measured.
type kit struct {
	module string // path@version
	edits  []edit
	touch  []string // packages that are changed
	suites []suite
	rigs   []rig
}

// edit replaces an expression in a file, in which it stands once.
type edit struct{ file, old, new string }

// suite is a package whose tests run before and after.
type suite struct {
	dir   string
	flags []string // for go test, those behind the package
	long  bool     // of the long form only
}

// rig is a package with a program of ours that measures it, in place of its tests.
type rig struct {
	dir, source string
	cells       []cell
}

// cell is one thing to be measured.
type cell struct {
	Name       string
	Goroutines int
	Ops        int
	fresh      bool          // each run has a directory of its own, otherwise what the first has made there stays
	rules      []faults.Rule // if not nil it is done on a disk of ext4 for which these hold
}

// result is what testdata/measure.go prints.
type result struct {
	Rate, P99, CPU float64
	Threads        int
}

// plain returns the program as it is.
func (k kit) plain(t *testing.T) (*upstream.Workspace, *upstream.Module) {
	w := upstream.New(t)
	return w, w.Copy(t, k.module)
}

// patched returns the program with the patch.
func (k kit) patched(t *testing.T) (*upstream.Workspace, *upstream.Module) {
	w := upstream.New(t, "../..")
	m := w.Copy(t, k.module)
	for _, e := range k.edits {
		m.Edit(t, e.file, e.old, e.new)
	}
	check := []string{"build", "-trimpath"} // which the cache has the second time
	if long {
		check = []string{"vet"}
	}
	w.Go(t, m, append(check, k.touch...)...)
	return w, m
}

// used is a file of each package whose tests run on ringfile; its test is the last one.
const used = `package %s

import (
	"fmt"
	"testing"

	"github.com/ringfile/ringfile"
)

func TestZRingfile(t *testing.T) {
	e, err := ringfile.Default()
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.Cached+s.Ring+s.Blocking > 0 {
		fmt.Println(%q)
	}
}
`

// test runs the program's own tests before the patch and, on each backend, after it. What fails before may fail after.
func (k kit) test(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the program and its tests")
	}
	if *keep != "" {
		k.keep(t, *keep)
		return
	}
	suites := slices.DeleteFunc(slices.Clone(k.suites), func(s suite) bool { return s.long && !long })
	w, m := k.plain(t)
	before := make([]upstream.Result, len(suites))
	for i, s := range suites {
		before[i] = w.Test(t, m, nil, append([]string{s.dir}, s.flags...)...)
		if before[i].Passed == 0 {
			t.Fatalf("%s", before[i].Output)
		}
		t.Logf("before, %s: passed: %d, skipped: %d, failed: %q", s.dir, before[i].Passed, before[i].Skipped, before[i].Failed)
	}
	w, m = k.patched(t)
	for _, s := range suites {
		m.Write(t, filepath.Join(s.dir, "zz_ringfile_test.go"), fmt.Sprintf(used, filepath.Base(s.dir), upstream.Mark))
	}
	upstream.Backends(t, func(t *testing.T) {
		for i, s := range suites {
			t.Run(s.dir, func(t *testing.T) {
				r := w.Test(t, m, nil, append([]string{s.dir}, s.flags...)...)
				r.Failed = slices.DeleteFunc(r.Failed, func(name string) bool { return slices.Contains(before[i].Failed, name) })
				r.Check(t, before[i].Passed)
			})
		}
	})
}

// keep leaves the patched program in dir, with a go.mod that has ringfile.
func (k kit) keep(t *testing.T, dir string) {
	_, m := k.patched(t)
	if err := os.CopyFS(dir, os.DirFS(m.Dir)); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"mod", "edit", "-replace", "github.com/ringfile/ringfile=" + here},
		{"get", "github.com/ringfile/ringfile@v0.1.0"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %q: %v\n%s", args, err, out)
		}
	}
}

// build makes the program of a rig.
func (r rig) build(t *testing.T, w *upstream.Workspace, m *upstream.Module, name string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(m.Dir, r.dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			m.Remove(t, filepath.Join(r.dir, e.Name()))
		}
	}
	for i, source := range []string{"measure.go", r.source} {
		text, err := os.ReadFile(filepath.Join("testdata", source))
		if err != nil {
			t.Fatal(err)
		}
		m.Write(t, filepath.Join(r.dir, fmt.Sprintf("kit%d_test.go", i)),
			strings.Replace(string(text), "package kit\n", "package "+filepath.Base(r.dir)+"\n", 1))
	}
	w.Go(t, m, "test", "-c", "-trimpath", "-o", name, "./"+r.dir)
	return name
}

// run measures a cell once, in a process of its own.
func (c cell) run(t *testing.T, program, dir string, disk *faults.Disk) (res result, err error) {
	t.Helper()
	if c.fresh {
		if dir, err = os.MkdirTemp(dir, "run-*"); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
	}
	work, err := json.Marshal(struct {
		cell
		Dir string
	}{c, dir})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run", "^TestKit$", "-test.timeout", "30m")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RINGFILE_KIT="+string(work), "GOTRACEBACK=none") // of thousands of goroutines
	var errors bytes.Buffer
	cmd.Stderr = &errors
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line, ours := strings.CutPrefix(lines.Text(), "kit: "); {
		case ours && line == "ready":
			if disk != nil {
				if err := disk.Set(c.rules...); err != nil {
					t.Error(err)
				}
			}
			in.Close()
		case ours:
			found = json.Unmarshal([]byte(line), &res) == nil
		case line != "" && line != "PASS":
			t.Log(line)
		}
	}
	if err = cmd.Wait(); err != nil {
		err = fmt.Errorf("%w\n%s", err, errors.Bytes())
	}
	if disk != nil {
		if err := disk.Set(); err != nil {
			t.Error(err)
		}
	}
	if err == nil && !found {
		err = fmt.Errorf("no result")
	}
	return res, err
}

// measure compares the program before and after the patch, in turn, and prints a table.
func (k kit) measure(t *testing.T) {
	dir := measure.Dir(t)
	bin := t.TempDir()
	w0, m0 := k.plain(t)
	w1, m1 := k.patched(t)
	type row struct {
		ratio float64
		text  string
	}
	var rows []row
	for i, r := range k.rigs {
		programs := [2]string{
			r.build(t, w0, m0, filepath.Join(bin, fmt.Sprint("before", i))),
			r.build(t, w1, m1, filepath.Join(bin, fmt.Sprint("after", i))),
		}
		made, err := os.MkdirTemp(dir, "kit-*")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(made)
		for _, c := range r.cells {
			t.Run(fmt.Sprint(c.Name, " ", c.Goroutines), func(t *testing.T) {
				ratio, text := c.row(c.compare(t, programs, made))
				rows = append(rows, row{ratio, text})
				t.Log(text)
			})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.ratio, b.ratio) })
	fmt.Println("| work | goroutines | before, after: operations/s | ratio (range) | p99, ms | processor time, µs | threads |\n|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Println(r.text)
	}
}

// compare runs a cell before and after the patch, in turn.
func (c cell) compare(t *testing.T, programs [2]string, dir string) (results [2][]result) {
	var disk *faults.Disk
	if c.rules != nil {
		disk = newDisk(t)
		dir = disk.Mount
	}
	for rep := range measure.Reps + 1 {
		for i := range programs {
			if rep%2 == 1 {
				i = 1 - i // each goes first as often as last
			}
			res, err := c.run(t, programs[i], dir, disk)
			if err != nil {
				t.Fatal(err)
			}
			if rep > 0 {
				results[i] = append(results[i], res)
			}
		}
	}
	return results
}

// row is a line of the table, with medians.
func (c cell) row(results [2][]result) (ratio float64, text string) {
	both := func(format string, value func(r result) float64) string {
		var text [2]string
		for i := range results {
			var all []float64
			for _, r := range results[i] {
				all = append(all, value(r))
			}
			text[i] = fmt.Sprintf(format, measure.Median(all))
		}
		return text[0] + ", " + text[1]
	}
	var ratios []float64
	for i, r := range results[1] {
		ratios = append(ratios, r.Rate/results[0][i].Rate)
	}
	ratio = measure.Median(ratios)
	return ratio, fmt.Sprintf("| %s | %d | %s | %.2f (%.2f-%.2f) | %s | %s | %s |", c.Name, c.Goroutines,
		both("%.0f", func(r result) float64 { return r.Rate }), ratio, slices.Min(ratios), slices.Max(ratios),
		both("%.3g", func(r result) float64 { return r.P99 }), both("%.1f", func(r result) float64 { return r.CPU }),
		both("%.0f", func(r result) float64 { return float64(r.Threads) }))
}

// newDisk makes a disk that can be slow.
func newDisk(t *testing.T) *faults.Disk {
	t.Helper()
	if err := faults.Possible(); err != nil {
		t.Skip(err)
	}
	d, err := faults.Start(faults.Config{FS: "ext4", Size: 2 << 30, Parallel: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
