package billy_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/ringfile/ringfile/internal/upstream"
)

// osfs is what stands in osfs/os_chroot.go of a copy of go-billy: its default file system is ours.
var osfs = fmt.Sprintf(`package osfs

import (
	"fmt"

	"github.com/go-git/go-billy/v5"

	ring "github.com/ringfile/ringfile/adapters/billy"
)

type ChrootOS = ring.OS

func newChrootOS(dir string) billy.Filesystem { return ring.New(dir) }

func init() { fmt.Println(%q) }
`, upstream.Mark)

// onRingfile makes a workspace with a copy of go-billy that has our file system in the place of osfs.
func onRingfile(t *testing.T) (*upstream.Workspace, *upstream.Module) {
	w := upstream.New(t, "../..", ".")
	m := w.Copy(t, "github.com/go-git/go-billy/v5")
	m.Write(t, "osfs/os_chroot.go", osfs)
	return w, m
}

// RINGFILE_SUITES=long runs all that the suites have.
var long = os.Getenv("RINGFILE_SUITES") == "long"

// TestBilly runs the tests of go-billy that have to do with osfs.
func TestBilly(t *testing.T) {
	w, m := onRingfile(t)
	if !long { // two tests that make 102,400 files each
		for _, test := range []string{"TestTempFileMany", "TestTempFileManyWithUtil"} {
			begin := "TempFileSuite) " + test + "(c *C) {\n\tfor i := 0; i < "
			m.Edit(t, "test/tempfile.go", begin+"1024;", begin+"16;")
		}
	}
	upstream.Backends(t, func(t *testing.T) {
		w.Test(t, m, nil, "./osfs", "./util").Check(t, 100)
	})
}

// TestGoGit runs tests of go-git on osfs and on our file system: nothing may fail on this that does not fail on the other.
func TestGoGit(t *testing.T) {
	const gogit = "github.com/go-git/go-git/v5@v5.19.3"
	packages := []string{"./storage/filesystem/...", "./utils/merkletrie/..."}
	if long {
		packages = []string{"-timeout=40m", "./..."}
	}
	// Tests that want other servers fail, at once.
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	plain := upstream.New(t)
	m := plain.Copy(t, gogit)
	before := plain.Test(t, m, nil, packages...)
	t.Logf("on osfs: passed: %d, failed: %q", before.Passed, before.Failed)
	w, _ := onRingfile(t)
	m = w.Copy(t, gogit)
	upstream.Backends(t, func(t *testing.T) {
		r := w.Test(t, m, nil, packages...)
		r.Failed = slices.DeleteFunc(r.Failed, func(name string) bool { return slices.Contains(before.Failed, name) })
		r.Check(t, before.Passed)
	})
}
