// Command bench compares raft-wal on its own file system with raft-wal on ringfile: "append" has each client append
// entries of 1 KiB to a log of its own, each of which is synced, and "get" read random entries of one log.
//
//	go run ./bench -dir /mnt/disk
//
// Each measurement runs in a process of its own, on a copy of the same log, the two file systems in turn. "Cold" is with
// the log evicted from the page cache. The table has medians, losing rows first.
package main

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"

	"github.com/ringfile/ringfile/adapters/raftwal"
	"github.com/ringfile/ringfile/internal/compare"
)

var entries = flag.Uint64("entries", 1_000_000, "entries of the log that is read")

const (
	entrySize   = 1 << 10
	segmentSize = 8 << 20
)

func main() {
	compare.Main(compare.Program{
		Workloads: []compare.Workload{
			{Name: "get", States: "cold,cached", Clients: "1,16,64,256"},
			{Name: "append", States: "cached", Clients: "1,16,64,256"},
		},
		Load:   load,
		Linked: func(name string) bool { return filepath.Ext(name) == ".wal" },
		Open:   open,
	})
}

func openLog(dir string, ring bool) (*wal.WAL, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if !ring {
		return wal.Open(dir, wal.WithSegmentSize(segmentSize))
	}
	return wal.Open(dir, wal.WithSegmentFiler(segment.NewFiler(dir, raftwal.FS{})), wal.WithSegmentSize(segmentSize))
}

// load makes the log that is read.
func load(dir string) error {
	l, err := openLog(filepath.Join(dir, "log"), false)
	if err != nil {
		return err
	}
	data := make([]byte, entrySize)
	random := rand.NewChaCha8([32]byte{1})
	for i := uint64(1); i <= *entries; {
		var logs []*raft.Log
		for ; len(logs) < 1000 && i <= *entries; i++ {
			random.Read(data)
			logs = append(logs, &raft.Log{Index: i, Data: append([]byte(nil), data...)})
		}
		if err := l.StoreLogs(logs); err != nil {
			return err
		}
	}
	return l.Close()
}

// open opens the log of "get", or a new one for each client.
func open(dir string, r compare.Run) (compare.Work, error) {
	if r.Workload == "get" {
		l, err := openLog(filepath.Join(dir, "log"), r.Ringfile)
		if err != nil {
			return compare.Work{}, err
		}
		return compare.Work{Close: l.Close, Do: func(_ int, random *rand.Rand) error {
			var e raft.Log
			return l.GetLog(1+random.Uint64N(*entries), &e)
		}}, nil
	}
	logs, last := make([]*wal.WAL, r.Clients), make([]uint64, r.Clients)
	for c := range logs {
		var err error
		if logs[c], err = openLog(filepath.Join(dir, strconv.Itoa(c)), r.Ringfile); err != nil {
			return compare.Work{}, err
		}
	}
	data := make([]byte, entrySize)
	return compare.Work{
		Do: func(c int, _ *rand.Rand) error {
			last[c]++
			return logs[c].StoreLog(&raft.Log{Index: last[c], Data: data})
		},
		Close: func() (err error) {
			for _, l := range logs {
				err = errors.Join(err, l.Close())
			}
			return err
		},
	}, nil
}
