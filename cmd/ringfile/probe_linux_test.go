package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProbeRefused checks that probe names the cause where io_uring is refused.
func TestProbeRefused(t *testing.T) {
	if !usable() {
		t.Skip("io_uring is refused here anyway; Linux 5.10 allows it")
	}
	for _, c := range []struct{ how, operation, errno, hint string }{
		{"setup EPERM", "io_uring_setup", "EPERM", "seccomp"},
		{"setup ENOSYS", "io_uring_setup", "ENOSYS", "sandbox"},
		{"enter EPERM", "io_uring_enter", "EPERM", "seccomp"},
	} {
		t.Run(c.how, func(t *testing.T) {
			got := runChild(t, child(t, c.how, "probe", "--json", t.TempDir()))
			r := parseReport(t, got.stdout)
			if r.Usable || got.status != exitFailed || r.Reason == nil {
				t.Fatalf("got %+v, status %d, stderr %q", r, got.status, got.stderr)
			}
			if r.Reason.Operation != c.operation || r.Reason.Errno != c.errno || !strings.Contains(r.Reason.Hint, c.hint) {
				t.Errorf("reason: got %+v", r.Reason)
			}
			if r.System.Seccomp == nil || *r.System.Seccomp != 2 || !r.System.NoNewPrivs {
				t.Errorf("seccomp: got %+v", r.System)
			}
			if r.Backend.Name != "blocking" {
				t.Errorf("backend: got %+v", r.Backend)
			}
			for _, route := range r.Path.Routes {
				if route.Route != "blocking" {
					t.Errorf("%s: got %q, want blocking", route.Operation, route.Route)
				}
			}
			text := runChild(t, child(t, c.how, "probe"))
			first, _, _ := strings.Cut(text.stdout, "\n")
			if !strings.HasPrefix(first, "io_uring: NOT usable: "+c.operation+": ") || !strings.Contains(first, "\u2014 ") {
				t.Errorf("verdict: got %q", first)
			}
		})
	}
}

func TestProbeUnwritableDirectory(t *testing.T) {
	got := runHere(t, "", "probe", "--json", "/proc/self")
	r := parseReport(t, got.stdout)
	if r.Path.TestedOn != "nothing" || r.Path.Note == "" || r.Path.FileSystem.Type != "proc" {
		t.Errorf("got %+v", r.Path)
	}
	if text := runHere(t, "", "probe", "/proc/self").stdout; !strings.Contains(text, "cannot create a temporary file: ") {
		t.Errorf("got %q", text)
	}
}

func TestUnescape(t *testing.T) {
	if got := unescape(`/a\040b\134c`); got != `/a b\c` {
		t.Errorf("got %q", got)
	}
}

func TestFindMount(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	fs := fileSystemOf(dir)
	if st, err := os.Stat(fs.MountPoint); err != nil || !st.IsDir() {
		t.Errorf("mount point %q: %v", fs.MountPoint, err)
	}
	if _, err := findMount("no such id", ""); err == nil {
		t.Error("a mount without an id was found")
	}
	byDevice, err := findMount("", fs.Device)
	if err == nil && byDevice.fsType != fs.Type {
		t.Errorf("by device: got %+v, want %+v", byDevice, fs)
	}
}
