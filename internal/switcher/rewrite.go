package switcher

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// edit puts text in the place of source[at:end].
type edit struct {
	at, end int
	text    string
}

// rewritten is a file with its edits, in order.
type rewritten struct {
	text  []byte
	edits []edit
}

// before returns where in the file as it was the offset is that is given for the file as it is now.
func (r *rewritten) before(offset int) int {
	for _, e := range r.edits {
		if offset < e.at {
			break
		}
		if offset <= e.at+len(e.text) {
			return e.at
		}
		offset -= len(e.text) - (e.end - e.at)
	}
	return offset
}

// formatted returns the text as gofmt has it, if the file was so before.
func (r *rewritten) formatted(old []byte) []byte {
	if was, err := format.Source(old); err == nil && bytes.Equal(was, old) {
		if now, err := format.Source(r.text); err == nil {
			return now
		}
	}
	return r.text
}

// rewrite returns the files that change, as they are then.
func (s *survey) rewrite() map[string]*rewritten {
	sites, files := map[string][]*site{}, map[string]*rewritten{}
	for _, x := range s.sites {
		if x.stays == nil {
			sites[x.file] = append(sites[x.file], x)
		}
	}
	for name, list := range sites {
		files[name] = s.rewriteFile(name, list)
	}
	return files
}

func (s *survey) rewriteFile(name string, sites []*site) *rewritten {
	f, source := s.m.files[name], s.m.text[name]
	offset := func(pos token.Pos) int { return s.m.place(pos).Offset }
	r, imports := new(rewritten), newImports(f, s.scopes[filepath.Dir(name)])
	gone := map[token.Pos]bool{}
	for _, x := range sites {
		gone[x.at] = true
		r.edits = append(r.edits, edit{offset(x.at), offset(x.end), imports.name(x.path) + "." + x.name})
		if x.context.IsValid() {
			at := offset(x.context)
			r.edits = append(r.edits, edit{at, at, imports.name("context") + ".Background(), "})
		}
	}
	for i, spec := range f.Imports {
		uses, left := s.uses[name][imports.paths[i]], 0
		for pos := range uses {
			if !gone[pos] {
				left++
			}
		}
		if len(uses) > 0 && left == 0 {
			imports.drop = append(imports.drop, spec)
		}
	}
	r.edits = append(r.edits, imports.edits(source, offset)...)
	slices.SortStableFunc(r.edits, func(a, b edit) int { return cmp.Compare(a.at, b.at) })
	end := 0
	for _, e := range r.edits {
		r.text = append(append(r.text, source[end:e.at]...), e.text...)
		end = e.end
	}
	r.text = append(r.text, source[end:]...)
	return r
}

// imports are those of a file.
type imports struct {
	file  *ast.File
	paths []string          // of file.Imports
	taken map[string]bool   // identifiers
	names map[string]string // by path
	add   []string          // what is to be imported, as source
	drop  []*ast.ImportSpec
}

func newImports(f *ast.File, scope map[string]bool) *imports {
	i := &imports{file: f, taken: map[string]bool{}, names: map[string]string{}}
	maps.Copy(i.taken, scope)
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		i.paths = append(i.paths, p)
		if spec.Name == nil {
			i.names[p] = path.Base(p)
		} else if spec.Name.Name != "_" && spec.Name.Name != "." {
			i.names[p] = spec.Name.Name
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			i.taken[id.Name] = true
		}
		return true
	})
	return i
}

// name returns the name of a package in the file, which gets an import if it has none.
func (i *imports) name(p string) string {
	if i.names[p] == "" {
		name := path.Base(p)
		i.add = append(i.add, strconv.Quote(p))
		if i.taken[name] {
			name += "2"
			i.add[len(i.add)-1] = fmt.Sprintf("%s %q", name, p)
		}
		i.names[p] = name
	}
	return i.names[p]
}

// edits returns what changes the imports: the new ones stand behind the others.
func (i *imports) edits(source []byte, offset func(token.Pos) int) (list []edit) {
	var last *ast.GenDecl
	for _, d := range i.file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT && g.Specs[0].(*ast.ImportSpec).Path.Value != `"C"` {
			last = g
		}
	}
	lineEnd := func(at int) int {
		if n := bytes.IndexByte(source[at:], '\n'); n >= 0 {
			return at + n
		}
		return len(source)
	}
	for _, spec := range i.drop {
		at, end := offset(spec.Pos()), offset(spec.End())
		if !last.Lparen.IsValid() && last.Specs[0] == spec && len(i.add) > 0 {
			list = append(list, edit{at, end, i.add[0]})
			i.add = i.add[1:]
			continue
		}
		start := bytes.LastIndexByte(source[:at], '\n') + 1
		if stop := lineEnd(end); bytes.ContainsAny(source[start:at], "(;") || bytes.ContainsAny(source[end:stop], ");") {
			list = append(list, edit{at, end, ""})
		} else {
			list = append(list, edit{start, min(stop+1, len(source)), ""})
		}
	}
	if len(i.add) == 0 {
		return list
	}
	spec := last.Specs[len(last.Specs)-1].(*ast.ImportSpec)
	if !last.Lparen.IsValid() {
		at := lineEnd(offset(spec.End()))
		return append(list, edit{at, at, "\nimport " + strings.Join(i.add, "\nimport ")})
	}
	gap := "\n"
	if p, _ := strconv.Unquote(spec.Path.Value); strings.Contains(strings.Split(p, "/")[0], ".") {
		gap = ""
	}
	at := offset(last.Rparen)
	if c := slices.IndexFunc(i.add, func(s string) bool { return strings.HasSuffix(s, `"context"`) }); c >= 0 {
		first := offset(last.Specs[0].Pos())
		list = append(list, edit{first, first, i.add[c] + "\n\t"})
		i.add = slices.Delete(i.add, c, c+1)
	}
	return append(list, edit{at, at, gap + "\t" + strings.Join(i.add, "\n\t") + "\n"})
}
