package mapped_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/mapped"
)

func Example() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString("a key and its value"); err != nil {
		log.Fatal(err)
	}

	m, err := mapped.Map(f)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	value, err := m.Bytes(context.Background(), 14, 5) // nothing is copied
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", value)
	// Output: value
}
