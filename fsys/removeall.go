package fsys

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/ringfile/ringfile/internal/ctxerr"
)

// RemoveAll is the function RemoveAll on this engine.
func (s FS) RemoveAll(ctx context.Context, path string) error {
	t := target{op: "unlinkat", name: path}
	return do(ctx, s, t, func() error {
		if ctx.Done() != nil {
			removeUntil(ctx, path)
			if err := ctxerr.Of(ctx); err != nil {
				return t.wrap(err)
			}
		}
		return os.RemoveAll(path)
	})
}

// removeUntil removes what os.RemoveAll would, as far as it can, and stops when ctx ends. It leaves
// errors, and other unusual cases, to os.RemoveAll, which then finds little to do.
func removeUntil(ctx context.Context, path string) {
	for len(path) > 0 && os.IsPathSeparator(path[len(path)-1]) {
		path = path[:len(path)-1]
	}
	parent, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return
	}
	dir, err := os.OpenRoot(cmp.Or(parent, "."))
	if err != nil {
		return
	}
	defer dir.Close()
	removeIn(ctx, dir, name)
}

// removeIn removes name in dir with everything below it, and reports whether it has removed it.
func removeIn(ctx context.Context, dir *os.Root, name string) bool {
	if dir.Remove(name) == nil {
		return true
	}
	st, err := dir.Lstat(name)
	if err != nil || !st.IsDir() {
		return false
	}
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return false
	}
	defer sub.Close()
	// Something else may have taken the directory's place, such as a link to another one.
	if now, err := sub.Stat("."); err != nil || !os.SameFile(st, now) {
		return false
	}
	// Once more if it helped: reading a directory that changes may leave names out.
	for helped := true; helped && ctx.Err() == nil; {
		helped = removeContents(ctx, sub)
		if dir.Remove(name) == nil {
			return true
		}
	}
	return false
}

// removeContents removes what is in dir and reports whether anything has been removed.
func removeContents(ctx context.Context, dir *os.Root) (helped bool) {
	f, err := dir.Open(".")
	if err != nil {
		return false
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if ctx.Err() != nil {
				return helped
			}
			if removeIn(ctx, dir, name) {
				helped = true
			}
		}
		if err != nil {
			return helped
		}
	}
}
