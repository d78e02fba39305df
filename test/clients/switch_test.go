package clients_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfile/ringfile/internal/upstream"
)

// TestSwitch has "ringfile switch" rewrite modules of others, whose tests pass then on each backend.
func TestSwitch(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the command, modules of others and their tests")
	}
	program := filepath.Join(t.TempDir(), "ringfile")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/ringfile/ringfile/cmd/ringfile").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		module, done string
		passes       int
	}{
		{"github.com/tidwall/wal@v1.2.1", "7 calls and 1 type in 1 file switched, 0 left", 10},
		{"gopkg.in/natefinch/lumberjack.v2@v2.2.1", "5 calls and 1 type in 2 files switched, 0 left", 10},
	} {
		t.Run(c.module, func(t *testing.T) {
			w := upstream.New(t, "../..")
			m := w.Copy(t, c.module)
			out, err := exec.Command(program, "switch", m.Dir).CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.done) {
				t.Errorf("%v\n%s\nwant %q", err, out, c.done)
			}
			upstream.Backends(t, func(t *testing.T) {
				r := w.Test(t, m, nil, "-short", "./...")
				if len(r.Failed) > 0 || r.Passed < c.passes {
					t.Errorf("passed: %d, failed: %q\n%s", r.Passed, r.Failed, r.Output)
				}
			})
		})
	}
}
