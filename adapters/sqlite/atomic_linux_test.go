package sqlite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/adapters/sqlite"
)

// xfs mounts a new XFS, which from Linux 6.16 on has atomic writes on any disk.
func xfs(t *testing.T) string {
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(320 << 20)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.xfs", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%q: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// TestAtomic: where pages can be written atomically, a transaction that changes one needs no journal, and one sync.
func TestAtomic(t *testing.T) {
	dir := xfs(t)
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	vfs.Register("atomic", sqlite.On(e))
	defer func() {
		vfs.Unregister("atomic")
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	probe, err := e.OpenFile(filepath.Join(dir, "probe"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	smallest, largest, err := probe.AtomicWriteUnits()
	probe.Close()
	if err != nil || smallest > 4096 || largest < 4096 {
		t.Skipf("XFS writes from %d to %d bytes atomically here (%v)", smallest, largest, err)
	}
	syncs := func(query string) uint64 {
		db, err := sqlite3.Open("file:" + filepath.Join(dir, "db") + "?vfs=atomic" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Exec("CREATE TABLE IF NOT EXISTS a(n); INSERT INTO a VALUES (0)"); err != nil {
			t.Fatal(err)
		}
		before := e.Stats().Syncs
		for range 100 {
			if err := db.Exec("UPDATE a SET n = n + 1"); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"); n != 1 {
			t.Errorf("integrity_check: %v", err)
		}
		return e.Stats().Syncs - before
	}
	plain, atomic := syncs(""), syncs("&atomic=1")
	t.Logf("100 transactions of a page: %d syncs, with atomic writes %d", plain, atomic)
	if atomic > 101 || plain < 200 {
		t.Errorf("%d syncs, with atomic writes %d", plain, atomic)
	}
	crash(t, dir, "&atomic=1")
}
