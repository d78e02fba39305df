package ringfile_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/ringfile/ringfile"
)

// exampleFile makes a file with the given contents, open for reading and writing.
func exampleFile(contents string) (f *ringfile.File, remove func()) {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := f.WriteString(contents); err != nil {
		log.Fatal(err)
	}
	return f, func() {
		f.Close()
		os.Remove(f.Name())
	}
}

// Several places of a file are read at the same time.
func ExampleBatch() {
	f, remove := exampleFile("the quick brown fox")
	defer remove()

	var b ringfile.Batch
	words := [][]byte{make([]byte, 5), make([]byte, 5), make([]byte, 3)}
	b.ReadAt(f, words[0], 4)
	b.ReadAt(f, words[1], 10)
	b.ReadAt(f, words[2], 16)
	if err := b.Run(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", words)
	// Output: [quick brown fox]
}

// Each result is handled as soon as it is there.
func ExampleBatch_Results() {
	f, remove := exampleFile("the quick brown fox")
	defer remove()

	var b ringfile.Batch
	bufs := make([][]byte, 4)
	for i := range bufs {
		bufs[i] = make([]byte, 6)
		b.ReadAt(f, bufs[i], int64(i)*5)
	}
	total := 0
	for i, r := range b.Results(context.Background()) {
		total += len(strings.TrimSpace(string(bufs[i][:r.N]))) // the last one ends with io.EOF
	}
	fmt.Println(total)
	// Output: 20
}

func ExampleFile_ReadMulti() {
	f, remove := exampleFile("the quick brown fox")
	defer remove()

	ranges := []ringfile.Range{
		{Off: 16, Buf: make([]byte, 3)},
		{Off: 4, Buf: make([]byte, 5)},
	}
	if err := f.ReadMulti(ranges); err != nil {
		log.Fatal(err)
	}
	for _, r := range ranges {
		fmt.Printf("%s\n", r.Buf)
	}
	// Output:
	// fox
	// quick
}

// A record is appended durably: the sync runs when all of it has been written, and not otherwise.
func ExampleChain() {
	wal, remove := exampleFile("")
	defer remove()

	var c ringfile.Chain
	record := []byte("transfer 10 from a to b\n")
	write := c.WriteAt(wal, record, 0)
	c.Datasync(wal)
	if err := c.Run(); err != nil {
		log.Fatal(err) // not acknowledged; Run tries again, from where it stopped
	}
	fmt.Println(c.Result(write).N, "bytes are on the device")
	// Output: 24 bytes are on the device
}

// A piece of a file is copied. It is at the end of the file and shorter than was asked for, so that
// the write, which would have copied rubbish, is not carried out.
func ExampleChain_broken() {
	from, removeFrom := exampleFile("0123456789")
	defer removeFrom()
	to, removeTo := exampleFile("")
	defer removeTo()

	var c ringfile.Chain
	buf := make([]byte, 8)
	read := c.ReadAt(from, buf, 4)
	write := c.WriteAt(to, buf, 0)
	fmt.Println(c.Run(), c.Result(read).N, errors.Is(c.Result(write).Err, ringfile.ErrChainBroken))

	c.Reset()
	c.ReadAt(from, buf[:6], 4)
	c.WriteAt(to, buf[:6], 0)
	fmt.Println(c.Run())
	// Output:
	// EOF 6 true
	// <nil>
}

func ExampleReadFileInto() {
	dir, err := os.MkdirTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "small")
	if err := os.WriteFile(name, []byte("three system calls in one"), 0o644); err != nil {
		log.Fatal(err)
	}

	buf := make([]byte, 4096) // used again for the next file
	n, err := ringfile.ReadFileInto(name, buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", buf[:n])
	// Output: three system calls in one
}
