// Parquet adds up one column of a Parquet file. The column's chunks, one in each row group, are far apart: each is read
// ahead while package parquet-go decodes the one before.
//
//	cd examples
//	go run ./parquet /mnt/disk # creates a file there, and compares with parquet-go reading an *os.File, cold
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/examples/internal/cold"
	"github.com/ringfile/ringfile/examples/internal/part"
	"github.com/ringfile/ringfile/stream"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: parquet DIRECTORY")
	}
	name := filepath.Join(os.Args[1], "parquet.example")
	defer os.Remove(name)
	if err := compare(name); err != nil {
		log.Print(err)
	}
}

func compare(name string) error {
	if _, err := write(name, 400, 2000); err != nil {
		return err
	}
	return cold.Compare([]string{name},
		cold.Side{Name: "parquet-go with os.File", Do: func() error { _, err := sumPlain(name, "Amount"); return err }},
		cold.Side{Name: "the same, reading ahead", Do: func() error { _, err := sum(name, "Amount"); return err }})
}

// sale is a row.
type sale struct {
	ID       int64
	Customer string
	Amount   int64
	Note     string
}

// write writes a file of so many groups of so many rows, and returns the sum of all Amounts.
func write(name string, groups, rows int) (sum int64, err error) {
	file, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	w := parquet.NewGenericWriter[sale](file)
	rng := rand.New(rand.NewPCG(1, 2))
	note := make([]byte, 100)
	for g := range groups {
		for i := range rows {
			for j := range note {
				note[j] = byte(rng.Uint32())
			}
			s := sale{int64(g*rows + i), fmt.Sprint("customer ", rng.IntN(1000)), rng.Int64N(1_000_000), string(note)}
			sum += s.Amount
			if _, err := w.Write([]sale{s}); err != nil {
				return 0, err
			}
		}
		if err := w.Flush(); err != nil {
			return 0, err
		}
	}
	return sum, w.Close()
}

// options are for who reads all of a column: what helps to find rows is not read.
var options = []parquet.FileOption{parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true)}

// sumPlain adds up a column of integers. It is what any program does.
func sumPlain(name, column string) (sum int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	table, index, err := open(f, column)
	if err != nil {
		return 0, err
	}
	for _, group := range table.RowGroups() {
		n, err := addUp(group.ColumnChunks()[index].Pages())
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// sum is sumPlain, reading ahead.
func sum(name, column string) (sum int64, err error) {
	f, err := ringfile.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	table, index, err := open(f, column)
	if err != nil {
		return 0, err
	}
	ranges := func(yield func(stream.Range) bool) {
		for i, group := range table.RowGroups() {
			chunk := table.Metadata().RowGroups[i].Columns[index].MetaData
			off := chunk.DataPageOffset
			if chunk.DictionaryPageOffset != 0 {
				off = chunk.DictionaryPageOffset
			}
			if !yield(stream.Range{File: f, Off: off, Len: int(chunk.TotalCompressedSize), Tag: group.ColumnChunks()[index]}) {
				return
			}
		}
	}
	for b, err := range stream.Ranges(context.Background(), ranges, stream.RangesConfig{}) {
		if err != nil {
			return 0, err
		}
		at := &part.ReaderAt{Off: b.Off, Data: b.Data, Rest: f}
		n, err := addUp(b.Tag.(*parquet.FileColumnChunk).PagesFrom(at))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// open reads the footer of a file, and returns which column has that name.
func open(f interface {
	io.ReaderAt
	Stat() (os.FileInfo, error)
}, column string) (table *parquet.File, index int, err error) {
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if table, err = parquet.OpenFile(f, st.Size(), options...); err != nil {
		return nil, 0, err
	}
	leaf, ok := table.Schema().Lookup(column)
	if !ok {
		return nil, 0, fmt.Errorf("there is no column %q", column)
	}
	return table, leaf.ColumnIndex, nil
}

// addUp adds up the values of pages, and closes them.
func addUp(pages parquet.Pages) (sum int64, err error) {
	defer pages.Close()
	var values [1000]parquet.Value
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return 0, err
		}
		for r := page.Values(); err == nil; {
			var n int
			n, err = r.ReadValues(values[:])
			for _, v := range values[:n] {
				sum += v.Int64()
			}
		}
		parquet.Release(page)
		if !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
}
