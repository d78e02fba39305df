// Package guest has the tests that make sense inside a guest of the kernel matrix only.
package guest

import (
	"os"
	"testing"
)

// children are what the test binary does when a test runs it again, by GUEST_CHILD.
var children = map[string]func() error{"disabled": useDisabled}

func TestMain(m *testing.M) {
	if name := os.Getenv("GUEST_CHILD"); name != "" {
		if err := children[name](); err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// needGuest skips a test that changes the machine, or needs the disks of a guest.
func needGuest(t *testing.T) {
	t.Helper()
	if os.Getenv("KM_GUEST") == "" {
		t.Skip("only in a guest of the kernel matrix: go run ./test/kernels")
	}
}
