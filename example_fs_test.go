package ringfile_test

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
)

// smallTree makes a few files to look at.
func smallTree() string {
	dir, err := os.MkdirTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"a/one", "a/two", "b/three"} {
		path := filepath.Join(dir, name)
		if err := ringfile.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := ringfile.WriteFile(path, []byte(name), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return dir
}

// The size of a tree. What Info returns has been read ahead of the function.
func ExampleWalkDir() {
	dir := smallTree()
	defer ringfile.RemoveAll(dir)

	var total int64
	err := ringfile.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
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
func ExampleFileSystem_WithContext() {
	dir := smallTree()
	defer ringfile.RemoveAll(dir)
	engine, err := ringfile.Default()
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := engine.FileSystem().WithContext(ctx).Stat(filepath.Join(dir, "a", "one"))
	if errors.Is(err, context.DeadlineExceeded) {
		log.Fatal("the file server does not answer")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(st.Name(), st.Size())
	// Output: one 5
}

// A file on a server, written, asked for its size and closed in time. Closing is when a file server
// has what was written stored; the file is closed in any case.
func ExampleFile_CloseContext() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine, err := ringfile.Default()
	if err != nil {
		log.Fatal(err)
	}
	f, err := engine.FileSystem().WithContext(ctx).CreateTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer ringfile.Remove(f.Name())
	if _, err := f.WriteContext(ctx, []byte("text")); err != nil {
		log.Fatal(err)
	}
	st, err := f.StatContext(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := f.CloseContext(ctx); errors.Is(err, context.DeadlineExceeded) {
		log.Fatal("the server has not confirmed what was written")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(st.Size())
	// Output: 4
}

// A tree for whatever takes an fs.FS: templates, http.FS, fs.WalkDir, fs.Glob.
func ExampleDirFS() {
	dir := smallTree()
	defer ringfile.RemoveAll(dir)

	fsys := ringfile.DirFS(dir)
	names, err := fs.Glob(fsys, "*/t*")
	fmt.Println(names, err)
	data, err := fs.ReadFile(fsys, "b/three")
	fmt.Printf("%s %v\n", data, err)
	// Output:
	// [a/two b/three] <nil>
	// b/three <nil>
}

func ExampleSetxattr() {
	dir := smallTree()
	defer ringfile.RemoveAll(dir)
	name := filepath.Join(dir, "a", "one")

	if err := ringfile.Setxattr(name, "user.origin", []byte("https://example.com")); err != nil {
		return // a file system, or a system, without them
	}
	value, err := ringfile.Getxattr(name, "user.origin")
	fmt.Printf("%s %v\n", value, err)
}
