package faults

import (
	"encoding/gob"
	"os"
	"sync"
)

// Entry is one event in the life of the disk, in the order in which the disk saw them.
type Entry struct {
	Kind Kind   // Write, Flush, or Mark
	Off  int64  // of a Write
	Data []byte // of a Write
	Mark uint64 // what Disk.Mark was called with
}

// Mark is the Kind of an entry that Disk.Mark made.
const Mark Kind = "mark"

// history collects entries.
type history struct {
	mu      sync.Mutex
	entries []Entry
}

func (h *history) add(e Entry) {
	h.mu.Lock()
	h.entries = append(h.entries, e)
	h.mu.Unlock()
}

func (h *history) save(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := gob.NewEncoder(f).Encode(h.entries); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func loadEntries(name string) ([]Entry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []Entry
	return entries, gob.NewDecoder(f).Decode(&entries)
}
