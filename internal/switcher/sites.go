package switcher

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"

	"github.com/ringfile/ringfile"
)

// site is a piece of source that can be rewritten: os.File, os.Open and so on.
type site struct {
	at, end token.Pos
	file    string
	old     string    // the source
	path    string    // of the package that is to stand there
	name    string    // in it
	context token.Pos // where a context is to be put in; if valid
	test    bool      // in a file of tests
	stays   *reason   // nil if it is rewritten
}

// reason is why a unit, and what it uses, stays as it is.
type reason struct {
	unit    *unit
	at      token.Pos
	why     string
	further bool // it is a message of the compiler, which may be a consequence of another reason
}

// unit is what changes together: a statement without those in it, an element with the name of a field, a declaration,
// of a function only its signature.
type unit struct {
	sites []*site
	names map[token.Pos]bool // of what it uses that has files in it: where these are declared
}

// survey is what has been found out about a module.
type survey struct {
	m        *module
	options  Options
	waiting  []reason // that settle has not seen
	sites    map[token.Pos]*site
	units    map[ast.Node]*unit
	declares map[token.Pos]*unit        // by the position of the name
	methods  map[string][]*unit         // those with files, by name
	uses     map[[2]string][]token.Pos  // selectors of packages, by file and import path
	scopes   map[string]map[string]bool // what packages declare, by folder
	asserts  []conversion               // of interfaces to *os.File
	casts    [][2]types.Type            // of interfaces to others
	boxes    []conversion               // of files to interfaces

	*checked                // the package
	file                    string
	test, generated, public bool // the file is, is, and has what other modules may use
}

// conversion is one between an interface and a file.
type conversion struct {
	iface types.Type
	unit  *unit
	at    token.Pos
}

// look goes through a package.
func (s *survey) look(c *checked) {
	s.checked = c
	if s.scopes[c.Dir] == nil {
		s.scopes[c.Dir] = map[string]bool{}
	}
	for _, name := range c.types.Scope().Names() {
		s.scopes[c.Dir][name] = true
	}
	for _, f := range c.files {
		s.file = s.m.place(f.Package).Filename
		s.test, s.generated = strings.HasSuffix(s.file, "_test.go"), ast.IsGenerated(f)
		s.public = !s.options.API && !s.test && c.Name != "main" && !slices.Contains(strings.Split(c.path(), "/"), "internal")
		ast.PreorderStack(f, nil, func(n ast.Node, stack []ast.Node) bool {
			s.node(n, stack)
			return true
		})
	}
}

// unitOf returns the unit of the last of these nodes, of which each is in the one before.
func (s *survey) unitOf(stack []ast.Node) *unit {
	for i, n := range slices.Backward(stack) {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if id, ok := n.Key.(*ast.Ident); !ok || !isField(s.info.Uses[id]) {
				continue
			}
		case *ast.Field: // parameters belong to what has the signature
			if _, ok := stack[i-2].(*ast.FuncType); ok {
				continue
			}
		case ast.Stmt, *ast.ValueSpec, *ast.TypeSpec, *ast.FuncDecl, *ast.File:
		default:
			continue
		}
		if s.units[n] == nil {
			s.units[n] = &unit{names: map[token.Pos]bool{}}
		}
		return s.units[n]
	}
	panic("switcher: no file")
}

func isField(o types.Object) bool {
	v, ok := o.(*types.Var)
	return ok && v.IsField()
}

