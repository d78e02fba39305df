package stream_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/stream"
)

// Write a stream and read it back. If the file is opened with syscall.O_DIRECT, the same program keeps
// several large requests in flight that bypass the page cache, and still needs no aligned buffers.
func ExampleNewReader() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()

	w := stream.NewWriter(f, stream.Config{})
	for i := range 3 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	if err := w.Close(); err != nil { // the data is in the file now, and f is still open
		log.Fatal(err)
	}

	r := stream.NewReader(f, stream.Config{})
	defer r.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Println(lines.Text())
	}
	fmt.Println(lines.Err())
	// Output:
	// line 0
	// line 1
	// line 2
	// <nil>
}

func ExampleNewWriter() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()

	w := stream.NewWriter(f, stream.Config{Offset: 6})
	n, err := io.Copy(w, strings.NewReader("ring"))
	if err1 := w.Close(); err == nil {
		err = err1
	}
	fmt.Println(n, err)
	data, _ := ringfile.ReadFile(f.Name())
	fmt.Printf("%q\n", data)
	// Output:
	// 4 <nil>
	// "\x00\x00\x00\x00\x00\x00ring"
}

// Read a file that is larger than memory without evicting other programs' data from the page cache.
func ExampleConfig_uncached() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString("a line, and many gigabytes"); err != nil {
		log.Fatal(err)
	}

	r := stream.NewReader(f, stream.Config{Uncached: true})
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	fmt.Println(n, err)
	// Output: 26 <nil>
}
