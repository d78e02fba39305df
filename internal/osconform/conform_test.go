//go:build linux

package osconform

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/race"
)

var keep = flag.String("keep", "", "leave the rewritten tests, and the program os.test made of them, in this `directory`")

// TestGoOSTests runs Go's tests of package os against ringfile, once on each route.
//
// RINGFILE_BACKEND, if it names a route, leaves only that one. With -short the tests run in their
// own short form.
func TestGoOSTests(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("Go's tests have to be compiled: ", err)
	}
	module, err := output(goTool, "list", "-f", "{{.Module.Dir}}", ".")
	if err != nil {
		t.Skip("this module has to be compiled from its source: ", err)
	}
	goroot, err := output(goTool, "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(goroot, "src", "os")
	if _, err := os.Stat(filepath.Join(source, "os_test.go")); err != nil {
		t.Skip("this Go installation has no source of os: ", err)
	}
	here := filepath.Join(module, "internal", "osconform")
	list, err := readExceptions(filepath.Join(here, "exceptions.txt"))
	if err != nil {
		t.Fatal(err)
	}

	suite, err := rewriteSuite(source, here, list)
	if err != nil {
		t.Fatal(err)
	}
	stale := append(slices.Clone(list), exception{test: "TestNeverWritten", route: "all", reason: "none"})
	if _, err := rewriteSuite(source, here, stale); err == nil || !strings.Contains(err.Error(), "TestNeverWritten") {
		t.Errorf("a stale exception goes unnoticed: %v", err)
	}
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	binary, err := suite.compile(goTool, module, dir)
	if err != nil {
		t.Fatal(err)
	}
	asked := os.Getenv("RINGFILE_BACKEND")
	for _, backend := range []string{"blocking", "uring"} {
		if asked != "" && asked != "auto" && asked != backend {
			continue
		}
		t.Run(backend, func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", backend)
			engine, err := ringfile.New(ringfile.Config{})
			var missing *ringfile.UnavailableError
			switch {
			case errors.As(err, &missing) && asked != backend:
				t.Skip(err)
			case err != nil:
				t.Fatal(err)
			}
			if err := engine.Close(); err != nil {
				t.Fatal(err)
			}
			runSuite(t, goTool, suite, binary, backend)
		})
	}
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out)), err
}

// compile makes the test program.
func (s *suite) compile(goTool, module, dir string) (string, error) {
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	for name, text := range s.files {
		real := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(name, module), string(filepath.Separator), "_"))
		if err := os.WriteFile(real, text, 0o666); err != nil {
			return "", err
		}
		overlay.Replace[name] = real
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, text, 0o666); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "os.test")
	args := []string{"test", "-c", "-vet=off", "-o", binary, "-overlay", overlayFile, "-ldflags=-checklinkname=0"}
	if race.Enabled {
		args = append(args, "-race")
	}
	cmd := exec.Command(goTool, append(args, s.dir)...)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(err.Error() + "\n" + string(out))
	}
	return binary, nil
}

// event is a line of test2json, as far as it matters here.
type event struct {
	Action string
	Test   string
	Output string
}

// runSuite runs the test program on one route, in the directory that its tests expect.
func runSuite(t *testing.T, goTool string, s *suite, binary, backend string) {
	dir := t.TempDir()
	report := filepath.Join(dir, "report")
	limit := 4 * time.Minute
	if end, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(end)-10*time.Second)
	}
	left := s.leftOut(backend)
	args := []string{"-test.v=test2json", "-test.timeout=" + limit.String()}
	if len(left) > 0 {
		args = append(args, "-test.skip=^("+strings.Join(left, "|")+")$")
	}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.source
	cmd.Env = append(cmd.Environ(), reportEnv+"="+report)
	var raw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &raw, &raw
	start := time.Now()
	failure := cmd.Run()
	took := time.Since(start)

	convert := exec.Command(goTool, "tool", "test2json")
	convert.Stdin = bytes.NewReader(raw.Bytes())
	text, err := convert.Output()
	if err != nil {
		t.Fatal("test2json: ", err)
	}
	var passed, examples, skipped, failed []string
	outputs := make(map[string][]string)
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var e event
		if err := dec.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal("test2json: ", err)
		}
		top, _, sub := strings.Cut(e.Test, "/")
		switch {
		case e.Action == "output":
			outputs[top] = append(outputs[top], e.Output)
		case sub || e.Test == "":
		case e.Action == "pass" && strings.HasPrefix(e.Test, "Example"):
			examples = append(examples, e.Test)
		case e.Action == "pass":
			passed = append(passed, e.Test)
		case e.Action == "skip":
			skipped = append(skipped, e.Test)
		case e.Action == "fail":
			failed = append(failed, e.Test)
		}
	}
	for _, name := range failed {
		t.Errorf("%s failed:\n%s", name, strings.Join(outputs[name], ""))
	}
	if status := 0; failure != nil {
		if exit, ok := errors.AsType[*exec.ExitError](failure); ok {
			status = exit.ExitCode()
		}
		if len(failed) == 0 || status != 1 { // 1: all is said above
			t.Errorf("the tests failed: %v\n%s", failure, tail(raw.String(), 300))
		}
	}
	reason := regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: .*`)
	for _, name := range skipped {
		t.Logf("%s skipped itself: %s", name, strings.TrimSpace(reason.FindString(strings.Join(outputs[name], ""))))
	}

	// Guard against testing nothing, or not what is meant.
	ran := slices.Concat(passed, skipped, failed)
	for _, name := range s.tests {
		if !slices.Contains(ran, name) && !slices.Contains(left, name) {
			t.Errorf("%s was not run", name)
		}
	}
	if least := 3 * len(s.tests) / 4; len(passed) < least || len(passed) < 150 {
		t.Errorf("%d tests passed, want at least %d", len(passed), max(least, 150))
	}
	var did struct {
		Backend string
		Stats   ringfile.Stats
	}
	if text, err := os.ReadFile(report); err != nil {
		t.Error(err)
	} else if err := json.Unmarshal(text, &did); err != nil {
		t.Error(err)
	}
	if did.Backend != backend {
		t.Errorf("the tests ran on %q, want %q", did.Backend, backend)
	}
	// Few of these tests read at an offset, and what is at the position is a system call: TestFileOps of the
	// root package is the comparison with os for rings.
	ringUsed := did.Stats.Ring > 0
	if did.Stats.Unknown != 0 || did.Stats.Broken != 0 || ringUsed != (backend == "uring") {
		t.Errorf("unexpected counts: %+v", did.Stats)
	}
	t.Logf("%s, %s/%s: %d tests of os: %d passed, %d skipped themselves, %d failed, %d left out; %d examples passed; %.1f s",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, len(s.tests)+len(s.removed),
		len(passed), len(skipped), len(failed), len(left)+len(s.removed), len(examples), took.Seconds())
	t.Logf("operations: %d on a ring, %d in the page cache, %d blocking",
		did.Stats.Ring, did.Stats.Cached, did.Stats.Blocking)
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
