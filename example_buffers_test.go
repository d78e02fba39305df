package ringfile_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ringfile/ringfile"
)

// Buffers that the kernel knows already, for direct transfers. Where they cannot be registered they
// are ordinary ones, and everything works all the same.
func ExampleEngine_NewBufferPool() {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	pool := e.NewBufferPool(16<<10, 64)
	defer pool.Close()
	if err := pool.Registered(); err != nil {
		log.Print(err) // says which limit or policy is in the way
	}

	dir, err := os.MkdirTemp("", "ringfile")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	f, err := e.Create(filepath.Join(dir, "data")) // direct transfers: OpenFile with syscall.O_DIRECT
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	buf := pool.Get()
	defer pool.Put(buf)
	n := copy(buf, "hello, buffer")
	if _, err := f.WriteAt(buf[:n], 0); err != nil {
		log.Fatal(err)
	}
	n, err = f.ReadAt(buf[:n], 0)
	fmt.Println(string(buf[:n]), err)
	// Output: hello, buffer <nil>
}
