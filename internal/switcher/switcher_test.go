package switcher

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unpack writes the files of a text into a folder. Each begins with a line like "-- name --".
func unpack(t *testing.T, dir, text string) {
	t.Helper()
	parts := regexp.MustCompile(`(?m)^-- (.*) --\n`).FindAllStringSubmatchIndex(text, -1)
	for i, p := range parts {
		end := len(text)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		name := filepath.Join(dir, text[p[2]:p[3]])
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text[p[1]:end]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// needGo skips the test where there is no go command.
func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
}

// testModule writes the module of testdata into a folder.
func testModule(t *testing.T) string {
	t.Helper()
	needGo(t)
	text, err := os.ReadFile("testdata/module.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	unpack(t, dir, string(text))
	return dir
}

func makePlan(t *testing.T, dir string, o Options) *Plan {
	t.Helper()
	plan, err := Make(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestMake compares what becomes of each line with what stands behind it.
func TestMake(t *testing.T) {
	dir := testModule(t)
	plan := makePlan(t, dir, Options{})
	left := map[string]string{} // by line
	for _, l := range plan.Left {
		left[fmt.Sprintf("%s:%d", l.At.Filename, l.At.Line)] += l.What + ": " + l.Why + "\n"
	}
	gone := map[string]bool{} // lines of which the code is not there any more
	code := regexp.MustCompile(`(?m)[ \t]+(//.*)?`)
	for _, f := range plan.Files {
		n := 0
		for _, l := range difference(split(code.ReplaceAllString(string(f.Old), "")), split(code.ReplaceAllString(string(f.New), ""))) {
			if l[0] != '+' {
				n++
			}
			gone[fmt.Sprintf("%s:%d", f.Name, n)] = gone[fmt.Sprintf("%s:%d", f.Name, n)] || l[0] == '-'
		}
	}
	lines, err := filepath.Glob(filepath.Join(dir, "*", "*.go"))
	deeper, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*.go"))
	if lines = append(lines, deeper...); err != nil || len(lines) < 5 {
		t.Fatal(lines, err)
	}
	for _, name := range lines {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		name, _ = filepath.Rel(dir, name)
		for i, line := range split(string(text)) {
			at := fmt.Sprintf("%s:%d", filepath.ToSlash(name), i+1)
			line = strings.TrimSpace(line)
			_, says, _ := strings.Cut(line, " // ")
			why, stays := strings.CutPrefix(says, "stays: ")
			switch {
			case stays && !strings.Contains(left[at], why):
				t.Errorf("%s: %s\nleft: %q", at, line, left[at])
			case !stays && left[at] != "":
				t.Errorf("%s: %s\nleft: %q", at, line, left[at])
			}
			if is, want := gone[at], strings.HasPrefix(says, "switched"); is != want && line != "" {
				t.Errorf("%s: %s\nswitched: %v", at, line, is)
			}
		}
	}
	if want := []string{"internal/stays/other_plan9.go", "internal/windows/windows.go"}; fmt.Sprint(plan.Skipped) != fmt.Sprint(want) {
		t.Errorf("skipped %q, want %q", plan.Skipped, want)
	}
}

// TestCompiles has the real package in the place of the stand-ins: what has been switched compiles, and go vet
// finds nothing, with all options.
func TestCompiles(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {API: true, Fd: true, Fsys: true}} {
		dir := testModule(t)
		plan := makePlan(t, dir, o)
		for _, f := range plan.Files {
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.New, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o666); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"mod", "edit", "-require=github.com/ringfile/ringfile@v0.0.0", "-replace=github.com/ringfile/ringfile=" + root},
			{"vet", "-mod=mod", "-unusedresult=false", "./..."},
		} {
			cmd := exec.Command("go", args...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%+v: go %s: %v\n%s", o, args[0], err, out)
			}
		}
	}
}

// TestOptions looks at what each option adds.
func TestOptions(t *testing.T) {
	dir := testModule(t)
	for _, c := range []struct {
		options Options
		line    string // that comes
	}{
		{Options{API: true}, "\t*ringfile.File // stays: File is exported"},
		{Options{Fd: true}, "\tf, err := ringfile.Open(name) // stays: Fd() gives the descriptor away (--fd: all the same)"},
		{Options{Fsys: true}, "\tdefer fsys.Remove(context.Background(), from)"},
	} {
		if strings.Contains(string(makePlan(t, dir, Options{}).Patch()), "+"+c.line) {
			t.Errorf("without %+v: %q is there", c.options, c.line)
		}
		if !strings.Contains(string(makePlan(t, dir, c.options).Patch()), "+"+c.line) {
			t.Errorf("%+v: %q is not there", c.options, c.line)
		}
	}
}

// TestFail has modules that cannot be switched.
func TestFail(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	if _, err := Make(dir, Options{}); err == nil || !strings.Contains(err.Error(), "is in no Go module") {
		t.Errorf("no module: %v", err)
	}
	unpack(t, dir, "-- go.mod --\nmodule example.com/m\n")
	if _, err := Make(dir, Options{}); err == nil || !strings.Contains(err.Error(), "has no Go packages") {
		t.Errorf("no packages: %v", err)
	}
	unpack(t, dir, "-- m.go --\npackage m\n\nvar x = y\n")
	if _, err := Make(dir, Options{}); err == nil || !strings.Contains(err.Error(), "undefined: y") {
		t.Errorf("a mistake: %v", err)
	}
}

// TestUnified has git apply patches, forward and backward.
func TestUnified(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip(err)
	}
	long := strings.Repeat("same\n", 20)
	for _, c := range [][2]string{
		{"a\n", "b\n"},
		{"a", "b"},
		{"a", "a\n"},
		{"a\n\nb\n", "a\n\nc\n\nb\n"},
		{long + "a\n" + long + "b\nc\n" + long, "x\n" + long + "A\n" + long + "b\nC\nd\n" + long},
		{"a\n" + long + "b\n" + long[:30] + "c\n", long + "B\n" + long[:30]},
		{"a\n\nb\n\nc\n", "A\n\nB\n\nC\n"},
		{"a\r\nb\r\n", "a\nb\r\nc\r\n"},
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "file")
		var patch bytes.Buffer
		unified(&patch, "file", c[0], c[1])
		text := c[0]
		for i, args := range [][]string{{"apply"}, {"apply", "-R"}} {
			if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(git, args...)
			cmd.Dir, cmd.Stdin = dir, bytes.NewReader(patch.Bytes())
			out, err := cmd.CombinedOutput()
			got, _ := os.ReadFile(name)
			if text = string(got); err != nil || text != c[1-i] {
				t.Errorf("%v %q: got %q, want %q; %v: %s\n%s", args, c[i], got, c[1-i], err, out, &patch)
			}
		}
	}
}
