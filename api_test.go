package ringfile_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "write the listings of the exported API in api/ anew")

// public are the packages that programs import, by their folders.
var public = []string{".", "chain", "copyfile", "durable", "fsys", "mapped", "ringexpvar", "stream", "uring"}

// TestAPI compares what the public packages export with the listings in api/: a change of the API is to be
// seen in a review as a change of these files. -update-api writes them.
func TestAPI(t *testing.T) {
	if os.Getenv("CI") == "" && !*updateAPI {
		t.Skip("type-checks the packages and what they import, for two systems; set CI, or -update-api")
	}
	checkPublic(t)
	linux, windows := exported(t, "linux"), exported(t, "windows")
	for _, dir := range public {
		var listing bytes.Buffer
		for _, line := range linux[dir] {
			if !slices.Contains(windows[dir], line) {
				line += " // Linux"
			}
			fmt.Fprintln(&listing, line)
		}
		for _, line := range windows[dir] {
			if !slices.Contains(linux[dir], line) {
				t.Errorf("%s: not on Linux: %s", dir, line)
			}
		}
		name := filepath.Join("api", dir+".txt")
		if dir == "." {
			name = "api/ringfile.txt"
		}
		if *updateAPI {
			if err := os.WriteFile(name, listing.Bytes(), 0o644); err != nil {
				t.Error(err)
			}
			continue
		}
		old, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		before, now := strings.Split(string(old), "\n"), strings.Split(listing.String(), "\n")
		for _, line := range before {
			if !slices.Contains(now, line) {
				t.Errorf("%s: gone: %s", name, line)
			}
		}
		for _, line := range now {
			if !slices.Contains(before, line) {
				t.Errorf("%s: new: %s", name, line)
			}
		}
	}
	if t.Failed() {
		t.Log("if that is meant: go test -run TestAPI . -update-api, and a line in CHANGELOG.md")
	}
}

// checkPublic looks for packages that programs can import and that public does not have.
func checkPublic(t *testing.T) {
	const module = "github.com/ringfile/ringfile"
	out, err := exec.Command("go", "list", "-f", `{{if and .GoFiles (ne .Name "main")}}{{.ImportPath}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, path := range strings.Fields(string(out)) {
		dir := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		if !strings.HasPrefix(dir, "internal/") && !strings.HasPrefix(dir, "test/") && !slices.Contains(public, cmp.Or(dir, ".")) {
			t.Errorf("package %s has no listing", path)
		}
	}
}

// exported returns the sorted listings of the public packages on the given system.
func exported(t *testing.T, goos string) map[string][]string {
	t.Helper()
	old := build.Default
	defer func() { build.Default = old }()
	build.Default.GOOS, build.Default.GOARCH, build.Default.CgoEnabled = goos, "amd64", false
	source := importer.ForCompiler(token.NewFileSet(), "source", nil)
	all := map[string][]string{}
	for _, dir := range public {
		pkg, err := source.Import(strings.TrimSuffix("github.com/ringfile/ringfile/"+dir, "/."))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pkg.Scope().Names() {
			if object := pkg.Scope().Lookup(name); object.Exported() {
				all[dir] = append(all[dir], apiLines(object)...)
			}
		}
		slices.Sort(all[dir])
	}
	return all
}

// apiLines returns a line for an exported name and, of a type, for each field and method.
func apiLines(object types.Object) (lines []string) {
	in := types.RelativeTo(object.Pkg())
	if c, ok := object.(*types.Const); ok {
		return []string{types.ObjectString(c, in) + " = " + c.Val().ExactString()}
	}
	typ, ok := object.(*types.TypeName)
	if !ok {
		return []string{types.ObjectString(object, in)}
	}
	line := types.ObjectString(typ, in)
	if s, ok := typ.Type().Underlying().(*types.Struct); ok && !typ.IsAlias() {
		line = "type " + typ.Name() + typeParams(typ, in) + " struct"
		for i := range s.NumFields() {
			if f := s.Field(i); f.Exported() {
				lines = append(lines, line+", "+f.Name()+" "+types.TypeString(f.Type(), in))
			}
		}
	}
	lines = append(lines, line)
	if typ.IsAlias() || types.IsInterface(typ.Type()) {
		return lines
	}
	methods, byValue := types.NewMethodSet(types.NewPointer(typ.Type())), types.NewMethodSet(typ.Type())
	for m := range methods.Methods() {
		if !m.Obj().Exported() {
			continue
		}
		receiver := typ.Name()
		if byValue.Lookup(typ.Pkg(), m.Obj().Name()) == nil {
			receiver = "*" + receiver
		}
		signature := strings.TrimPrefix(types.TypeString(m.Type(), in), "func")
		lines = append(lines, "method ("+receiver+") "+m.Obj().Name()+signature)
	}
	return lines
}

// typeParams returns the parameters of a generic type, as in its declaration.
func typeParams(typ *types.TypeName, in types.Qualifier) string {
	var params []string
	for p := range typ.Type().(*types.Named).TypeParams().TypeParams() {
		params = append(params, p.Obj().Name()+" "+types.TypeString(p.Constraint(), in))
	}
	if params == nil {
		return ""
	}
	return "[" + strings.Join(params, ", ") + "]"
}
