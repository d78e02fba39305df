package afero_test

import (
	"fmt"
	"testing"

	"github.com/ringfile/ringfile/internal/upstream"
)

// In a copy of afero, OsFs does what Ring does, which is ours. These are its files os.go and ring_test.go, as afero
// itself cannot import what imports it.
const osGo = `package afero

import (
	"os"
	"time"
)

var Ring interface {
	Fs
	Symlinker
}

type OsFs struct{}

func NewOsFs() Fs { return &OsFs{} }

func (OsFs) Name() string                                        { return "OsFs" }
func (OsFs) Create(name string) (File, error)                    { return Ring.Create(name) }
func (OsFs) Open(name string) (File, error)                      { return Ring.Open(name) }
func (OsFs) OpenFile(n string, f int, p os.FileMode) (File, error) { return Ring.OpenFile(n, f, p) }
func (OsFs) Mkdir(name string, perm os.FileMode) error           { return Ring.Mkdir(name, perm) }
func (OsFs) MkdirAll(name string, perm os.FileMode) error        { return Ring.MkdirAll(name, perm) }
func (OsFs) Remove(name string) error                            { return Ring.Remove(name) }
func (OsFs) RemoveAll(name string) error                         { return Ring.RemoveAll(name) }
func (OsFs) Rename(from, to string) error                        { return Ring.Rename(from, to) }
func (OsFs) Stat(name string) (os.FileInfo, error)               { return Ring.Stat(name) }
func (OsFs) Chmod(name string, mode os.FileMode) error           { return Ring.Chmod(name, mode) }
func (OsFs) Chown(name string, uid, gid int) error               { return Ring.Chown(name, uid, gid) }
func (OsFs) Chtimes(n string, a, m time.Time) error              { return Ring.Chtimes(n, a, m) }
func (OsFs) LstatIfPossible(n string) (os.FileInfo, bool, error) { return Ring.LstatIfPossible(n) }
func (OsFs) SymlinkIfPossible(from, to string) error             { return Ring.SymlinkIfPossible(from, to) }
func (OsFs) ReadlinkIfPossible(name string) (string, error)      { return Ring.ReadlinkIfPossible(name) }
`

var ringTest = fmt.Sprintf(`package afero_test

import (
	"fmt"

	"github.com/spf13/afero"

	ring "github.com/ringfile/ringfile/adapters/afero"
)

func init() {
	afero.Ring = ring.New()
	fmt.Println(%q)
}
`, upstream.Mark)

// TestSuite runs the tests of afero with our file system in the place of OsFs.
func TestSuite(t *testing.T) {
	w := upstream.New(t, "../..", ".")
	m := w.Copy(t, "github.com/spf13/afero")
	m.Write(t, "os.go", osGo)
	m.Write(t, "ring_test.go", ringTest)
	upstream.Backends(t, func(t *testing.T) {
		w.Test(t, m, nil, ".").Check(t, 80)
	})
}
