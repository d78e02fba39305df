package fsys_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/fsys"
)

// smallTree makes a few files to look at.
func smallTree() string {
	dir, err := os.MkdirTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"a/one", "a/two", "b/three"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return dir
}

// The size of a tree. The Info of each entry has already been read when the function is called.
func ExampleWalkDir() {
	dir := smallTree()
	defer os.RemoveAll(dir)

	var total int64
	err := fsys.WalkDir(context.Background(), dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err == nil {
			total += st.Size()
		}
		return err
	})
	fmt.Println(total, err)
	// Output: 17 <nil>
}

// A mount that may hang must not hang the program.
func ExampleStat() {
	dir := smallTree()
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := fsys.Stat(ctx, filepath.Join(dir, "a", "one"))
	if errors.Is(err, context.DeadlineExceeded) {
		log.Fatal("the file server does not answer")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(st.Name(), st.Size())
	// Output: one 5
}

// Give a file server that may hang an engine of its own, so that its hanging calls delay nobody else.
func ExampleOn() {
	dir := smallTree()
	defer os.RemoveAll(dir)
	engine, err := ringfile.New(ringfile.Config{BlockingLimit: 32})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server := fsys.On(engine)
	if err := server.Rename(ctx, filepath.Join(dir, "a", "one"), filepath.Join(dir, "b", "one")); err != nil {
		log.Fatal(err)
	}
	entries, err := server.ReadDir(ctx, filepath.Join(dir, "b"))
	fmt.Println(entries, err)
	// Output: [- one - three] <nil>
}

// A tree as an fs.FS: for templates, http.FS, fs.WalkDir, fs.Glob.
func ExampleDirFS() {
	dir := smallTree()
	defer os.RemoveAll(dir)

	tree := fsys.DirFS(context.Background(), dir)
	names, err := fs.Glob(tree, "*/t*")
	fmt.Println(names, err)
	data, err := fs.ReadFile(tree, "b/three")
	fmt.Printf("%s %v\n", data, err)
	// Output:
	// [a/two b/three] <nil>
	// b/three <nil>
}
