//go:build !linux

package ringfile_test

import (
	"os"
	"testing"
)

func evict(testing.TB, string) {}
func evictFile(*os.File) error { return nil }
