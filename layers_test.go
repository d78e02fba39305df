package ringfile

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers are the files of the package, lowest first. A file refers to those before it, so that a reader
// can take them in this order and never has to go back.
var layers = []string{
	"errors.go", "config.go", "trace.go", "bytes_unsafe.go", "poison.go",
	"descriptor.go", "operation.go", "deadline.go", "pool.go", "request.go", "slots_unsafe.go",
	"polling.go", "queue.go", "submit.go", "cancel.go", "reaper.go",
	"setup.go", "device.go", "engine.go", "stats.go", "call.go",
	"left.go", "line.go", "syncs.go", "perform.go", "express.go", "position.go", "task.go", "await.go",
	"file.go", "file_os.go", "pagecache.go", "file_context.go", "space.go", "writeback.go", "lock.go", "atomic.go", "future.go", "batch.go", "readqueue.go", "contents.go", "doc.go",
}

// packageLayers are the packages of the module, lowest first, by their folders.
var packageLayers = []string{
	"internal/acl", "internal/race", "internal/ctxerr", "internal/count", "internal/outside", "internal/limit", "internal/route", "uring", "internal/restrict", "internal/sysio",
	".", "fsys", "stream", "copyfile", "chain", "durable", "mapped",
}

// TestLayers holds that dependencies point one way.
func TestLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("type-checks the package and what it imports")
	}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "_test.go") })
	for _, n := range names {
		if !slices.Contains(layers, n) {
			t.Errorf("%s has no place in layers", n)
		}
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, n := range layers {
		f, err := parser.ParseFile(fset, n, nil, 0)
		if os.IsNotExist(err) {
			t.Errorf("%s does not exist", n)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "source", nil), FakeImportC: true}
	pkg, err := config.Check("github.com/ringfile/ringfile", fset, files, info)
	if err != nil {
		t.Fatal(err)
	}
	rank := func(pos token.Pos) (string, int) {
		name := filepath.Base(fset.Position(pos).Filename)
		return name, slices.Index(layers, name)
	}
	for id, object := range info.Uses {
		if object.Pkg() != pkg || !object.Pos().IsValid() {
			continue
		}
		_, a := rank(id.Pos())
		to, b := rank(object.Pos())
		if b > a {
			t.Errorf("%s refers to %s of %s, which is above it", fset.Position(id.Pos()), object.Name(), to)
		}
	}
}

// TestPackageLayers holds the same of packages.
func TestPackageLayers(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("lists imports: %v", err)
	}
	const module = "github.com/ringfile/ringfile"
	for i, dir := range packageLayers {
		if _, err := os.Stat(dir); err != nil {
			continue // in a later step
		}
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "./"+dir).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", dir, err)
		}
		for imported := range strings.Lines(string(out)) {
			name, ours := strings.CutPrefix(strings.TrimSpace(imported), module)
			if !ours {
				continue
			}
			if name = strings.TrimPrefix(name, "/"); name == "" {
				name = "."
			}
			if j := slices.Index(packageLayers, name); j < 0 || j >= i {
				t.Errorf("%s imports %s, which is not below it", dir, name)
			}
		}
	}
}
