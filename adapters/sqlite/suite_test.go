package sqlite_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ringfile/ringfile/internal/upstream"
)

// In a copy of go-sqlite3 the default VFS is Default, which tests set to ours: vfs itself cannot import what imports it.
// hook is a file for the tests of a package. RING_DEFAULT leaves the default VFS where it is.
const hook = `package %s

import (
	"fmt"
	"os"

	"github.com/ncruces/go-sqlite3/vfs"

	ring "github.com/ringfile/ringfile/adapters/sqlite"
)

func init() {
	if os.Getenv("RING_DEFAULT") == "" {
		vfs.Default = vfs.Find(ring.Name)
		fmt.Println(%q)
	}
}
`

// mptest is a file for the tests of mptest: with RING_PROCESSES the clients of mptest are processes, not goroutines.
const mptest = `package mptest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3/internal/testenv"
)

type child struct{}

func (child) Context() context.Context        { return context.Background() }
func (child) Logf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func TestMain(m *testing.M) {
	if os.Getenv("RING_CLIENT") != "" {
		args := os.Args[1:]
		testenv.TB = child{}
		testenv.Exit = func(c int32) { os.Exit(int(c)) }
		wrp, err := createWrapper(context.Background())
		if err != nil {
			panic(err)
		}
		argv := wrp.New(int64(ptrlen * len(args)))
		for i, a := range args {
			wrp.Write32(argv+ptr_t(i)*ptrlen, uint32(wrp.NewString(a)))
		}
		os.Exit(int(wrp.Xmain_mptest(int32(len(args)), int32(argv))))
	}
	if os.Getenv("RING_PROCESSES") != "" {
		testenv.System = process
	}
	os.Exit(m.Run())
}

// process starts a client, as system(3) does with a command that ends in &.
func process(command string) int32 {
	args := strings.Fields(command)
	for i := range args {
		args[i] = strings.Trim(args[i], "\"")
	}
	if len(args) < 2 || args[0] != "mptest" || args[len(args)-1] != "&" {
		return -1
	}
	cmd := exec.Command(os.Args[0], args[:len(args)-1]...)
	cmd.Env = append(os.Environ(), "RING_CLIENT=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return -1
	}
	fmt.Println("client is process", cmd.Process.Pid)
	go cmd.Wait()
	return 0
}
`

// onRingfile makes a workspace with a copy of go-sqlite3 whose default VFS is ours.
func onRingfile(t *testing.T) (*upstream.Workspace, *upstream.Module) {
	w := upstream.New(t, "../..", ".")
	m := w.Copy(t, "github.com/ncruces/go-sqlite3")
	// Of an extension that is not tested here; not every proxy has what replaces it.
	m.Edit(t, "go.mod", "replace github.com/segmentio/go-hll => github.com/ncruces/segmentio-hll v1.0.2", "")
	m.Edit(t, "vfs/registry.go", "return vfsOS{}", "return Default")
	m.Write(t, "vfs/default.go", "package vfs\n\nvar Default VFS = vfsOS{}\n")
	for dir, name := range map[string]string{
		"vfs": "vfs_test", "vfs/tests": "tests", "vfs/tests/mptest": "mptest", "vfs/tests/speedtest1": "speedtest1",
		"tests": "tests", "tests/parallel": "tests",
	} {
		m.Write(t, dir+"/ring_test.go", fmt.Sprintf(hook, name, upstream.Mark))
	}
	m.Write(t, "vfs/tests/mptest/process_test.go", mptest)
	return w, m
}

// RINGFILE_SUITES=long runs all that the suites have.
var long = os.Getenv("RINGFILE_SUITES") == "long"

// TestVFS runs the tests of go-sqlite3 and of its vfs.
func TestVFS(t *testing.T) {
	w, m := onRingfile(t)
	args := []string{"-short", "./vfs", "./vfs/tests", "./tests"}
	if long {
		args = append(args[1:], "./tests/parallel")
	}
	upstream.Backends(t, func(t *testing.T) {
		w.Test(t, m, nil, args...).Check(t, 200)
	})
}

// TestMPTest runs SQLite's mptest, those of its scripts that have files, whose clients are goroutines, and once more with
// clients that are processes. The script that crashes with a journal takes longest: in the short form it runs once.
func TestMPTest(t *testing.T) {
	w, m := onRingfile(t)
	upstream.Backends(t, func(t *testing.T) {
		for _, clients := range []string{"goroutines", "processes"} {
			t.Run(clients, func(t *testing.T) {
				scripts, env := "multiwrite01|multiwrite01_wal|crash01_wal|config01", "RING_PROCESSES="
				switch {
				case long:
					scripts = "(multiwrite01|crash01|config01|config02)(_xts|_adiantum)?(_wal)?"
				case t.Name() == "TestMPTest/uring/processes":
					scripts += "|crash01"
				case t.Name() == "TestMPTest/blocking/goroutines":
					t.Skip("short form")
				}
				if clients == "processes" {
					env += "1"
				}
				r := w.Test(t, m, []string{env}, "-run", "mptest/^("+scripts+")$", "./vfs/tests/mptest")
				r.Check(t, 5)
				if strings.Contains(r.Output, "client is process") != (clients == "processes") {
					t.Errorf("clients are not %s:\n%s", clients, r.Output)
				}
			})
		}
	})
}

// TestSpeed runs SQLite's speedtest1; in its long form it compares the time with that of the default VFS.
func TestSpeed(t *testing.T) {
	w, m := onRingfile(t)
	size, rounds := "5x", 1
	if long {
		size, rounds = "100x", 5
	}
	// seconds returns how long it took.
	seconds := func(t *testing.T, env ...string) float64 {
		r := w.Test(t, m, env, "-run=^$", "-bench=speedtest1", "-benchtime="+size, "./vfs/tests/speedtest1")
		if env == nil {
			r.Check(t, 0)
		}
		found := regexp.MustCompile(`(\d+) ns/op`).FindStringSubmatch(r.Output)
		if found == nil {
			t.Fatalf("no time in the output:\n%s", r.Output)
		}
		ns, _ := strconv.Atoi(found[1])
		return float64(ns) * 1e-9
	}
	upstream.Backends(t, func(t *testing.T) {
		var ratios []float64
		for range rounds {
			ours := seconds(t)
			if long {
				ratios = append(ratios, seconds(t, "RING_DEFAULT=1")/ours)
			}
		}
		if long {
			slices.Sort(ratios)
			t.Logf("speed as a multiple of the default VFS's: %.3f (median of %.3f)", ratios[len(ratios)/2], ratios)
		}
	})
}
