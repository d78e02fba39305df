package ringfile_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestHouseRules checks what a reviewer would otherwise have to.
func TestHouseRules(t *testing.T) {
	if _, err := os.Stat("go.mod"); err != nil {
		t.Skip("not in the source tree")
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir // a module of its own
			}
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		checkFile(t, path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, path string, file *ast.File) {
	test := strings.HasSuffix(path, "_test.go")
	for _, spec := range file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		switch {
		case name == "unsafe" && !strings.Contains(filepath.Base(path), "_unsafe"):
			t.Errorf("%s imports unsafe; that belongs in a file named *_unsafe*.go", path)
		case strings.Contains(strings.Split(name, "/")[0], ".") &&
			!strings.HasPrefix(name, "golang.org/x/sys/") &&
			!strings.HasPrefix(name, "golang.org/x/sync/") &&
			!strings.HasPrefix(name, "github.com/ringfile/ringfile"):
			t.Errorf("%s imports %s, which is none of the two dependencies", path, name)
		case name == "testing" && !test && !strings.HasPrefix(path, "internal"):
			t.Errorf("%s imports testing", path)
		}
	}
	// Every exported thing of the packages that users see has a comment.
	if test || strings.HasPrefix(path, "internal") || strings.HasPrefix(path, "cmd") {
		return
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && receiverExported(d) {
				t.Errorf("%s: %s has no comment", path, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
					t.Errorf("%s: type %s has no comment", path, ts.Name.Name)
				}
			}
		}
	}
	// Atomics are typed: the functions of sync/atomic work on any word, atomic or not. But these functions are all that
	// may be called where the stack must not grow.
	if path == filepath.Join("uring", "submitter_unsafe_linux.go") {
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "atomic" {
			for _, verb := range []string{"Load", "Store", "Add", "Swap", "CompareAndSwap", "And", "Or"} {
				if strings.HasPrefix(call.Sel.Name, verb) {
					t.Errorf("%s uses atomic.%s; use the types of sync/atomic", path, call.Sel.Name)
				}
			}
		}
		return true
	})
}

// receiverExported reports whether d is a function, or a method of an exported type that is not an
// error, whose methods need no words.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported() && d.Name.Name != "Error"
}

// TestRelease checks that the modules which programs import beside this one require the version that
// CHANGELOG.md begins with: with any other, "go get" would find another package than they were tested with.
func TestRelease(t *testing.T) {
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Skip("not in the source tree")
	}
	version := regexp.MustCompile(`(?m)^## (v\d+\.\d+\.\d+)$`).FindSubmatch(changes)
	if version == nil {
		t.Fatal("CHANGELOG.md has no version")
	}
	want := "github.com/ringfile/ringfile " + string(version[1])
	modules, err := filepath.Glob("*/*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range modules {
		if strings.HasPrefix(filepath.ToSlash(name), "test/") {
			continue
		}
		if text, err := os.ReadFile(name); err != nil || !strings.Contains(string(text), want+"\n") {
			t.Errorf("%s: want %q required (%v)", name, want, err)
		}
	}
}

// TestLinks looks at where the links of the documentation lead, within the repository.
func TestLinks(t *testing.T) {
	if _, err := os.Stat("go.mod"); err != nil {
		t.Skip("not in the source tree")
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	n := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			n++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(to))); err != nil {
				t.Errorf("%s: [](%s) leads nowhere", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 50 {
		t.Errorf("only %d links found", n)
	}
}
