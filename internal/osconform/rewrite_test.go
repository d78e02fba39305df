//go:build linux

package osconform

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	shims     = "github.com/ringfile/ringfile/internal/osconform/"
	reportEnv = "RINGFILE_OSCONFORM_REPORT" // ReportEnv of package os here, which cannot be linked
)

// replaced maps imports of Go's tests to the packages that take their place.
var replaced = map[string]string{
	"os":                       shims + "os",
	"os/exec":                  shims + "exec",
	"internal/poll":            shims + "poll",
	"internal/syscall/unix":    shims + "unix",
	"internal/testenv":         shims + "testenv",
	"internal/testpty":         shims + "testpty",
	"golang.org/x/net/nettest": shims + "nettest",
}

// exception is a test that is left out.
type exception struct {
	test   string
	route  string // all, uring or blocking
	reason string
}

// readExceptions reads the list of tests that are left out: lines of three fields, separated by
// tabs; empty ones and those that start with # do not count.
func readExceptions(name string) ([]exception, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []exception
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		line := scan.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 3 || !slices.Contains([]string{"all", "uring", "blocking"}, fields[1]) || fields[2] == "" {
			return nil, fmt.Errorf("%s: bad line %q", name, line)
		}
		e := exception{test: fields[0], route: fields[1], reason: fields[2]}
		if slices.ContainsFunc(list, func(o exception) bool { return o.test == e.test }) {
			return nil, fmt.Errorf("%s: %s is listed twice", name, e.test)
		}
		list = append(list, e)
	}
	return list, nil
}

// suite is Go's tests of os, rewritten.
type suite struct {
	source  string            // the directory that they were read from, and run in
	dir     string            // the directory that they are compiled in, which does not exist
	files   map[string][]byte // by the name that the go command is to see
	tests   []string          // tests and examples that are compiled, in order
	removed []string          // tests that are left out on all routes: they are not even compiled
	some    []exception       // tests that are left out on one route
}

// leftOut returns the tests that are compiled and must not run on a route.
func (s *suite) leftOut(route string) (names []string) {
	for _, e := range s.some {
		if e.route == route {
			names = append(names, e.test)
		}
	}
	return names
}

// rewriteSuite reads Go's tests of os from the directory source. here is the directory of this
// package.
func rewriteSuite(source, here string, list []exception) (*suite, error) {
	s := &suite{source: source, dir: filepath.Join(here, "gotests"), files: make(map[string][]byte)}
	for _, shim := range []struct{ path, dir string }{
		{"os", source}, {"os/exec", filepath.Join(source, "exec")},
	} {
		to := filepath.Join(here, path.Base(shim.path))
		text, err := reexport(shim.path, shim.dir, to)
		if err != nil {
			return nil, err
		}
		s.files[filepath.Join(to, "reexport.go")] = text
	}

	pkg, err := build.ImportDir(source, 0)
	if err != nil {
		return nil, err
	}
	stale := make(map[string]exception)
	for _, e := range list {
		stale[e.test] = e
	}
	for _, name := range pkg.XTestGoFiles { // those of package os_test; the others export internals
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return nil, err
		}
		if text, err = s.leaveOut(name, text, stale); err != nil {
			return nil, err
		}
		s.files[filepath.Join(s.dir, name)] = text
	}
	if err := s.leaveOutUnused(); err != nil {
		return nil, err
	}
	for _, name := range pkg.XTestGoFiles {
		name = filepath.Join(s.dir, name)
		if s.files[name], err = rewriteImports(name, s.files[name]); err != nil {
			return nil, err
		}
	}
	for test := range stale {
		return nil, fmt.Errorf("exceptions.txt: this version of Go has no test %s of os", test)
	}
	return s, nil
}

