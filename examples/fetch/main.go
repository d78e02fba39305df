// Fetch reads 256 blocks of 4 KiB scattered over a file, as a vector search or a lookup in several SSTables does: all at
// once instead of one after another.
//
//	cd examples
//	go run ./fetch /mnt/disk # compares methods, with a file that it creates there
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/examples/internal/cold"
)

const (
	blocks    = 256
	blockSize = 4096
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: fetch DIRECTORY")
	}
	name := filepath.Join(os.Args[1], "fetch.example")
	defer os.Remove(name)
	if err := compare(name, 256<<20); err != nil {
		log.Print(err)
	}
}

// ways are the ways to read blocks into bufs: the first fails with the error of any of them.
func ways(plain *os.File, f *ringfile.File, bufs [][]byte, offs []int64) []cold.Side {
	return []cold.Side{
		{Name: "loop of os.File.ReadAt", Do: func() error {
			for i, off := range offs {
				if _, err := plain.ReadAt(bufs[i], off); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "goroutines, os.File.ReadAt", Do: func() error {
			errs := make([]error, len(offs))
			var group sync.WaitGroup
			for i, off := range offs {
				group.Go(func() { _, errs[i] = plain.ReadAt(bufs[i], off) })
			}
			group.Wait()
			return errors.Join(errs...)
		}},
		{Name: "File.ReadAtMulti", Do: func() error {
			_, err := f.ReadAtMulti(bufs, offs)
			return err
		}},
	}
}

// compare makes a file, and reads blocks of it in all ways.
func compare(name string, size int64) error {
	plain, err := os.Create(name)
	if err != nil {
		return err
	}
	defer plain.Close()
	if _, err := io.CopyN(plain, rand.Reader, size); err != nil {
		return err
	}
	f, err := ringfile.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	bufs, offs := fresh(size)
	fmt.Printf("%d blocks of %d bytes, of a file of %d MiB, cold; rates to that of the first\n", blocks, blockSize, size>>20)
	return cold.Compare([]string{name}, ways(plain, f, bufs, offs)...)
}

// fresh returns buffers, and the offsets of blocks in a file of that size.
func fresh(size int64) (bufs [][]byte, offs []int64) {
	for range blocks {
		bufs = append(bufs, make([]byte, blockSize))
		offs = append(offs, mathrand.Int64N(size/blockSize)*blockSize)
	}
	return bufs, offs
}
