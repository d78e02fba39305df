package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ringfile/ringfile"
)

// parseReport reads a report strictly: the JSON form has all the keys and no others.
func parseReport(t *testing.T, text string) (r report) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if dec.More() {
		t.Fatalf("more than one value in %s", text)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"usable", "reason", "os", "arch", "kernel", "ringfile_version", "backend", "system", "ring", "path"} {
		if _, ok := keys[key]; !ok {
			t.Errorf("key %q is missing", key)
		}
	}
	if len(keys) != 10 {
		t.Errorf("keys: got %d, want 10", len(keys))
	}
	return r
}

// usable is whether io_uring is, by the package's own account.
func usable() bool { return ringfile.Available() == nil }

func TestProbeVerdict(t *testing.T) {
	wantStatus, wantLine := 0, "io_uring: usable\n"
	if !usable() {
		wantStatus, wantLine = 1, "io_uring: NOT usable: "
	}
	got := runHere(t, "", "probe")
	if got.status != wantStatus || !strings.HasPrefix(got.stdout, wantLine) || got.stderr != "" {
		t.Errorf("got %+v, want status %d and %q", got, wantStatus, wantLine)
	}
	got = runHere(t, "", "probe", "--json")
	r := parseReport(t, got.stdout)
	if r.Usable != usable() || got.status != wantStatus {
		t.Errorf("usable: got %v, status %d", r.Usable, got.status)
	}
	if r.OS != runtime.GOOS || r.Arch != runtime.GOARCH || r.Backend.Variable != nil || r.Path != nil {
		t.Errorf("got %+v", r)
	}
	if (r.Reason == nil) != r.Usable {
		t.Errorf("usable %v, reason %v", r.Usable, r.Reason)
	}
	if r.Usable && (r.Backend.Name != "uring" || r.Backend.Rings < 1) {
		t.Errorf("got %+v", r.Backend)
	}
	if r.Ring != nil && (len(r.Ring.Features) == 0 || len(r.Ring.Ops) < 20) {
		t.Errorf("got %+v", r.Ring)
	}
}

// TestProbeBackendVariable checks that the verdict is about io_uring, whatever was asked for.
func TestProbeBackendVariable(t *testing.T) {
	for _, value := range []string{"auto", "blocking", "nonsense", ""} {
		t.Setenv("RINGFILE_BACKEND", value)
		r := parseReport(t, runHere(t, "", "probe", "--json").stdout)
		if r.Usable != usable() {
			t.Errorf("%q: usable: got %v", value, r.Usable)
		}
		if r.Backend.Variable == nil || *r.Backend.Variable != value {
			t.Errorf("%q: variable: got %v", value, r.Backend.Variable)
		}
		switch {
		case value == "nonsense" && !strings.Contains(r.Backend.Error, "nonsense"),
			value == "blocking" && r.Backend.Name != "blocking":
			t.Errorf("%q: got %+v", value, r.Backend)
		}
		if os.Getenv("RINGFILE_BACKEND") != value {
			t.Errorf("%q: probe changed the variable", value)
		}
		got := runHere(t, "", "probe", t.TempDir())
		if !strings.Contains(got.stdout, "RINGFILE_BACKEND="+value) {
			t.Errorf("%q: got %q", value, got.stdout)
		}
		if value == "nonsense" && got.status != exitFailed {
			t.Errorf("%q: status %d though programs fail", value, got.status)
		}
		first, _, _ := strings.Cut(got.stdout, "\n")
		if want := map[string]string{"blocking": "switched off by", "nonsense": "programs fail with"}[value]; usable() && !strings.Contains(first, want) {
			t.Errorf("%q: got %q, want %q", value, first, want)
		}
	}
}

func TestProbeDirectory(t *testing.T) {
	dir := t.TempDir()
	r := parseReport(t, runHere(t, "", "probe", "--json", dir).stdout)
	if r.Path == nil || r.Path.Path != dir {
		t.Fatalf("got %+v", r.Path)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("probe leaves %v behind", left)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if r.Path.Kind != "directory" || r.Path.TestedOn != "temporary file" || r.Path.FileSystem.Type == "unknown" || r.Path.FileSystem.MountPoint == "" {
		t.Errorf("got %+v", r.Path)
	}
	if len(r.Path.Routes) < 7 {
		t.Errorf("routes: got %v", r.Path.Routes)
	}
	for _, route := range r.Path.Routes {
		if route.Route == "" && route.Error == "" {
			t.Errorf("%s took no route", route.Operation)
		}
	}
	for name, a := range map[string]ability{"nowait read": r.Path.NowaitRead, "nowait write": r.Path.NowaitWrite,
		"direct read": r.Path.DirectRead, "direct write": r.Path.DirectWrite} {
		if a.Able == nil || (a.Result == "ok") && !*a.Able {
			t.Errorf("%s: got %+v", name, a)
		}
	}
}

// TestProbeFile checks that a file that is named is only read.
func TestProbeFile(t *testing.T) {
	for _, size := range []int{0, 100, 8192} {
		name := filepath.Join(t.TempDir(), "f")
		data := randomBytes(size)
		if err := os.WriteFile(name, data, 0o400); err != nil {
			t.Fatal(err)
		}
		was, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		got := runHere(t, "", "probe", "--json", name)
		r := parseReport(t, got.stdout)
		is, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		now, _ := os.ReadFile(name)
		if !bytes.Equal(now, data) || !was.ModTime().Equal(is.ModTime()) || was.Mode() != is.Mode() {
			t.Errorf("%d bytes: the file was changed", size)
		}
		if runtime.GOOS != "linux" {
			continue
		}
		if r.Path.Kind != "file" || r.Path.NowaitRead.Able == nil || r.Path.NowaitWrite.Able != nil || r.Path.DirectWrite.Able != nil {
			t.Errorf("%d bytes: got %+v", size, r.Path)
		}
		for _, route := range r.Path.Routes {
			if !strings.HasSuffix(route.Operation, "_read") {
				t.Errorf("%d bytes: %s was tried", size, route.Operation)
			}
		}
	}
}

func TestPageBreaksLines(t *testing.T) {
	var p page
	p.row("label", strings.Repeat("word ", 40)+strings.Repeat("x", 100))
	for i, line := range strings.Split(strings.TrimSuffix(p.b.String(), "\n"), "\n") {
		if len(line) > pageWidth && !strings.Contains(line, "xxx") {
			t.Errorf("line %d has %d columns: %q", i, len(line), line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("line %d ends in a space: %q", i, line)
		}
	}
	if n := strings.Count(p.b.String(), "word"); n != 40 {
		t.Errorf("words: got %d, want 40", n)
	}
}