// node takes note of what n says about files, and leaves what types say nothing about.
func (s *survey) node(n ast.Node, stack []ast.Node) {
	u := s.unitOf(append(stack, n))
	switch n := n.(type) {
	case *ast.Ident:
		s.ident(n, u)
	case *ast.SelectorExpr:
		s.selector(n, u, stack)
	case *ast.FuncDecl:
		s.keep(u, n.Name, n.Recv == nil || typeName(n.Recv.List[0].Type).IsExported(), s.m.unseen[s.Dir].all)
	case *ast.TypeSpec:
		s.keep(u, n.Name, len(stack) == 2, s.m.unseen[s.Dir].all)
	case *ast.ValueSpec:
		for _, id := range n.Names {
			if len(stack) == 2 {
				s.keep(u, id, true, s.m.unseen[s.Dir].all)
			}
		}
		s.convert(u, n.Values, func(i int) types.Type { return s.info.TypeOf(n.Names[i]) })
	case *ast.Field:
		names := n.Names
		switch stack[len(stack)-2].(type) {
		case *ast.StructType:
			if len(names) == 0 {
				names = []*ast.Ident{typeName(n.Type)}
				s.embedded(u, n, stack)
			}
		case *ast.InterfaceType:
		default:
			return
		}
		for _, id := range names {
			s.keep(u, id, exported(stack), s.m.unseen[s.Dir].selected)
		}
	case *ast.AssignStmt:
		for i, e := range n.Lhs {
			if sel, ok := ast.Unparen(e).(*ast.SelectorExpr); ok && len(n.Lhs) == len(n.Rhs) {
				s.stream(u, s.info.Uses[sel.Sel], n.Rhs[i])
			}
		}
		s.convert(u, n.Rhs, func(i int) types.Type { return s.info.TypeOf(n.Lhs[i]) })
	case *ast.FuncLit:
		s.declares[n.Pos()] = u
	case *ast.ReturnStmt:
		sig, at := s.enclosing(stack)
		u.names[at] = true
		s.convert(u, n.Results, func(i int) types.Type { return sig.Results().At(i).Type() })
	case *ast.SendStmt:
		if c, ok := s.info.TypeOf(n.Chan).Underlying().(*types.Chan); ok {
			s.convert(u, []ast.Expr{n.Value}, func(int) types.Type { return c.Elem() })
		}
	case *ast.CompositeLit:
		s.literal(n, u)
	case *ast.CallExpr:
		s.call(n, u)
	case *ast.StarExpr:
		if tv := s.info.Types[n]; tv.IsValue() && isFileValue(tv.Type) {
			s.leave(u, n.Pos(), "a file is used by value here")
		}
	case *ast.TypeAssertExpr:
		if n.Type != nil {
			s.assert(u, n.X, n.Type)
		}
	case *ast.CaseClause:
		if sw, ok := stack[len(stack)-2].(*ast.TypeSwitchStmt); ok {
			for _, t := range n.List {
				s.assert(u, switched(sw), t)
			}
		}
	}
}

// switched returns the interface that a type switch is about.
func switched(n *ast.TypeSwitchStmt) (x ast.Expr) {
	ast.Inspect(n.Assign, func(n ast.Node) bool {
		if assert, ok := n.(*ast.TypeAssertExpr); ok && x == nil {
			x = assert.X
		}
		return x == nil
	})
	return x
}

// exported reports whether the type or variable of the package that the nodes are in is exported.
func exported(stack []ast.Node) bool {
	switch spec := stack[2].(type) {
	case *ast.TypeSpec:
		return spec.Name.IsExported()
	case *ast.ValueSpec:
		return slices.ContainsFunc(spec.Names, (*ast.Ident).IsExported)
	}
	return false
}

// embedded leaves an embedded file, if a method that ringfile.File has and os.File lacks would come in the way of
// one of another embedded field.
func (s *survey) embedded(u *unit, n *ast.Field, stack []ast.Node) {
	if !isFile(s.info.TypeOf(n.Type)) {
		return
	}
	t := s.info.TypeOf(stack[len(stack)-2].(ast.Expr))
	if spec, ok := stack[len(stack)-3].(*ast.TypeSpec); ok {
		t = s.info.Defs[spec.Name].Type()
	}
	for m := range reflect.TypeFor[*ringfile.File]().Methods() {
		mine, path, _ := types.LookupFieldOrMethod(t, true, s.types, m.Name)
		if len(path) > 1 && !isMethodOfFile(mine) {
			s.leave(u, n.Pos(), "another embedded field has a "+m.Name+", as ringfile.File has")
		}
	}
}

// keep leaves what id declares, if other modules may use it (public says that it can be seen), or files do
// that have not been looked at.
func (s *survey) keep(u *unit, id *ast.Ident, public bool, unseen map[string]string) {
	if o := s.info.Defs[id]; o == nil || !holds(o.Type()) {
		return
	}
	if s.public && public && id.IsExported() {
		s.leave(u, id.Pos(), id.Name+" is exported")
	}
	file := unseen[id.Name]
	if file == "" && id.IsExported() {
		file = s.m.abroad[id.Name]
	}
	if file != "" {
		s.leave(u, id.Pos(), id.Name+" occurs in "+s.m.name(file)+", which build constraints leave out")
	}
}

