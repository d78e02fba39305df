package clients_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// processEnv names the test that a process is for.
const processEnv = "RINGFILE_CLIENTS_TEST"

// inProcess does something in a process of its own, in which the package has not been used yet, and which
// may panic or hang without taking the other tests with it.
func inProcess(t *testing.T, do func()) {
	t.Helper()
	if os.Getenv(processEnv) == t.Name() {
		do()
		return
	}
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.Command(os.Args[0], "-test.run", strings.Join(pattern, "/"), "-test.timeout", "20s")
	cmd.Env = append(os.Environ(), processEnv+"="+t.Name())
	cmd.WaitDelay = 30 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, head(string(out), 25))
	}
}

// head returns the first n lines of s.
func head(s string, n int) string {
	lines := strings.SplitAfterN(s, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "")
}
