package raftwal_test

import (
	"fmt"
	"testing"

	"github.com/ringfile/ringfile/internal/upstream"
)

// replaced takes the place of all of raft-wal's package fs.
var replaced = fmt.Sprintf(`package fs

import (
	"fmt"

	"github.com/ringfile/ringfile/adapters/raftwal"
)

func init() { fmt.Println(%q) }

type FS struct{ raftwal.FS }

func New() *FS { return &FS{} }
`, upstream.Mark)

// TestSuite runs raft-wal's own tests with our FS in the place of its own.
func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles raft-wal and its tests")
	}
	w := upstream.New(t, "../..", ".")
	m := w.Copy(t, "github.com/hashicorp/raft-wal")
	m.Remove(t, "fs/file.go")
	m.Write(t, "fs/fs.go", replaced)
	upstream.Backends(t, func(t *testing.T) {
		// The first takes ten seconds, twice, with a file system in memory; the second, of a codec and without files, panics
		// in one run of ten, whenever chance chooses a length above 65528.
		w.Test(t, m, nil, "-skip", "^(TestConcurrentReadersAndWriter|TestFrameCodecFuzz)$", ".", "./fs", "./segment", "./metadb", "./migrate", "./verifier").Check(t, 99)
	})
}
