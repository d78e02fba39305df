package switcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// listed is a package as "go list -json" has it; variants for tests are packages of their own.
type listed struct {
	ImportPath, Name, Dir, Export string
	GoFiles, CgoFiles             []string
	ImportMap                     map[string]string
	Module                        *struct{ Path, Dir, GoVersion string }
}

// path is the import path without what names the variant.
func (p *listed) path() string {
	path, _, _ := strings.Cut(p.ImportPath, " ")
	return path
}

// module is a Go module, parsed.
type module struct {
	root     string
	fset     *token.FileSet
	ours     []*listed // its packages, what they import first
	paths    map[string]bool
	files    map[string]*ast.File // by their full names
	text     map[string][]byte
	unseen   map[string]*names // what files say that build constraints leave out, by folder
	abroad   map[string]string // the exported names that these use of any package, with the file
	skipped  []string          // those of them that use os
	importer types.Importer    // of everything else
	ringfile map[string]*types.Package
}

// names are identifiers, and those behind a dot, each with a file in which it is, and the names of the packages.
type names struct {
	all, selected map[string]string
	packages      []string
}

// load parses the packages of the module that dir is in, and their tests, for the system that the go command
// builds for. Everything that they import has been compiled then.
func load(dir string) (*module, error) {
	out, err := goCommand(dir, "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	gomod := strings.TrimSpace(string(out))
	if gomod == "" || gomod == os.DevNull {
		return nil, fmt.Errorf("%s is in no Go module", dir)
	}
	m := &module{
		root: filepath.Dir(gomod), fset: token.NewFileSet(), paths: map[string]bool{},
		files: map[string]*ast.File{}, text: map[string][]byte{}, unseen: map[string]*names{}, abroad: map[string]string{},
	}
	// os and context are there even if the module imports neither.
	out, err = goCommand(m.root, "list", "-deps", "-test", "-export", "-json=ImportPath,Name,Dir,Export,GoFiles,CgoFiles,ImportMap,Module", "./...", "os", "context")
	if err != nil {
		return nil, err
	}
	export := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := d.Decode(p); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		export[p.ImportPath] = p.Export
		if p.Module == nil || p.Module.Dir != m.root || strings.HasSuffix(p.ImportPath, ".test") {
			continue
		}
		m.ours = append(m.ours, p)
		m.paths[p.path()] = true
		if err := m.parse(p); err != nil {
			return nil, err
		}
	}
	if len(m.ours) == 0 {
		return nil, fmt.Errorf("%s has no Go packages", m.root)
	}
	if err := filepath.WalkDir(m.root, m.leftOut); err != nil {
		return nil, err
	}
	m.importer = importer.ForCompiler(m.fset, "gc", func(path string) (io.ReadCloser, error) {
		if export[path] == "" {
			return nil, errors.New("not among what the module imports")
		}
		return os.Open(export[path])
	})
	m.ringfile, err = standIns(m.importer)
	return m, err
}

// goCommand runs go in a folder and returns what it prints.
func goCommand(dir string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil && stderr.Len() > 0 {
		err = errors.New(strings.TrimSpace(stderr.String()))
	}
	if err != nil {
		err = fmt.Errorf("go %s: %w", args[0], err)
	}
	return out, err
}

