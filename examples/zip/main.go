// Zip verifies members of a ZIP archive, in any order, reading ahead: package archive/zip reads one after another, and
// waits for each.
//
//	cd examples
//	go run ./zip archive.zip # compares methods of verifying every eighth member of the archive, cold
package main

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/examples/internal/cold"
	"github.com/ringfile/ringfile/examples/internal/part"
	"github.com/ringfile/ringfile/stream"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: zip ARCHIVE")
	}
	eighth := func(i int, _ *zip.File) bool { return i%8 == 0 }
	err := cold.Compare(os.Args[1:],
		cold.Side{Name: "archive/zip with os.File", Do: func() error { _, err := checkPlain(os.Args[1], eighth); return err }},
		cold.Side{Name: "the same, reading ahead", Do: func() error { _, err := check(os.Args[1], eighth); return err }})
	if err != nil {
		log.Fatal(err)
	}
}

// checkPlain checks the members that want chooses, and returns how many bytes they have. It is what any program does.
func checkPlain(name string, want func(int, *zip.File) bool) (n int64, err error) {
	r, err := zip.OpenReader(name)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for i, member := range r.File {
		if want(i, member) {
			m, err := checkMember(member)
			if n += m; err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// checkMember reads a member, which ends with an error if its checksum is wrong.
func checkMember(member *zip.File) (n int64, err error) {
	r, err := member.Open()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", member.Name, err)
	}
	defer r.Close()
	if n, err = io.Copy(io.Discard, r); err != nil {
		return n, fmt.Errorf("%s: %w", member.Name, err)
	}
	return n, nil
}

// check is checkPlain, reading ahead.
func check(name string, want func(int, *zip.File) bool) (n int64, err error) {
	f, err := ringfile.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	at := &archive{ReaderAt: part.ReaderAt{Rest: f}}
	r, err := zip.NewReader(at, st.Size())
	if err != nil {
		return 0, err
	}
	var failed error
	ranges := func(yield func(stream.Range) bool) {
		for i, member := range r.File {
			if !want(i, member) {
				continue
			}
			off, err := at.headerOffset(member)
			if err != nil {
				failed = err
				return
			}
			length := min(headerSize+int64(len(member.Name))+extraSize+int64(member.CompressedSize64), st.Size()-off)
			if !yield(stream.Range{File: f, Off: off, Len: int(length), Tag: member}) {
				return
			}
		}
	}
	for b, err := range stream.Ranges(context.Background(), ranges, stream.RangesConfig{}) {
		if err != nil {
			return n, err
		}
		at.Off, at.Data = b.Off, b.Data
		m, err := checkMember(b.Tag.(*zip.File))
		if n += m; err != nil {
			return n, err
		}
	}
	return n, failed
}

const (
	headerSize = 30  // of the header in front of a member, without the name and the extra field
	extraSize  = 100 // of that field, at most; what is beyond it is read when it is asked for
)

// archive is what package archive/zip reads from.
type archive struct {
	part.ReaderAt
	locating bool
	header   int64
}

// headerOffset returns where the header of a member is. Package archive/zip does not tell, but reads it there to find out
// where the data begins; it is given one without a name.
func (a *archive) headerOffset(member *zip.File) (int64, error) {
	a.locating = true
	_, err := member.DataOffset()
	a.locating = false
	return a.header, err
}

func (a *archive) ReadAt(p []byte, off int64) (int, error) {
	if a.locating {
		a.header = off
		clear(p)
		copy(p, "PK\x03\x04")
		return len(p), nil
	}
	return a.ReaderAt.ReadAt(p, off)
}
