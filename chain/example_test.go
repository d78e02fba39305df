package chain_test

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/chain"
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

// Append a record durably: the sync runs only if the whole record has been written.
func ExampleChain() {
	wal, remove := exampleFile("")
	defer remove()

	var c chain.Chain
	record := []byte("transfer 10 from a to b\n")
	write := c.WriteAt(wal, record, 0)
	c.Datasync(wal)
	if err := c.Run(); err != nil {
		log.Fatal(err) // not acknowledged; calling Run again continues from where it stopped
	}
	fmt.Println(c.Result(write).N, "bytes are on the device")
	// Output: 24 bytes are on the device
}

// Copy a piece of a file. It is at the end of the file and shorter than requested, so the write, which
// would have copied garbage, is not carried out.
func ExampleChain_broken() {
	from, removeFrom := exampleFile("0123456789")
	defer removeFrom()
	to, removeTo := exampleFile("")
	defer removeTo()

	var c chain.Chain
	buf := make([]byte, 8)
	read := c.ReadAt(from, buf, 4)
	write := c.WriteAt(to, buf, 0)
	fmt.Println(c.Run(), c.Result(read).N, errors.Is(c.Result(write).Err, chain.ErrBroken))

	c.Reset()
	c.ReadAt(from, buf[:6], 4)
	c.WriteAt(to, buf[:6], 0)
	fmt.Println(c.Run())
	// Output:
	// EOF 6 true
	// <nil>
}
