// Command bench compares pebble on its default file system with pebble on ringfile: YCSB's workloads A (half reads, half
// updates), B (95 % reads), C (reads) and E (95 % scans of 1 to 100 keys, 5 % inserts), and "sync", which is updates
// alone. All writes are synced.
//
//	go run ./bench -dir /mnt/disk
//
// Each measurement runs in a process of its own, on a copy of the same database, the two file systems in turn. "Cold" is
// with the database evicted from the page cache and all keys equally likely, "cached" with the database read before and
// keys by Zipf's law. Pebble's own cache has its default size, 8 MiB. The table has medians, losing rows first.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	pebblefs "github.com/ringfile/ringfile/adapters/pebble"
	"github.com/ringfile/ringfile/internal/compare"
)

var (
	keys      = flag.Int("keys", 1_000_000, "keys in the database")
	valueSize = flag.Int("value", 1000, "bytes of a value")
)

const states, clients = "cold,cached", "1,16,64,256"

func main() {
	compare.Main(compare.Program{
		Workloads: []compare.Workload{
			{Name: "C", States: states, Clients: clients},
			{Name: "B", States: states, Clients: clients},
			{Name: "A", States: states, Clients: clients},
			{Name: "E", States: states, Clients: clients},
			{Name: "sync", States: "cached", Clients: clients},
		},
		Load:   load,
		Linked: func(name string) bool { return strings.HasSuffix(name, ".sst") },
		Open:   prepare,
	})
}

// open opens the database in dir.
func open(dir string, fs vfs.FS) (*pebble.DB, error) {
	o := &pebble.Options{FS: fs, Logger: quiet{}}
	o.EnsureDefaults()
	o.WithFSDefaults()
	return pebble.Open(dir, o)
}

// quiet is a logger that says only what ends the program.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (quiet) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func key(i int) []byte { return fmt.Appendf(nil, "user%019d", uint64(i)*0x9e3779b97f4a7c15>>1) }

// load makes the database.
func load(dir string) error {
	db, err := open(dir, vfs.Default)
	if err != nil {
		return err
	}
	value := make([]byte, *valueSize)
	random := rand.NewChaCha8([32]byte{1})
	for i := range *keys {
		random.Read(value)
		if err := db.Set(key(i), value, pebble.NoSync); err != nil {
			return err
		}
	}
	if err := db.Flush(); err != nil {
		return err
	}
	if err := db.Compact(context.Background(), []byte("user"), []byte("user~"), true); err != nil {
		return err
	}
	return db.Close()
}

// prepare opens the database for a measurement.
func prepare(dir string, r compare.Run) (compare.Work, error) {
	fs := vfs.FS(vfs.Default)
	if r.Ringfile {
		fs = pebblefs.FS{}
	}
	db, err := open(dir, fs)
	if err != nil {
		return compare.Work{}, err
	}
	var inserted atomic.Int64
	zipfs := make([]*rand.Zipf, r.Clients)
	values := make([][]byte, r.Clients)
	for c := range r.Clients {
		zipfs[c] = rand.NewZipf(rand.New(rand.NewPCG(uint64(c), 2)), 1.01, 1, uint64(*keys-1))
		values[c] = bytes.Repeat([]byte{byte(c)}, *valueSize)
	}
	return compare.Work{Close: db.Close, Do: func(c int, random *rand.Rand) error {
		i := random.IntN(*keys)
		if r.State == "cached" {
			i = int(zipfs[c].Uint64())
		}
		return operate(db, r.Workload, random, i, values[c], &inserted)
	}}, nil
}

// operate does one operation of a workload, on key i.
func operate(db *pebble.DB, workload string, random *rand.Rand, i int, value []byte, inserted *atomic.Int64) error {
	reads, ok := map[string]float64{"A": 0.5, "B": 0.95, "C": 1, "E": 0.95, "sync": 0}[workload]
	switch {
	case !ok:
		return fmt.Errorf("there is no workload %q", workload)
	case random.Float64() >= reads:
		if workload == "E" {
			i = *keys + int(inserted.Add(1))
		}
		return db.Set(key(i), value, pebble.Sync)
	case workload != "E":
		_, closer, err := db.Get(key(i))
		if err != nil {
			return err
		}
		return closer.Close()
	}
	iter, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	left := 1 + random.IntN(100)
	for ok := iter.SeekGE(key(i)); ok && left > 0; ok = iter.Next() {
		if _, err := iter.ValueAndErr(); err != nil {
			break // Close has it, too
		}
		left--
	}
	return iter.Close()
}
