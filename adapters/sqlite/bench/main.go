// Command bench compares SQLite (ncruces/go-sqlite3) on its default VFS with SQLite on ringfile's: "get" looks up random
// rows by their key in one database that is larger than SQLite's cache, through a connection for each client; "commit"
// replaces one row in each transaction, with a sync in each (synchronous=FULL). The workloads with "many" do that in 1,000
// small databases, each client in those that are its own, in turn.
//
//	go run ./bench -dir /mnt/disk
//
// Each measurement runs in a process of its own, on a copy of the same databases, the two in turn. "Cold" is with the
// databases evicted from the page cache. The table has medians, losing rows first.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"

	_ "github.com/ringfile/ringfile/adapters/sqlite"
	"github.com/ringfile/ringfile/internal/compare"
)

var (
	rows      = flag.Int("rows", 1_000_000, "rows of the large database")
	databases = flag.Int("databases", 1000, "small databases")
	journal   = flag.String("journal", "wal", "journal mode")
)

const (
	valueSize = 400
	smallRows = 100
)

func main() {
	compare.Main(compare.Program{
		Workloads: []compare.Workload{
			{Name: "get", States: "cold,cached", Clients: "1,16,64"},
			{Name: "commit", States: "cached", Clients: "1"},
			{Name: "get many", States: "cold,cached", Clients: "64,256"},
			{Name: "commit many", States: "cached", Clients: "1,16,64,256,1000"},
		},
		Load: load,
		Open: open,
	})
}

func large(dir string) string        { return filepath.Join(dir, "large.db") }
func small(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("%d.db", i)) }

// load makes the databases.
func load(dir string) error {
	if err := fill(large(dir), *rows); err != nil {
		return err
	}
	for i := range *databases {
		if err := fill(small(dir, i), smallRows); err != nil {
			return err
		}
	}
	return nil
}

// fill makes a database with n rows.
func fill(name string, n int) error {
	db, err := sqlite3.Open("file:" + name)
	if err != nil {
		return err
	}
	err = db.Exec(fmt.Sprintf(`PRAGMA journal_mode = %s; PRAGMA synchronous = OFF;
		BEGIN;
		CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB);
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, randomblob(%d) FROM n;
		COMMIT`, *journal, n-1, valueSize))
	return errors.Join(err, db.Close())
}

// conn is a connection with the statement that is measured.
type conn struct {
	*sqlite3.Conn
	stmt *sqlite3.Stmt
}

func connect(name string, r compare.Run, query string) (c conn, err error) {
	vfs := "os"
	if r.Ringfile {
		vfs = "ringfile"
	}
	if c.Conn, err = sqlite3.Open("file:" + name + "?vfs=" + vfs + "&_pragma=busy_timeout(10000)&_pragma=synchronous(full)"); err != nil {
		return c, err
	}
	c.stmt, _, err = c.Prepare(query)
	return c, err
}

// open connects to the databases of a workload.
func open(dir string, r compare.Run) (compare.Work, error) {
	query := map[string]string{
		"get": "SELECT v FROM t WHERE k = ?", "get many": "SELECT v FROM t WHERE k = ?",
		"commit": "UPDATE t SET v = randomblob(400) WHERE k = ?", "commit many": "UPDATE t SET v = randomblob(400) WHERE k = ?",
	}[r.Workload]
	names, keys := []string{}, smallRows
	switch r.Workload {
	case "get many", "commit many":
		for i := range *databases {
			names = append(names, small(dir, i))
		}
	default:
		keys = *rows
		for range r.Clients {
			names = append(names, large(dir))
		}
	}
	conns, turns := make([]conn, len(names)), make([]int, r.Clients)
	for i, name := range names {
		var err error
		if conns[i], err = connect(name, r, query); err != nil {
			return compare.Work{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return compare.Work{
		Do: func(client int, random *rand.Rand) error {
			i := client + turns[client]*r.Clients
			if turns[client]++; i+r.Clients >= len(conns) {
				turns[client] = 0
			}
			s := conns[i].stmt
			if err := s.BindInt(1, random.IntN(keys)); err != nil {
				return err
			}
			for s.Step() {
				s.ColumnRawBlob(0)
			}
			return s.Reset()
		},
		Close: func() (err error) {
			for _, c := range conns {
				err = errors.Join(err, c.stmt.Close(), c.Close())
			}
			return err
		},
	}, nil
}
