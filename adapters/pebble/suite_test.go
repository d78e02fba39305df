package pebblefs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/upstream"
)

// replaced is a file of each package of pebble whose tests run: it puts our FS in the place of vfs.Default. Once tests
// have used that, in this process or in one that it has started, it says so.
const replaced = `package %s_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ringfile/ringfile"
	pebblefs "github.com/ringfile/ringfile/adapters/pebble"
)

func init() { vfs.Default = pebblefs.FS{} }

func TestMain(m *testing.M) {
	code := m.Run()
	e, err := ringfile.Default()
	if err != nil {
		panic(err)
	}
	used := os.Getenv("RINGFILE_SUITE_USED")
	if s := e.Stats(); s.Cached+s.Ring+s.Blocking > 0 {
		if err := os.WriteFile(used, nil, 0o644); err != nil {
			panic(err)
		}
	}
	if _, err := os.Stat(used); err == nil {
		fmt.Println(%q)
	}
	os.Exit(code)
}
`

// onDisk is a file of pebble's package metamorphic. With -fs disk, v2.1.7 fails when it has chosen to crash a file
// system in memory as well, with any vfs.Default.
const onDisk = `package metamorphic

func init() {
	UseDisk = closureOpt(func(o *runAndCompareOptions) {
		o.mutateTestOptions = append(o.mutateTestOptions, func(t *TestOptions) { t.useDisk, t.strictFS = true, false })
	})
}
`

// suites are the packages of pebble that test on disk.
var suites = []struct {
	dir, name string
	atLeast   int      // so many tests pass
	flags     []string // of the short form
	long      bool     // of the long form only
}{
	{dir: "vfs", name: "vfs", atLeast: 60},
	{dir: ".", name: "pebble", atLeast: 600, long: true},        // all but 8 of them in memory
	{dir: "sstable", name: "sstable", atLeast: 300, long: true}, // nearly all of them in memory
	{dir: "tool", name: "tool", atLeast: 25},
	{dir: "metamorphic", name: "metamorphic", atLeast: 150},
	{dir: "internal/metamorphic", name: "metamorphic", atLeast: 300, flags: []string{"-ops", "uniform:2000-3000"}},
}

// TestSuite runs pebble's own tests with our FS in the place of vfs.Default. With RINGFILE_PEBBLE set to a duration it
// runs them whole, and the metamorphic ones again and again for that long on each backend:
//
//	RINGFILE_PEBBLE=30m go test -run TestSuite -timeout 0 -v .
//
// RINGFILE_PEBBLE_FLAGS has further flags for go test, such as -race or -tags=invariants.
func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles pebble and its tests")
	}
	long := os.Getenv("RINGFILE_PEBBLE")
	soak, err := time.ParseDuration(long)
	if long != "" && err != nil {
		t.Fatal(err)
	}
	w := upstream.New(t, "../..", ".")
	m := w.Copy(t, "github.com/cockroachdb/pebble/v2")
	for _, s := range suites {
		m.Write(t, filepath.Join(s.dir, "ringfile_test.go"), fmt.Sprintf(replaced, s.name, upstream.Mark))
	}
	m.Write(t, "metamorphic/ringfile.go", onDisk)
	upstream.Backends(t, func(t *testing.T) {
		for _, s := range suites {
			t.Run(s.dir, func(t *testing.T) {
				if s.long && long == "" {
					t.Skip("nearly all in memory: in the long form only")
				}
				args := strings.Fields(os.Getenv("RINGFILE_PEBBLE_FLAGS"))
				args = append(args, "-timeout", "1h", "./"+s.dir, "-args")
				if s.dir == "internal/metamorphic" {
					args = append(args, "-fs", "disk", "-dir", t.TempDir())
				}
				if long == "" {
					args = append(args, s.flags...)
				}
				for begin, n := time.Now(), 1; ; n++ {
					used := "RINGFILE_SUITE_USED=" + filepath.Join(t.TempDir(), "used")
					w.Test(t, m, []string{used}, args...).Check(t, s.atLeast)
					if s.dir != "internal/metamorphic" || t.Failed() || time.Since(begin) > soak {
						t.Logf("runs: %d", n)
						break
					}
				}
			})
		}
	})
}
