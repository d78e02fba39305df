package pebblefs_test

import (
	"fmt"
	"log"
	"os"

	"github.com/cockroachdb/pebble/v2"

	pebblefs "github.com/ringfile/ringfile/adapters/pebble"
)

func Example() {
	dir, err := os.MkdirTemp("", "pebble-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	opts := &pebble.Options{FS: pebblefs.FS{}}
	opts.EnsureDefaults()
	opts.WithFSDefaults() // pebble watches for slow disks, as it does when FS is nil
	db, err := pebble.Open(dir, opts)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := db.Set([]byte("hello"), []byte("world"), pebble.Sync); err != nil {
		log.Fatal(err)
	}
	value, closer, err := db.Get([]byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", value)
	closer.Close()
	// Output: world
}
