package ringfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// TestWalkSlow has a walk believe that describing files is slow, so that it does so with many
// requests, or calls, at a time.
func TestWalkSlow(t *testing.T) {
	defer func(d time.Duration) { slowStats = d }(slowStats)
	slowStats = 0
	dir := t.TempDir()
	want := map[string]int64{}
	for i := range 1000 {
		name := fmt.Sprint(i)
		want[name] = int64(i)
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, backend := range []string{"uring", "blocking"} {
		t.Run(backend, func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", backend)
			e, err := New(Config{Rings: 1, Depth: 16})
			if err != nil {
				t.Skip(err)
			}
			defer testutil.Watchdog(t, time.Minute)()
			seen := 0
			err = e.FileSystem().WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || path == dir {
					return err
				}
				seen++
				st, err := d.Info()
				if err == nil && (st.Size() != want[st.Name()] || st.Name() != d.Name() || !st.Mode().IsRegular()) {
					t.Errorf("%s: %s", path, fs.FormatFileInfo(st))
				}
				return err
			})
			if err != nil || seen != len(want) {
				t.Errorf("%d of %d, %v", seen, len(want), err)
			}
			s := e.Stats()
			if backend == "uring" && s.Ring != uint64(len(want)-2*statGroup) || backend == "blocking" && s.Blocking < statCrowd {
				t.Errorf("not many at a time: %+v", s)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
