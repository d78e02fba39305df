package sqlite_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/ringfile/ringfile/adapters/sqlite"
)

// TestMeasureCalls compares what single calls cost with what they cost on the default VFS: -v -run MeasureCalls.
func TestMeasureCalls(t *testing.T) {
	if !testing.Verbose() {
		t.Skip("prints figures only")
	}
	t.Setenv("SQLITE_TMPDIR", t.TempDir())
	const page = 4096
	buf := make([]byte, page)
	for _, c := range []struct {
		name string
		call func(v vfs.VFS, f vfs.File, name string) error
	}{
		{"read a page", func(_ vfs.VFS, f vfs.File, _ string) error { _, err := f.ReadAt(buf, page); return err }},
		{"read 16 bytes", func(_ vfs.VFS, f vfs.File, _ string) error { _, err := f.ReadAt(buf[:16], 24); return err }},
		{"write a page", func(_ vfs.VFS, f vfs.File, _ string) error { _, err := f.WriteAt(buf, page); return err }},
		{"size", func(_ vfs.VFS, f vfs.File, _ string) error { _, err := f.Size(); return err }},
		{"lock and unlock", func(_ vfs.VFS, f vfs.File, _ string) error {
			if err := f.Lock(vfs.LOCK_SHARED); err != nil {
				return err
			}
			return f.Unlock(vfs.LOCK_NONE)
		}},
		{"look for a journal", func(v vfs.VFS, _ vfs.File, name string) error {
			_, err := v.Access(name+"-journal", vfs.ACCESS_EXISTS)
			return err
		}},
	} {
		var took [2][]time.Duration
		var files [2]vfs.File
		names := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
		all := []vfs.VFS{vfs.Find(""), vfs.Find(sqlite.Name)}
		for i, v := range all {
			f, _, err := v.Open("", vfs.OPEN_READWRITE|vfs.OPEN_CREATE|vfs.OPEN_EXCLUSIVE|vfs.OPEN_TEMP_DB) // others SQLite alone can open
			if err != nil {
				t.Fatal(err)
			}
			files[i] = f
			for at := range int64(64) {
				if _, err := files[i].WriteAt(buf, at*page); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 300 {
			for i, v := range all {
				begin := time.Now()
				for range 50 {
					if err := c.call(v, files[i], names[i]); err != nil {
						t.Fatal(err)
					}
				}
				took[i] = append(took[i], time.Since(begin)/50)
			}
		}
		for i := range took {
			slices.Sort(took[i])
			files[i].Close()
		}
		low := func(d []time.Duration) time.Duration { return d[len(d)/4] }
		t.Logf("%-20s default %6v, ringfile %6v: %.2f times (lower quartiles)", c.name, low(took[0]), low(took[1]), float64(low(took[1]))/float64(low(took[0])))
	}
}
