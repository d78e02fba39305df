package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ringfile/ringfile"
)

// TestWays has all ways give the same bytes, and errors where the file ends.
func TestWays(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := compare(name, 4<<20); err != nil {
		t.Fatal(err)
	}
	plain, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	f, err := ringfile.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bufs, offs := fresh(4 << 20)
	all := ways(plain, f, bufs, offs)
	var first []byte
	for _, way := range all {
		for _, buf := range bufs {
			clear(buf)
		}
		if err := way.Do(); err != nil {
			t.Errorf("%s: %v", way.Name, err)
		}
		got := slices.Concat(bufs...)
		if first == nil {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Errorf("%s: other bytes", way.Name)
		}
	}
	offs[100] = 4<<20 - 10
	for _, way := range all {
		if err := way.Do(); err == nil {
			t.Errorf("%s: no error of a block beyond the end", way.Name)
		}
	}
}