// leaveOut blanks out the tests in a file that are left out on all routes, and notes what the file
// has. What it finds of the exceptions it takes out of list.
func (s *suite) leaveOut(name string, text []byte, list map[string]exception) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	text = slices.Clone(text)
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Recv != nil {
			continue
		}
		test := fn.Name.Name
		e, listed := list[test]
		if !strings.HasPrefix(test, "Test") && !listed || test == "TestMain" {
			continue // not a test, or an example: whether it has output to check is not known here
		}
		delete(list, test)
		switch {
		case !listed:
			s.tests = append(s.tests, test)
		case e.route == "all":
			s.removed = append(s.removed, test)
			blank(text, fset, fn)
		default:
			s.tests = append(s.tests, test)
			s.some = append(s.some, e)
		}
	}
	return text, nil
}

// blank makes a declaration disappear, and no line change its number.
func blank(text []byte, fset *token.FileSet, n ast.Node) {
	for i := fset.Position(n.Pos()).Offset; i < fset.Position(n.End()).Offset; i++ {
		if text[i] != '\n' {
			text[i] = ' '
		}
	}
}

// leaveOutUnused blanks out functions that nothing uses any more, as a rule because the only test
// that did is left out: they may not even compile.
func (s *suite) leaveOutUnused() error {
	for again := true; again; {
		again = false
		fset := token.NewFileSet()
		files := make(map[string]*ast.File)
		uses := make(map[string]int) // of a name, its declaration included
		for name, text := range s.files {
			if filepath.Dir(name) != s.dir {
				continue
			}
			file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files[name] = file
			ast.Inspect(file, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					uses[id.Name]++
				}
				return true
			})
		}
		for name, file := range files {
			for _, decl := range file.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if ok && fn.Recv == nil && !fn.Name.IsExported() && fn.Name.Name != "init" && uses[fn.Name.Name] == 1 {
					blank(s.files[name], fset, fn)
					again = true
				}
			}
		}
	}
	return nil
}

// rewriteImports makes a file of tests import what takes the place of what it imports.
func rewriteImports(name string, text []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	used := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return true
	})
	for _, spec := range slices.Backward(file.Imports) { // from the end: offsets stay right
		from, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		to, ok := replaced[from]
		if !ok {
			to = from
		}
		local := ""
		if spec.Name != nil {
			local = spec.Name.Name
		} else if !used[path.Base(strings.TrimSuffix(from, "/v2"))] {
			local = "_" // only tests that are left out needed it
		}
		start, end := fset.Position(spec.Pos()).Offset, fset.Position(spec.End()).Offset
		text = slices.Replace(text, start, end, []byte(strings.TrimSpace(local+" "+strconv.Quote(to)))...)
	}
	return text, nil
}

// reexport returns a file for the package in the directory to that declares all that the package
// importPath, in the directory from, exports, but for what to declares itself.
func reexport(importPath, from, to string) ([]byte, error) {
	own, err := exported(to)
	if err != nil {
		return nil, err
	}
	all, err := exported(from)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s\n\nimport std %q\n\n", path.Base(importPath), importPath)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if _, ok := own[name]; ok {
			continue
		}
		switch all[name] {
		case token.TYPE:
			fmt.Fprintf(&b, "type %s = std.%s\n", name, name)
		case token.CONST:
			fmt.Fprintf(&b, "const %s = std.%s\n", name, name)
		default: // functions as well: nobody can tell
			fmt.Fprintf(&b, "var %s = std.%s\n", name, name)
		}
	}
	return b.Bytes(), nil
}

// exported returns what the package in a directory exports, with the keyword that declares it.
func exported(dir string) (map[string]token.Token, error) {
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	names := make(map[string]token.Token)
	for _, name := range slices.Concat(pkg.GoFiles, pkg.CgoFiles) {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		add := func(id *ast.Ident, tok token.Token) {
			if id.IsExported() {
				names[id.Name] = tok
			}
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil {
					add(decl.Name, token.FUNC)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(spec.Name, token.TYPE)
					case *ast.ValueSpec:
						for _, id := range spec.Names {
							add(id, decl.Tok)
						}
					}
				}
			}
		}
	}
	return names, nil
}
