package main

import (
	"path/filepath"
	"testing"

	"github.com/ringfile/ringfile/examples/log/wal"
)

// TestRun runs the program three times.
func TestRun(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for range 2 {
		if err := run(name, 16, 200, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(name, 0, 0, true); err != nil {
		t.Fatal(err)
	}
	l, err := wal.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := 0
	if err := l.Replay(func(uint64, []byte) error { n++; return nil }); err != nil || n != 400 {
		t.Errorf("%d records, %v, want 400", n, err)
	}
}
