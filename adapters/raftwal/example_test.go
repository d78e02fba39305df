package raftwal_test

import (
	"fmt"
	"log"
	"os"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"

	"github.com/ringfile/ringfile/adapters/raftwal"
)

func Example() {
	dir, err := os.MkdirTemp("", "raft-wal-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	store, err := wal.Open(dir, wal.WithSegmentFiler(segment.NewFiler(dir, raftwal.FS{})))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.StoreLog(&raft.Log{Index: 1, Data: []byte("first")}); err != nil {
		log.Fatal(err)
	}
	var entry raft.Log
	if err := store.GetLog(1, &entry); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", entry.Data)
	// Output: first
}
