package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGrep searches a tree in both ways.
func TestGrep(t *testing.T) {
	dir := t.TempDir()
	var want strings.Builder
	for i := range 300 {
		name := filepath.Join(dir, fmt.Sprintf("%02d", i%10), fmt.Sprintf("%03d", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("hay\n", i*i) + "a needle, and a needle\n" + strings.Repeat("hay\n", i) + "needle"
		if i%7 == 0 {
			text = strings.Repeat("hay\n", i)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for d := range 10 {
		for i := d; i < 300; i += 10 {
			if i%7 != 0 {
				name := filepath.Join(dir, fmt.Sprintf("%02d", d), fmt.Sprintf("%03d", i))
				fmt.Fprintf(&want, "%s:%d:a needle, and a needle\n%s:%d:needle\n", name, i*i+1, name, i*i+i+2)
			}
		}
	}
	for way, do := range map[string]func(w *bytes.Buffer) error{
		"os.ReadFile":   func(w *bytes.Buffer) error { return grepPlain(w, []byte("needle"), dir) },
		"reading ahead": func(w *bytes.Buffer) error { return grep(w, []byte("needle"), dir) },
	} {
		var got bytes.Buffer
		if err := do(&got); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		if got.String() != want.String() {
			t.Errorf("%s: %d bytes of output, or others, want %d", way, got.Len(), want.Len())
		}
	}
}
