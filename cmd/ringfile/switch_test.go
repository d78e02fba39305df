package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfile/ringfile/internal/switcher"
)

// switchModule writes a module and returns its folder and a function that reads its files.
func switchModule(t *testing.T) (dir string, contents func() map[string]string) {
	t.Helper()
	for _, tool := range []string{"go", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	dir = filepath.Join(t.TempDir(), "module")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":  "module example.com/m\n\ngo 1.26.0\n",
		"main.go": "package main\n\nimport \"os\"\n\nfunc main() {\n\tf, err := os.Open(os.Args[1])\n\tif err == nil {\n\t\tlock(f)\n\t}\n\tos.ReadFile(\"x\")\n}\n",
		"lock.go": "package main\n\nimport \"os\"\n\nfunc lock(f *os.File) uintptr { return f.Fd() }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() map[string]string {
		texts := map[string]string{}
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.Base(name)] = string(text)
		}
		return texts
	}
}

// gitApply has git apply a patch in dir.
func gitApply(t *testing.T, dir, patch string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"apply"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(patch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("git apply %q: %v\n%s", args, err, out)
	}
}

func equalTexts(a, b map[string]string) bool {
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return len(a) == len(b)
}

// TestSwitch prints what would change, changes it, and takes it back.
func TestSwitch(t *testing.T) {
	dir, contents := switchModule(t)
	before := contents()

	dry := runHere(t, "", "switch", "-n", dir)
	if dry.status != 0 || dry.stderr != "" || !equalTexts(contents(), before) {
		t.Fatalf("-n: %+v\n%q", dry, contents())
	}
	got := runHere(t, "", "switch", filepath.Join(dir, "."))
	const left = `lock.go:5:14: os.File stays: Fd() gives the descriptor away (--fd: all the same)
main.go:6:12: os.Open stays: Fd() gives the descriptor away (--fd: all the same) (lock.go:5:42)
`
	if got.status != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, left) || !strings.Contains(got.stdout, ": 1 call and 0 types in 1 file switched, 2 left\nnow: go mod ") {
		t.Fatalf("%+v", got)
	}
	after := contents()
	if after["lock.go"] != before["lock.go"] || !strings.Contains(after["main.go"], "ringfile.ReadFile(\"x\")") || !strings.HasPrefix(dry.stdout, after[patchName]) {
		t.Errorf("%q", after)
	}

	gitApply(t, dir, after[patchName], "-R")
	if err := os.Remove(filepath.Join(dir, patchName)); err != nil || !equalTexts(contents(), before) {
		t.Errorf("taken back: %v\n%q", err, contents())
	}
	gitApply(t, dir, dry.stdout) // the lines behind the patch do not matter
	if got := contents()["main.go"]; got != after["main.go"] {
		t.Errorf("what -n prints gives %q", got)
	}
}

// TestSwitchInRepository has the module in a folder of a repository: git apply takes names from its top.
func TestSwitchInRepository(t *testing.T) {
	dir, contents := switchModule(t)
	before := contents()
	git := exec.Command("git", "init", "-q", filepath.Dir(dir))
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := runHere(t, "", "switch", dir)
	if got.status != 0 || equalTexts(contents(), before) {
		t.Fatalf("%+v", got)
	}
	gitApply(t, dir, contents()[patchName], "-R")
	if got := contents()["main.go"]; got != before["main.go"] {
		t.Errorf("taken back: %q", got)
	}
}

// TestSwitchFails has a patch that is there already, a file that cannot be written, and no module.
func TestSwitchFails(t *testing.T) {
	dir, contents := switchModule(t)
	patch := filepath.Join(dir, patchName)
	if err := os.WriteFile(patch, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents()
	if got := runHere(t, "", "switch", dir); got.status != exitFailed || !strings.Contains(got.stderr, patchName+" is there") || !equalTexts(contents(), before) {
		t.Errorf("a patch is there: %+v\n%q", got, contents())
	}
	if err := os.Remove(patch); err != nil {
		t.Fatal(err)
	}
	before = contents()
	plan := &switcher.Plan{Root: dir, Files: []switcher.File{
		{Name: "main.go", Old: []byte(before["main.go"]), New: []byte("package main")},
		{Name: "missing/z.go", New: []byte("package z")},
	}}
	if err := carryOut(plan, false, io.Discard); !errors.Is(err, os.ErrNotExist) || !equalTexts(contents(), before) {
		t.Errorf("a file cannot be written: %v\n%q", err, contents())
	}
	if got := runHere(t, "", "switch", t.TempDir()); got.status != exitFailed || !strings.Contains(got.stderr, "is in no Go module") {
		t.Errorf("no module: %+v", got)
	}
}
