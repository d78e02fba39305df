package mapped

import (
	"testing"

	"github.com/ringfile/ringfile"
)

// Cached has do be called for File.Cached until the test ends.
func Cached(t *testing.T, do func(f *ringfile.File, off, length int64) (int64, error)) {
	before := cached
	t.Cleanup(func() { cached = before })
	cached = do
}

// Age does what happens to m every few seconds.
func Age(m *Mapping) { m.age() }

// LongAgo makes the last Age one that nothing is known of any more.
func LongAgo(m *Mapping) { m.aged.Add(-int64(believed) - 1) }

// Raw returns all that is mapped, and nothing is made resident.
func Raw(m *Mapping) []byte { return m.data }
