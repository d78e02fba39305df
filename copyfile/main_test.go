package copyfile_test

import (
	"os"
	"testing"

	"github.com/ringfile/ringfile/internal/enginetest"
)

// children are what the test binary does when a test runs it again, by RINGFILE_TEST_CHILD.
var children = map[string]func() int{}

func TestMain(m *testing.M) {
	if child := os.Getenv("RINGFILE_TEST_CHILD"); child != "" {
		os.Exit(children[child]())
	}
	enginetest.Main(m)
}
