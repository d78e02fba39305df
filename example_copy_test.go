package ringfile_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ringfile/ringfile"
)

func ExampleCopyFile() {
	dir, err := os.MkdirTemp("", "ringfile-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.WriteFile(src, []byte("hello"), 0o640); err != nil {
		log.Fatal(err)
	}

	n, err := ringfile.CopyFile(context.Background(), dst, src, ringfile.CopyConfig{})
	switch {
	case errors.Is(err, ringfile.ErrIncomplete):
		log.Fatalf("%s was there before, and is overwritten in part: %v", dst, err)
	case err != nil:
		log.Fatal(err) // dst is not there
	}
	st, _ := os.Stat(dst)
	fmt.Println(n, st.Mode())
	// Output: 5 -rw-r-----
}