func (s *survey) ident(id *ast.Ident, u *unit) {
	if o, ok := s.info.Defs[id]; ok {
		s.declares[id.Pos()] = u
		if fn, ok := o.(*types.Func); ok && holds(fn.Type()) {
			s.methods[id.Name] = append(s.methods[id.Name], u)
		}
	} else {
		s.use(u, s.info.Uses[id])
	}
}

// use takes note that u uses something that this module declares.
func (s *survey) use(u *unit, o types.Object) {
	if o != nil && !s.outside(o) && holds(o.Type()) {
		u.names[o.Pos()] = true
	}
}

// leave has u stay as it is.
func (s *survey) leave(u *unit, at token.Pos, why string) {
	s.waiting = append(s.waiting, reason{unit: u, at: at, why: why})
}

// settle has everything stay that waits for it, with what it uses, and reports whether that is more than before.
func (s *survey) settle() (more bool) {
	for _, r := range s.waiting {
		sites := s.reach(r.unit)
		if r.further { // the other one explains more
			for _, x := range sites {
				if x.stays != nil && !x.stays.further {
					r.at, r.why, r.further = x.stays.at, x.stays.why, false
					break
				}
			}
		}
		for _, x := range sites {
			if x.stays == nil {
				x.stays, more = &r, true
			}
		}
	}
	s.waiting = nil
	return more
}

// reach returns the sites of u and of the declarations of what it uses, in order.
func (s *survey) reach(u *unit) (sites []*site) {
	seen := map[*unit]bool{}
	var visit func(u *unit)
	visit = func(u *unit) {
		if u == nil || seen[u] {
			return
		}
		seen[u] = true
		sites = append(sites, u.sites...)
		for at := range u.names {
			visit(s.declares[at])
		}
	}
	visit(u)
	slices.SortFunc(sites, func(a, b *site) int { return cmp.Compare(a.at, b.at) })
	return sites
}

// outside reports whether another module declares o.
func (s *survey) outside(o types.Object) bool { return o.Pkg() == nil || !s.m.paths[o.Pkg().Path()] }

func (s *survey) selector(n *ast.SelectorExpr, u *unit, stack []ast.Node) {
	if sel := s.info.Selections[n]; sel != nil {
		t := sel.Recv()
		for _, i := range sel.Index()[:len(sel.Index())-1] { // embedded fields
			if p, ok := t.Underlying().(*types.Pointer); ok {
				t = p.Elem()
			}
			if str, ok := t.Underlying().(*types.Struct); ok {
				s.use(u, str.Field(i).Origin())
				t = str.Field(i).Type()
			}
		}
		if (n.Sel.Name == "Fd" || n.Sel.Name == "SyscallConn") && isMethodOfFile(sel.Obj()) && !s.options.Fd {
			s.leave(u, n.Sel.Pos(), n.Sel.Name+"() gives the descriptor away (--fd: all the same)")
		}
		return
	}
	id, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	pkg, ok := s.info.Uses[id].(*types.PkgName)
	if !ok {
		return
	}
	path, name := pkg.Imported().Path(), n.Sel.Name
	key := [2]string{s.file, path}
	s.uses[key] = append(s.uses[key], n.Pos())
	found := &site{at: n.Pos(), end: n.End(), file: s.file, old: types.ExprString(n), path: ringfilePath, name: name, test: s.test}
	parent := stack[len(stack)-1]
	call, _ := parent.(*ast.CallExpr)
	switch {
	case path == "os" && name == "File":
		if _, ok := parent.(*ast.StarExpr); !ok {
			s.leave(u, n.Pos(), "os.File stands here without a pointer")
		}
	case path == "os" && (name == "Pipe" || name == "NewFile"):
		found.stays = &reason{at: n.Pos(), why: "pipes and sockets are best with os; ringfile.Adopt makes a File of any"}
	case functions[path][name] != "":
		found.name = functions[path][name]
	case s.options.Fsys && path == "os" && byName[name] && call != nil && call.Fun == n:
		found.path, found.context = fsysPath, call.Lparen+1
	default:
		return
	}
	if s.sites[n.Pos()] == nil {
		s.sites[n.Pos()] = found
		u.sites = append(u.sites, found)
		if s.generated {
			found.stays = &reason{at: n.Pos(), why: "the file is generated"}
		}
	}
}

