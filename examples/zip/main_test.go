package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// makeArchive writes an archive of members of all sizes, some with extra fields, some stored, and returns its name.
func makeArchive(t testing.TB, members int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "archive.zip")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := zip.NewWriter(file)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range members {
		h := &zip.FileHeader{Name: fmt.Sprintf("dir/member %d", i), Method: zip.Deflate}
		if i%3 == 0 {
			h.Method = zip.Store
		}
		if i%5 == 0 { // more of it than is read ahead
			h.Extra = append([]byte{0xfe, 0xca, 200, 0}, make([]byte, 200)...)
		}
		m, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, rng.IntN(20_000))
		for j := range data {
			data[j] = byte(rng.IntN(16))
		}
		m.Write(data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestCheck checks an archive in both ways, whole and with bytes that are wrong.
func TestCheck(t *testing.T) {
	name := makeArchive(t, 500)
	for _, every := range []int{1, 8} {
		want := func(i int, _ *zip.File) bool { return i%every == 0 }
		plain, err := checkPlain(name, want)
		if err != nil || plain == 0 {
			t.Fatal(plain, err)
		}
		ahead, err := check(name, want)
		if ahead != plain || err != nil {
			t.Errorf("every %d: %d bytes, %v, want %d", every, ahead, err, plain)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("dir/member 300")) // it is stored
	data[at+1000] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	all := func(int, *zip.File) bool { return true }
	if _, err := checkPlain(name, all); !errors.Is(err, zip.ErrChecksum) {
		t.Errorf("archive/zip: %v, want a wrong checksum", err)
	}
	if _, err := check(name, all); !errors.Is(err, zip.ErrChecksum) {
		t.Errorf("reading ahead: %v, want a wrong checksum", err)
	}
}
