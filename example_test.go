package ringfile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
)

func Example() {
	dir, err := os.MkdirTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "hello")

	if err := ringfile.WriteFile(name, []byte("hello, ring"), 0o644); err != nil {
		log.Fatal(err)
	}
	data, err := ringfile.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)
	// Output: hello, ring
}

func ExampleOpen() {
	f, err := ringfile.Open("testdata/no-such-file")
	if errors.Is(err, os.ErrNotExist) {
		fmt.Println(err)
		return
	}
	defer f.Close()
	// Output: open testdata/no-such-file: no such file or directory
}

func ExampleFile_ReadAt() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString("0123456789"); err != nil {
		log.Fatal(err)
	}

	buf := make([]byte, 4)
	n, err := f.ReadAt(buf, 3)
	fmt.Printf("%s %v\n", buf[:n], err)
	n, err = f.ReadAt(buf, 8) // ends before the buffer is full
	fmt.Printf("%s %v\n", buf[:n], err == io.EOF)
	// Output:
	// 3456 <nil>
	// 89 true
}

// Read many parts of a file at once: start the reads, then await them.
func ExampleFile_StartReadAt() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString("alpha beta gamma delta"); err != nil {
		log.Fatal(err)
	}

	type part struct {
		buf    []byte
		future *ringfile.Future[int]
	}
	var parts []part
	for _, r := range [][2]int{{0, 5}, {6, 4}, {11, 5}} {
		buf := make([]byte, r[1])
		parts = append(parts, part{buf, f.StartReadAt(buf, int64(r[0]))})
	}
	for _, p := range parts {
		n, err := p.future.Await() // from here on the buffer belongs to the caller again
		fmt.Printf("%s %v\n", p.buf[:n], err)
	}
	// Output:
	// alpha <nil>
	// beta <nil>
	// gamma <nil>
}

// A fan-out that stops at the first error: errgroup ends the context, and with it the reads still in
// flight.
func ExampleFuture_AwaitContext() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := f.Truncate(1 << 20); err != nil {
		log.Fatal(err)
	}

	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(32)
	for off := int64(0); off < 1<<20; off += 64 << 10 {
		group.Go(func() error {
			buf := make([]byte, 64<<10)
			_, err := f.StartReadAt(buf, off).AwaitContext(ctx)
			return err
		})
	}
	fmt.Println(group.Wait())
	// Output: <nil>
}

// A read that returns on time whatever the disk does.
func ExampleFile_ReadAtContext() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	cancel() // the context ends before the read starts
	_, err = f.ReadAtContext(ctx, make([]byte, 10), 0)
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}

// Reads that bypass the page cache need aligned buffers.
func ExampleFile_DirectAlign() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	align, err := f.DirectAlign()
	if err != nil {
		return // no O_DIRECT on this file system
	}
	pool := ringfile.NewBufferPool(64<<10, align.Memory)
	buf := pool.Get()
	defer pool.Put(buf)
	fmt.Println(len(buf)%align.Offset == 0)
	// Output: true
}

// Files opened below a directory, where no name can lead out of it.
func ExampleAdopt() {
	root, err := os.OpenRoot(os.TempDir())
	if err != nil {
		log.Fatal(err)
	}
	defer root.Close()
	open := func(name string) (*ringfile.File, error) {
		f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		rf, err := ringfile.Adopt(f)
		if err != nil {
			f.Close()
		}
		return rf, err
	}
	f, err := open("example-adopt")
	if err != nil {
		log.Fatal(err)
	}
	defer root.Remove("example-adopt")
	defer f.Close()
	n, err := f.WriteAt([]byte("inside"), 0)
	fmt.Println(n, err)
	_, err = open("../example-adopt")
	fmt.Println(err)
	// Output:
	// 6 <nil>
	// openat ../example-adopt: path escapes from parent
}

// Report whether io_uring is used, and why not.
func ExampleAvailable() {
	var why *ringfile.UnavailableError
	if err := ringfile.Available(); errors.As(err, &why) {
		log.Printf("file I/O without io_uring: %s: %v; %s", why.Op, why.Err, why.Hint)
	}
}

// Write and close a file on a file server within a time limit. On closing, a file server may have to
// store what was written; the file is closed in any case.
func ExampleFile_CloseContext() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	if _, err := f.WriteContext(ctx, []byte("text")); err != nil {
		log.Fatal(err)
	}
	if err := f.CloseContext(ctx); errors.Is(err, context.DeadlineExceeded) {
		log.Fatal("the server has not confirmed what was written")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored")
	// Output: stored
}

// Request read-ahead of a part of a file, and see how much of it is in the page cache.
func ExampleFile_Cached() {
	f, err := ringfile.CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := f.Truncate(1 << 20); err != nil {
		log.Fatal(err)
	}
	if err := f.Advise(0, 1<<20, ringfile.AdviceWillNeed); err != nil {
		log.Fatal(err)
	}
	n, err := f.Cached(0, 1<<20)
	if errors.Is(err, errors.ErrUnsupported) {
		n = 0 // before Linux 6.5, and on other systems
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n <= 1<<20)
	// Output: true
}