// enclosing returns the signature of the innermost function, and where it is declared.
func (s *survey) enclosing(stack []ast.Node) (*types.Signature, token.Pos) {
	for _, n := range slices.Backward(stack) {
		switch n := n.(type) {
		case *ast.FuncLit:
			return s.info.TypeOf(n).(*types.Signature), n.Pos()
		case *ast.FuncDecl:
			return s.info.Defs[n.Name].(*types.Func).Signature(), n.Name.Pos()
		}
	}
	panic("switcher: a return outside functions")
}

// convert takes note of files among the values of a list that become interfaces. to returns the type that the
// value with an index gets, or nil.
func (s *survey) convert(u *unit, list []ast.Expr, to func(i int) types.Type) {
	for i := range list {
		t := s.info.TypeOf(list[i])
		tuple, ok := t.(*types.Tuple)
		if !ok {
			tuple = types.NewTuple(types.NewVar(token.NoPos, nil, "", t))
		}
		for j := range tuple.Len() {
			t := tuple.At(j).Type()
			if t == nil || !holds(t) {
				continue
			}
			switch to := to(i + j); {
			case to == nil || !types.IsInterface(to):
			case isFile(t):
				s.boxes = append(s.boxes, conversion{to, u, list[i].Pos()})
			default:
				s.leave(u, list[i].Pos(), "an interface gets a "+types.TypeString(t, nil))
			}
		}
	}
}

// stream takes note that e is assigned to a field, which may be one of exec.Cmd.
func (s *survey) stream(u *unit, field types.Object, e ast.Expr) {
	t := s.info.TypeOf(e)
	switch {
	case field == nil || field.Pkg() == nil || field.Pkg().Path() != "os/exec" || !types.IsInterface(field.Type()):
	case isFile(t):
		s.leave(u, e.Pos(), "a child process gets it as its "+field.Name()+" (File.Dup makes an *os.File)")
	case types.IsInterface(t): // package exec asks for an *os.File in it
		s.asserts = append(s.asserts, conversion{t, u, e.Pos()})
	}
}

func (s *survey) literal(n *ast.CompositeLit, u *unit) {
	t := s.info.TypeOf(n).Underlying()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem().Underlying()
	}
	for i, e := range n.Elts {
		u := u
		kv, keyed := e.(*ast.KeyValueExpr)
		if keyed {
			e = kv.Value
		}
		switch t := t.(type) {
		case *types.Struct:
			field := types.Object(t.Field(min(i, t.NumFields()-1)))
			if keyed {
				field, u = s.info.Uses[kv.Key.(*ast.Ident)], s.unitOf([]ast.Node{kv})
			}
			s.use(u, field)
			s.stream(u, field, e)
			s.convert(u, []ast.Expr{e}, func(int) types.Type { return field.Type() })
		case *types.Map:
			s.convert(u, []ast.Expr{kv.Key, e}, func(i int) types.Type { return []types.Type{t.Key(), t.Elem()}[i] })
		case interface{ Elem() types.Type }:
			s.convert(u, []ast.Expr{e}, func(int) types.Type { return t.Elem() })
		}
	}
}

func (s *survey) call(n *ast.CallExpr, u *unit) {
	tv := s.info.Types[n.Fun]
	if tv.Type == nil { // of cgo
		return
	}
	if tv.IsType() {
		s.convert(u, n.Args, func(int) types.Type { return tv.Type })
		if isFile(tv.Type) && s.info.Types[n.Args[0]].IsNil() {
			s.leave(u, n.Pos(), "this is about the type *os.File itself")
		}
	} else if sig, ok := tv.Type.Underlying().(*types.Signature); ok {
		fn := s.callee(n.Fun)
		s.convert(u, n.Args, func(i int) types.Type { return s.parameter(n, fn, sig, i) })
	}
}

