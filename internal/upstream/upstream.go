// Package upstream runs the test suites of other modules, with ringfile in place of what they use by
// default. The suites come from the module cache, or from the module proxy; nothing of theirs is kept.
//
//	w := upstream.New(t, "../..", ".")          // modules of ours that the suites import
//	m := w.Copy(t, "github.com/spf13/afero")    // of the version that our go.mod has
//	m.Replace(t, "os.go", "what we put there")
//	r := w.Test(t, m, nil, "./...")
package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ringfile/ringfile"
)

// Workspace is a folder with copies of modules, in which these use one another, and ours, as they are there
// (go.work).
type Workspace struct {
	dir       string
	use       []string
	goVersion string // the newest that one of them wants
}

// New makes a workspace with the modules of ours in the folders use.
func New(t testing.TB, use ...string) *Workspace {
	w := &Workspace{dir: t.TempDir()}
	for _, dir := range use {
		dir, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		w.add(t, dir)
	}
	return w
}

func (w *Workspace) add(t testing.TB, dir string) {
	t.Helper()
	w.use = append(w.use, dir)
	wants := strings.TrimSpace(command(t, dir, []string{"GOWORK=off"}, "go", "list", "-m", "-f", "{{.GoVersion}}"))
	if version.Compare("go"+wants, "go"+w.goVersion) > 0 {
		w.goVersion = wants
	}
	text := fmt.Sprintf("go %s\n", w.goVersion)
	for _, dir := range w.use {
		text += fmt.Sprintf("use %q\n", dir)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go.work"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Module is a module in a workspace.
type Module struct{ Dir string }

// Copy copies a module, path@version, or path for the version that the go.mod of the caller's module has. Where there
// is neither the module nor a proxy the test is skipped, but not with CI set.
func (w *Workspace) Copy(t testing.TB, module string) *Module {
	t.Helper()
	if !strings.Contains(module, "@") {
		module = strings.TrimSpace(command(t, "", nil, "go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", module))
	}
	var found struct{ Dir, Error string }
	out, err := run("", nil, "go", "mod", "download", "-json", module)
	if err1 := json.Unmarshal(out, &found); err != nil || err1 != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("%s is not to be had: %v %v", module, err, found.Error)
		}
		t.Fatalf("%s is not to be had: %v %v", module, err, found.Error)
	}
	m := &Module{filepath.Join(w.dir, strings.NewReplacer("/", "+", "@", "+").Replace(module))}
	if err := os.CopyFS(m.Dir, os.DirFS(found.Dir)); err != nil {
		t.Fatal(err)
	}
	// What comes from the module cache may not be written to.
	err = filepath.WalkDir(m.Dir, func(name string, d os.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(name, 0o755)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.add(t, m.Dir)
	return m
}

// Write writes a file of the module.
func (m *Module) Write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.Dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Remove removes a file of the module, which must exist.
func (m *Module) Remove(t testing.TB, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(m.Dir, name)); err != nil {
		t.Fatal(err)
	}
}

// Edit replaces old, which must be there once, in a file of the module.
func (m *Module) Edit(t testing.TB, name, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(old)); n != 1 {
		t.Fatalf("%s has %q %d times", name, old, n)
	}
	m.Write(t, name, strings.Replace(string(text), old, replacement, 1))
}

// Mark is what our code in a suite is to print when it starts, to show that the suite does run on ringfile.
const Mark = "ringfile in the place of the default"

// Result is what became of the tests of a run.
type Result struct {
	Passed, Skipped int
	Failed          []string // packages, and tests with their package
	Output          string
}

// Check reports as errors what has failed, a run on something else than ringfile, and one in which fewer tests have
// passed than there are at least.
func (r Result) Check(t testing.TB, atLeast int) {
	t.Helper()
	switch {
	case len(r.Failed) != 0:
		t.Errorf("failed: %q\n%s", r.Failed, r.Output)
	case r.Passed < atLeast:
		t.Errorf("passed: %d, want at least %d\n%s", r.Passed, atLeast, r.Output)
	case !strings.Contains(r.Output, Mark):
		t.Errorf("no %q in the output\n%s", Mark, r.Output)
	}
	t.Logf("passed: %d, skipped: %d", r.Passed, r.Skipped)
}

// event is what go test -json prints.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// To go test all tests of gopkg.in/check.v1 in a package are one. This is what it prints of each that failed, and
// of how many passed.
var (
	check1Failed = regexp.MustCompile(`^(?:FAIL|PANIC): [^ ]+:\d+: ([\w.]+)`)
	check1Passed = regexp.MustCompile(`^(?:OK|OOPS): (\d+) passed`)
)

// Test runs go test in the module with additional environment, and arguments: flags and packages.
func (w *Workspace) Test(t testing.TB, m *Module, env []string, args ...string) Result {
	t.Helper()
	// Without names of folders in what is compiled a later run finds it in the cache.
	args = append([]string{"test", "-json", "-count=1", "-vet=off", "-trimpath"}, args...)
	out, err := run(m.Dir, w.env(env), "go", args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var r Result
	var output strings.Builder // megabytes, in many pieces
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var e event
		if err1 := dec.Decode(&e); err1 == io.EOF {
			break
		} else if err1 != nil {
			t.Fatalf("go %q: %v\n%s", args, err, out)
		}
		name := e.Package
		if e.Test != "" {
			name += " " + e.Test
		}
		if e.Elapsed > 1 {
			t.Logf("%s: %s after %.1f s", name, e.Action, e.Elapsed)
		}
		switch e.Action {
		case "pass":
			if e.Test != "" {
				r.Passed++
			}
		case "skip":
			if e.Test != "" {
				r.Skipped++
			}
		case "fail":
			r.Failed = append(r.Failed, name)
		case "output", "build-output":
			output.WriteString(e.Output)
			if found := check1Failed.FindStringSubmatch(e.Output); found != nil {
				r.Failed = append(r.Failed, e.Package+" "+found[1])
			}
			if found := check1Passed.FindStringSubmatch(e.Output); found != nil {
				n, _ := strconv.Atoi(found[1])
				r.Passed += n
			}
		}
	}
	r.Output = output.String()
	if err != nil && len(r.Failed) == 0 {
		t.Fatalf("go %q: %v\n%s", args, err, r.Output)
	}
	slices.Sort(r.Failed)
	r.Failed = slices.Compact(r.Failed)
	return r
}

// Go runs the go command in the module.
func (w *Workspace) Go(t testing.TB, m *Module, args ...string) {
	t.Helper()
	command(t, m.Dir, w.env(nil), "go", args...)
}

func (w *Workspace) env(env []string) []string {
	return append([]string{"GOWORK=" + filepath.Join(w.dir, "go.work"), "GOFLAGS="}, env...)
}

func command(t testing.TB, dir string, env []string, name string, args ...string) string {
	t.Helper()
	out, err := run(dir, env, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// run runs a command and returns what it prints; an error has what it says about itself.
func run(dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, errors.Bytes())
	}
	return out, err
}

// Backends runs test with each backend that there is, by RINGFILE_BACKEND, which suites inherit.
func Backends(t *testing.T, test func(t *testing.T)) {
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := ringfile.New(ringfile.Config{})
			if err != nil {
				t.Skip(err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			test(t)
		})
	}
}
