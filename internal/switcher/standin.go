package switcher

import (
	"go/token"
	"go/types"
	"reflect"

	"github.com/ringfile/ringfile"
)

const (
	ringfilePath = "github.com/ringfile/ringfile"
	fsysPath     = ringfilePath + "/fsys"
)

// functions are those of os that ringfile has, by package and name, and their names there.
var functions = map[string]map[string]string{
	"os": {
		"Open": "Open", "Create": "Create", "OpenFile": "OpenFile", "CreateTemp": "CreateTemp",
		"ReadFile": "ReadFile", "WriteFile": "WriteFile",
	},
	"io/ioutil": {"ReadFile": "ReadFile", "WriteFile": "WriteFile", "TempFile": "CreateTemp"},
}

// byName are the functions of os that fsys has with a context.
var byName = map[string]bool{
	"Chmod": true, "Chown": true, "Chtimes": true, "Lchown": true, "Link": true, "Lstat": true, "Mkdir": true, "MkdirAll": true,
	"MkdirTemp": true, "ReadDir": true, "Readlink": true, "Remove": true, "RemoveAll": true, "Rename": true, "Stat": true,
	"Symlink": true, "Truncate": true,
}

// standIns makes packages with what is put into programs, of package os: a program that does not import
// ringfile yet can be type-checked with them, also where no network is. (TestCompiles has the real ones.)
func standIns(imports types.Importer) (map[string]*types.Package, error) {
	os, err := imports.Import("os")
	if err != nil {
		return nil, err
	}
	context, err := imports.Import("context")
	if err != nil {
		return nil, err
	}
	osFile := os.Scope().Lookup("File").Type()
	pkg, fsys := types.NewPackage(ringfilePath, "ringfile"), types.NewPackage(fsysPath, "fsys")
	file := types.NewNamed(types.NewTypeName(token.NoPos, pkg, "File", nil), types.NewStruct(nil, nil), nil)
	pkg.Scope().Insert(file.Obj())
	recv := func() *types.Var { return types.NewVar(token.NoPos, pkg, "f", types.NewPointer(file)) }
	of := types.NewMethodSet(types.NewPointer(osFile))
	for m := range reflect.TypeFor[*ringfile.File]().Methods() {
		sig := new(types.Signature) // of a method that os.File lacks, only the name matters
		if s := of.Lookup(os, m.Name); s != nil {
			sig = s.Obj().(*types.Func).Signature()
		}
		file.AddMethod(types.NewFunc(token.NoPos, pkg, m.Name, types.NewSignatureType(recv(), nil, nil, sig.Params(), sig.Results(), sig.Variadic())))
	}
	add := func(to *types.Package, name string, first ...*types.Var) {
		sig := os.Scope().Lookup(name).(*types.Func).Signature()
		var results []*types.Var
		for v := range sig.Results().Variables() {
			if isFile(v.Type()) {
				v = types.NewVar(token.NoPos, to, v.Name(), types.NewPointer(file))
			}
			results = append(results, v)
		}
		for v := range sig.Params().Variables() {
			first = append(first, v)
		}
		to.Scope().Insert(types.NewFunc(token.NoPos, to, name, types.NewSignatureType(nil, nil, nil, types.NewTuple(first...), types.NewTuple(results...), false)))
	}
	for name := range functions["os"] {
		add(pkg, name)
	}
	for name := range byName {
		add(fsys, name, types.NewVar(token.NoPos, fsys, "ctx", context.Scope().Lookup("Context").Type()))
	}
	pkg.MarkComplete()
	fsys.MarkComplete()
	return map[string]*types.Package{ringfilePath: pkg, fsysPath: fsys}, nil
}

// isFile reports whether t is *os.File.
func isFile(t types.Type) bool {
	p, ok := types.Unalias(t).(*types.Pointer)
	return ok && isFileValue(p.Elem())
}

// isFileValue reports whether t is os.File.
func isFileValue(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Name() == "File" && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "os"
}

func isMethodOfFile(o types.Object) bool {
	fn, ok := o.(*types.Func)
	return ok && fn.Signature().Recv() != nil && isFile(fn.Signature().Recv().Type())
}