func (m *module) parse(p *listed) error {
	for _, name := range p.sources() {
		if m.files[name] != nil {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		m.text[name] = text
		if m.files[name], err = parser.ParseFile(m.fset, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return err
		}
	}
	if m.unseen[p.Dir] == nil {
		m.unseen[p.Dir] = &names{all: map[string]string{}, selected: map[string]string{}}
	}
	m.unseen[p.Dir].packages = append(m.unseen[p.Dir].packages, p.Name)
	return nil
}

// leftOut takes note of the names in a file, if it is one of the module that has not been parsed.
func (m *module) leftOut(name string, d fs.DirEntry, err error) error {
	base := d.Name()
	hidden := name != m.root && (base[0] == '.' || base[0] == '_')
	if err != nil {
		return err
	} else if d.IsDir() {
		_, err := os.Stat(filepath.Join(name, "go.mod"))
		if hidden || base == "testdata" || base == "vendor" || err == nil && name != m.root {
			return filepath.SkipDir
		}
		return nil
	} else if hidden || filepath.Ext(base) != ".go" || m.files[name] != nil {
		return nil
	}
	f, _ := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution) // as far as it goes
	if f == nil {
		return nil
	}
	others := map[string]bool{} // packages of other modules
	for _, i := range f.Imports {
		path := strings.Trim(i.Path.Value, "\"`")
		others[path[strings.LastIndex(path, "/")+1:]] = !strings.HasPrefix(path+"/", m.ours[0].Module.Path+"/")
		if path == "os" || path == "io/ioutil" {
			m.skipped = append(m.skipped, name)
		}
	}
	n := m.unseen[filepath.Dir(name)]
	if n == nil || !slices.Contains(n.packages, f.Name.Name) { // a package, or a program beside one, that is left out as a whole
		n = &names{all: map[string]string{}, selected: map[string]string{}}
	}
	selected := func(id *ast.Ident) {
		n.selected[id.Name] = name
		if id.IsExported() {
			m.abroad[id.Name] = name
		}
	}
	ast.Inspect(f, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Ident:
			n.all[node.Name] = name
		case *ast.SelectorExpr:
			if id, ok := node.X.(*ast.Ident); !ok || !others[id.Name] {
				selected(node.Sel)
			}
		case *ast.KeyValueExpr: // of a struct, perhaps
			if id, ok := node.Key.(*ast.Ident); ok {
				selected(id)
			}
		}
		return true
	})
	return nil
}

// sources returns the full names of the package's files.
func (p *listed) sources() (list []string) {
	for _, names := range [][]string{p.GoFiles, p.CgoFiles} {
		for _, name := range names {
			list = append(list, filepath.Join(p.Dir, name))
		}
	}
	return list
}

// checked is a package that has been type-checked.
type checked struct {
	*listed
	files []*ast.File
	types *types.Package
	info  *types.Info
}

// check type-checks the module with files in the place of those of the same names, and returns the errors.
func (m *module) check(files map[string]*ast.File) (list []*checked, errs []types.Error) {
	done := map[string]*types.Package{}
	for _, p := range m.ours {
		c := &checked{listed: p, info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
		}}
		for _, name := range p.sources() {
			f := files[name]
			if f == nil {
				f = m.files[name]
			}
			c.files = append(c.files, f)
		}
		config := types.Config{
			FakeImportC: true,
			Sizes:       types.SizesFor("gc", build.Default.GOARCH),
			Error:       func(err error) { errs = append(errs, err.(types.Error)) },
			Importer: importFunc(func(path string) (*types.Package, error) {
				if mapped, ok := p.ImportMap[path]; ok {
					path = mapped
				}
				if done[path] != nil {
					return done[path], nil
				}
				pkg, err := m.importer.Import(path)
				if err != nil && m.ringfile[path] != nil {
					return m.ringfile[path], nil
				}
				return pkg, err
			}),
		}
		if p.Module.GoVersion != "" {
			config.GoVersion = "go" + p.Module.GoVersion
		}
		c.types, _ = config.Check(p.path(), m.fset, c.files, c.info) // the errors have been taken
		done[p.ImportPath] = c.types
		list = append(list, c)
	}
	return list, errs
}

type importFunc func(path string) (*types.Package, error)

func (f importFunc) Import(path string) (*types.Package, error) { return f(path) }

// place returns where something is, whatever line directives say.
func (m *module) place(at token.Pos) token.Position { return m.fset.PositionFor(at, false) }

// position is place with the file's name in the module's folder.
func (m *module) position(at token.Pos) token.Position {
	p := m.place(at)
	p.Filename = m.name(p.Filename)
	return p
}

// name returns the name of a file in the module's folder, with slashes.
func (m *module) name(file string) string {
	if name, err := filepath.Rel(m.root, file); err == nil {
		return filepath.ToSlash(name)
	}
	return file
}
