package copyfile_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ringfile/ringfile/copyfile"
)

func ExampleCopy() {
	dir, err := os.MkdirTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.WriteFile(src, []byte("hello"), 0o640); err != nil {
		log.Fatal(err)
	}

	n, err := copyfile.Copy(context.Background(), dst, src, copyfile.Config{})
	var refused *copyfile.MetadataError
	switch {
	case errors.As(err, &refused):
		log.Print(err) // the data is complete
	case errors.Is(err, copyfile.ErrIncomplete):
		log.Fatalf("%s was there before, and is overwritten in part: %v", dst, err)
	case err != nil:
		log.Fatal(err) // dst does not exist
	}
	st, _ := os.Stat(dst)
	fmt.Println(n, st.Mode())
	// Output: 5 -rw-r-----
}
