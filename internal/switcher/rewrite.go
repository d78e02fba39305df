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
		uses := s.uses[[2]string{name, imports.paths[i]}]
		if len(uses) > 0 && !slices.ContainsFunc(uses, func(at token.Pos) bool { return !gone[at] }) {
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

// edits returns what changes the imports. New ones stand behind the others, those of the standard library before them.
func (i *imports) edits(source []byte, offset func(token.Pos) int) (list []edit) {
	var last *ast.GenDecl
	for _, d := range i.file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT && g.Specs[0].(*ast.ImportSpec).Path.Value != `"C"` {
			last = g
		}
	}
	spec := last.Specs[len(last.Specs)-1].(*ast.ImportSpec)
	var standard, others string
	for _, add := range i.add {
		if strings.Contains(add, ".") {
			others += "\t" + add + "\n"
		} else {
			standard += "\n\t" + add
		}
	}
	gap := "\n"
	if p, _ := strconv.Unquote(spec.Path.Value); strings.Contains(strings.Split(p, "/")[0], ".") {
		gap = ""
	}
	at, end := offset(spec.Pos()), offset(spec.End())
	switch {
	case len(i.add) == 0:
	case last.Lparen.IsValid():
		at, end = offset(last.Lparen)+1, offset(last.Rparen)
		list = append(list, edit{at, at, standard}, edit{end, end, gap + others})
	case slices.Contains(i.drop, spec):
		list = append(list, edit{at, end, "(" + standard + "\n\n" + others + ")"})
	default:
		list = append(list, edit{at, at, "(" + standard + "\n\t"}, edit{end, end, "\n" + gap + others + ")"})
	}
	for _, d := range i.drop {
		if d == spec && !last.Lparen.IsValid() && len(i.add) > 0 {
			continue // replaced
		}
		e := edit{offset(d.Pos()), offset(d.End()), "_ " + d.Path.Value}
		start, stop := bytes.LastIndexByte(source[:e.at], '\n')+1, e.end+bytes.IndexByte(source[e.end:], '\n')+1
		if rest := bytes.TrimSpace(source[e.end:stop]); len(rest) == 0 || rest[0] == '/' {
			e = edit{start, stop, ""} // it has the line for itself
		}
		list = append(list, e)
	}
	return list
}
