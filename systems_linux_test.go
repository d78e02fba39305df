package ringfile_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/fsx"
)

// TestFileSystems tries what file systems have or have not, on each of them and on every backend: on the one that
// temporary files are on, and on new ones.
func TestFileSystems(t *testing.T) {
	tests := []struct {
		name string
		test func(t *testing.T, e *ringfile.Engine, kind, dir string)
	}{
		{"Allocate", testAllocate}, {"NextData", testNextData}, {"Writeback", testWriteback}, {"Lock", testLock}, {"Atomic", testAtomic},
	}
	all := func(t *testing.T, kind, dir string) {
		for _, c := range tests {
			t.Run(c.name, func(t *testing.T) {
				test := func(t *testing.T, e *ringfile.Engine) { c.test(t, e, kind, dir) }
				routes(t, ringfile.Config{}, test)
				t.Run("sqpoll", func(t *testing.T) {
					route(t, ringfile.BackendURing, ringfile.Config{SQPoll: &ringfile.SQPollConfig{}}, test)
				})
			})
		}
	}
	kinds := map[uint32]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs"}
	t.Run("here", func(t *testing.T) {
		var st unix.Statfs_t
		dir := t.TempDir()
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		kind, ok := kinds[uint32(st.Type)]
		if !ok {
			t.Skipf("temporary files are on another file system (%#x)", st.Type)
		}
		all(t, kind, dir)
	})
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			if testing.Short() {
				t.Skip("makes a file system")
			}
			dir, undo, err := fsx.Mount(t.Context(), kind, t.TempDir())
			if err != nil {
				t.Skip(err)
			}
			defer func() {
				if err := undo(); err != nil {
					t.Error(err)
				}
			}()
			all(t, kind, dir)
		})
	}
}
