package ringfile_test

import (
	"context"
	"fmt"
	"log"
	"os"
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

// Read several ranges of a file at the same time.
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

// Handle each result as soon as it arrives.
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

func ExampleFile_ReadAtMulti() {
	f, remove := exampleFile("the quick brown fox")
	defer remove()

	words := [][]byte{make([]byte, 3), make([]byte, 5)}
	if _, err := f.ReadAtMulti(words, []int64{16, 4}); err != nil {
		log.Fatal(err)
	}
	for _, w := range words {
		fmt.Printf("%s\n", w)
	}
	// Output:
	// fox
	// quick
}
