package main

import (
	"path/filepath"
	"testing"
)

// TestSum adds a column up in both ways.
func TestSum(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sales.parquet")
	want, err := write(name, 20, 300)
	if err != nil {
		t.Fatal(err)
	}
	for way, add := range map[string]func(name, column string) (int64, error){"os.File": sumPlain, "reading ahead": sum} {
		if got, err := add(name, "Amount"); got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", way, got, err, want)
		}
		if got, err := add(name, "ID"); got != 6000*5999/2 || err != nil {
			t.Errorf("%s: %d, %v, want %d", way, got, err, 6000*5999/2)
		}
		if _, err := add(name, "Price"); err == nil {
			t.Errorf("%s: no error of a column that is not there", way)
		}
	}
}