// parameter returns the type of the parameter that an argument goes to; nil if fn, of another module, takes it
// for its methods, or prints it.
func (s *survey) parameter(n *ast.CallExpr, fn *types.Func, sig *types.Signature, i int) types.Type {
	last := sig.Params().Len() - 1
	t := sig.Params().At(min(i, last)).Type()
	if slice, ok := t.(*types.Slice); ok && sig.Variadic() && i >= last && !n.Ellipsis.IsValid() {
		t = slice.Elem()
	}
	iface, ok := t.Underlying().(*types.Interface)
	switch {
	case fn == nil:
	case !s.outside(fn):
		if !holds(fn.Origin().Signature().Params().At(min(i, last)).Type()) && holds(t) { // generic
			return types.Universe.Lookup("any").Type()
		}
	case ok && (iface.NumMethods() > 0 || slices.Contains([]string{"fmt", "log", "log/slog", "testing"}, fn.Pkg().Path())):
		return nil
	}
	return t
}

// callee returns the function or method that e names; nil if it is a variable, or something else.
func (s *survey) callee(e ast.Expr) *types.Func {
	switch e := ast.Unparen(e).(type) {
	case *ast.IndexExpr:
		return s.callee(e.X)
	case *ast.IndexListExpr:
		return s.callee(e.X)
	case *ast.Ident:
		fn, _ := s.info.Uses[e].(*types.Func)
		return fn
	case *ast.SelectorExpr:
		if sel := s.info.Selections[e]; sel == nil || sel.Kind() == types.MethodVal {
			fn, _ := s.info.Uses[e.Sel].(*types.Func)
			return fn
		}
	}
	return nil
}

// assert takes note that the interface x is asked for a value of type t.
func (s *survey) assert(u *unit, x, t ast.Expr) {
	from, to := s.info.TypeOf(x), s.info.TypeOf(t)
	if holds(to) {
		s.leave(u, t.Pos(), "it is asked here whether an interface has an *os.File")
		s.asserts = append(s.asserts, conversion{from, u, t.Pos()})
	} else if s.info.Types[t].IsType() && types.IsInterface(to) {
		s.casts = append(s.casts, [2]types.Type{from, to})
	}
}

// reachAsserts leaves the files that may be in an interface which is asked for its *os.File.
func (s *survey) reachAsserts() {
	asserts := slices.Clone(s.asserts)
	for i := 0; i < len(asserts); i++ { // an interface that is cast to one of which an assertion is made
		for _, c := range s.casts {
			if types.AssignableTo(c[1], asserts[i].iface) && !slices.ContainsFunc(asserts, func(a conversion) bool { return types.Identical(a.iface, c[0]) }) {
				asserts = append(asserts, conversion{iface: c[0], at: asserts[i].at})
			}
		}
	}
	for _, b := range s.boxes {
		for _, a := range asserts {
			if types.AssignableTo(b.iface, a.iface) {
				s.leave(b.unit, a.at, "an interface that may have it is asked for an *os.File")
				break
			}
		}
	}
}

// typeName returns the name of an embedded field, or of the type of a receiver.
func typeName(t ast.Expr) *ast.Ident {
	switch t := t.(type) {
	case *ast.Ident:
		return t
	case *ast.SelectorExpr:
		return t.Sel
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.ParenExpr:
		return typeName(t.X)
	case *ast.IndexExpr:
		return typeName(t.X)
	case *ast.IndexListExpr:
		return typeName(t.X)
	}
	return nil
}

// holds reports whether there is an os.File, or a pointer to one, in t. Fields of structs and methods of
// interfaces are something of their own.
func holds(t types.Type) bool {
	seen := map[types.Type]bool{}
	var walk func(t types.Type) bool
	walk = func(t types.Type) bool {
		switch t := types.Unalias(t).(type) {
		case *types.Named:
			for arg := range t.TypeArgs().Types() {
				if walk(arg) {
					return true
				}
			}
			if isFileValue(t) || seen[t.Origin()] {
				return isFileValue(t)
			}
			seen[t.Origin()] = true
			return walk(t.Origin().Underlying())
		case *types.Map:
			return walk(t.Key()) || walk(t.Elem())
		case interface{ Elem() types.Type }: // of a pointer, slice, array or channel
			return walk(t.Elem())
		case *types.Signature:
			return walk(t.Params()) || walk(t.Results())
		case *types.Tuple:
			for v := range t.Variables() {
				if walk(v.Type()) {
					return true
				}
			}
		}
		return false
	}
	return t != nil && walk(t)
}
