// Grep prints the lines of the files in a tree that contain a text, in the order of the tree. The files are read ahead:
// while one goroutine opens, reads and searches a file, the disk is already reading the next ones.
//
//	cd examples
//	go run ./grep TEXT DIRECTORY
//	go run ./grep -compare TEXT DIRECTORY # compares with a loop of os.ReadFile, cold
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/examples/internal/cold"
	"github.com/ringfile/ringfile/stream"
)

func main() {
	log.SetFlags(0)
	compare := flag.Bool("compare", false, "compare with a loop of os.ReadFile")
	flag.Parse()
	if flag.NArg() != 2 {
		log.Fatal("usage: grep [-compare] TEXT DIRECTORY")
	}
	text, dir := []byte(flag.Arg(0)), flag.Arg(1)
	var err error
	if *compare {
		err = cold.Compare(files(dir),
			cold.Side{Name: "loop of os.ReadFile", Do: func() error { return grepPlain(io.Discard, text, dir) }},
			cold.Side{Name: "reading ahead", Do: func() error { return grep(io.Discard, text, dir) }})
	} else {
		out := bufio.NewWriter(os.Stdout)
		err = errors.Join(grep(out, text, dir), out.Flush())
	}
	if err != nil {
		log.Fatal(err)
	}
}

// files returns the regular files of a tree.
func files(dir string) (names []string) {
	filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, name)
		}
		return nil // what cannot be read is left out, for once
	})
	return names
}

// grep prints lines with text. What cannot be read does not keep it from the rest.
func grep(w io.Writer, text []byte, dir string) error {
	var errs []error
	ranges := func(yield func(stream.Range) bool) {
		for _, name := range files(dir) {
			f, err := ringfile.Open(name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			st, err := f.Stat()
			if err != nil {
				errs = append(errs, err)
				f.Close()
				continue
			}
			if !yield(stream.Range{File: f, Len: int(st.Size())}) {
				f.Close()
				return
			}
		}
	}
	for b, err := range stream.Ranges(context.Background(), ranges, stream.RangesConfig{}) {
		if err != nil && err != io.EOF { // one that has become shorter
			errs = append(errs, err)
		}
		search(w, text, b.File.Name(), b.Data)
		b.File.Close()
	}
	return errors.Join(errs...)
}

// grepPlain is grep as any program does it.
func grepPlain(w io.Writer, text []byte, dir string) error {
	var errs []error
	for _, name := range files(dir) {
		data, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, err)
		}
		search(w, text, name, data)
	}
	return errors.Join(errs...)
}

// search prints the lines of data with text.
func search(w io.Writer, text []byte, name string, data []byte) {
	for line := 1; ; line++ {
		at := bytes.Index(data, text)
		if at < 0 {
			return
		}
		line += bytes.Count(data[:at], []byte("\n"))
		start := bytes.LastIndexByte(data[:at], '\n') + 1
		found, rest, _ := bytes.Cut(data[start:], []byte("\n"))
		fmt.Fprintf(w, "%s:%d:%s\n", name, line, found)
		data = rest
	}
}
