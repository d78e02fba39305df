package fsys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestWalkSlow has a walk believe that fetching Info is slow, so that it makes many calls at a time.
func TestWalkSlow(t *testing.T) {
	defer func(d time.Duration) { slowRead = d }(slowRead)
	slowRead = -time.Hour
	dir := t.TempDir()
	want := map[string]int64{}
	for i := range 1000 {
		name := fmt.Sprint(i)
		want[name] = int64(i)
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	walk := func(t *testing.T, e *ringfile.Engine, ctx context.Context) {
		seen, before := 0, e.Stats().Blocking
		err := On(e).WalkDir(ctx, dir, func(path string, d fs.DirEntry, err error) error {
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
		if calls := e.Stats().Blocking - before; calls < uint64(len(want)) {
			t.Errorf("not many at a time: %d calls", calls)
		}
	}
	eachBackend(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		t.Run("plain", func(t *testing.T) { walk(t, e, context.Background()) })
		t.Run("context", func(t *testing.T) { walk(t, e, t.Context()) })
		t.Run("ends", func(t *testing.T) { // at any moment
			for start := time.Now(); time.Since(start) < testutil.StressTime(t); {
				ctx, cancel := context.WithTimeout(t.Context(), time.Since(start)/20)
				err := On(e).WalkDir(ctx, dir, func(_ string, d fs.DirEntry, err error) error {
					if err == nil {
						_, err = d.Info()
					}
					return err
				})
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				cancel()
			}
		})
	})
}
