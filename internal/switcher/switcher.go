// Package switcher rewrites a Go module from os.File to ringfile.File where that is safe, and says what it has
// left and why.
//
// It begins with everything rewritten but what types say nothing about: the module's API, descriptors that are given away,
// files in interfaces that are asked for an *os.File, and so on. Then the type checker is asked. Where it objects,
// what stands there is left as it was, with the declarations of what it uses, until there are no errors.
package switcher

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"iter"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// Options says what else may be switched.
type Options struct {
	API  bool // what other modules may use
	Fd   bool // files whose descriptor is asked for
	Fsys bool // calls on names, such as os.Rename, to those of package fsys
}

// Plan is what switching a module changes.
type Plan struct {
	Root    string   // folder of the module
	Files   []File   // that change
	Left    []Left   // in the order of files
	Calls   int      // that are switched
	Types   int      // uses of os.File that are switched
	Tests   int      // calls and types that stay, as only tests have to do with them
	Skipped []string // files that use os and that build constraints leave out
}

// File is a file before and after.
type File struct {
	Name     string // in Root, with slashes
	Old, New []byte
}

// Left is what stays, and why.
type Left struct {
	At      token.Position
	What    string
	Why     string
	Because token.Position
}

// Make finds out what can be switched in the module that dir is in. It writes nothing.
func Make(dir string, options Options) (*Plan, error) {
	m, err := load(dir)
	if err != nil {
		return nil, err
	}
	packages, errs := m.check(nil)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	s := &survey{
		m: m, options: options, sites: map[token.Pos]*site{}, units: map[ast.Node]*unit{}, declares: map[token.Pos]*unit{},
		methods: map[string][]*unit{}, uses: map[[2]string][]token.Pos{}, scopes: map[string]map[string]bool{},
	}
	for _, c := range packages {
		s.look(c)
	}
	s.reachAsserts()
	s.settle()
	if _, err := s.solve(s.give); err != nil {
		return nil, err
	}
	files, err := s.solve(s.spareTests())
	if err != nil {
		return nil, err
	}
	return s.plan(files), nil
}

// failure is an error of the type checker, in terms of the module as it is.
type failure struct {
	err  types.Error
	unit *unit
	file string
}

// solve rewrites the module and tells object about the errors, which changes what is rewritten, until there are none.
func (s *survey) solve(object func(errs []failure) error) (map[string]*rewritten, error) {
	for {
		files := s.rewrite()
		parsed := map[string]*ast.File{}
		for name, r := range files {
			var err error
			if parsed[name], err = parser.ParseFile(s.m.fset, name, r.text, parser.SkipObjectResolution); err != nil {
				return nil, err
			}
		}
		_, errs := s.m.check(parsed)
		if len(errs) == 0 {
			return files, nil
		}
		var failures []failure
		for _, e := range errs {
			at := s.m.place(e.Pos)
			if r := files[at.Filename]; r != nil {
				at.Offset = r.before(at.Offset)
			}
			f := s.m.files[at.Filename]
			if f == nil {
				return nil, e
			}
			e.Pos = f.FileStart + token.Pos(at.Offset)
			failures = append(failures, failure{e, s.unitAt(f, e.Pos), at.Filename})
		}
		if err := object(failures); err != nil {
			return nil, err
		}
	}
}

// unitAt returns the innermost unit at a position.
func (s *survey) unitAt(f *ast.File, at token.Pos) (u *unit) {
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil || at < n.Pos() || n.End() < at {
			return false
		}
		if s.units[n] != nil {
			u = s.units[n]
		}
		return true
	})
	return u
}

// wrongMethod is in messages about types that do not implement an interface any more.
var wrongMethod = regexp.MustCompile(`wrong type for method (\w+)`)

// unitsOf returns what an error has to do with.
func (s *survey) unitsOf(f failure) []*unit {
	if m := wrongMethod.FindStringSubmatch(f.err.Msg); m != nil {
		return slices.Concat(s.methods[m[1]], []*unit{f.unit})
	}
	return []*unit{f.unit}
}

// give leaves what errors have to do with; if that is nothing, all in their files; and if that is nothing, all.
func (s *survey) give(errs []failure) error {
	why := func(f failure, u *unit) *reason {
		message, _, _ := strings.Cut(f.err.Msg, "\n")
		return &reason{unit: u, at: f.err.Pos, why: "otherwise the compiler says: " + strings.TrimSpace(message), further: true}
	}
	for _, f := range errs {
		for _, u := range s.unitsOf(f) {
			s.waiting = append(s.waiting, *why(f, u))
		}
	}
	if s.settle() {
		return nil
	}
	for _, everywhere := range []bool{false, true} {
		more := false
		for _, x := range s.sites {
			for _, f := range errs {
				if x.stays == nil && (everywhere || x.file == f.file) {
					x.stays, more = why(f, nil), true
				}
			}
		}
		if more {
			return nil
		}
	}
	return errs[0].err
}

// spareTests has tests stay as they are, and returns what switches those after all that do not compile so.
func (s *survey) spareTests() func(errs []failure) error {
	spared := new(reason)
	for _, x := range s.sites {
		if x.test && x.stays == nil {
			x.stays = spared
		}
	}
	return func(errs []failure) error {
		more := false
		switchBack := func(sites iter.Seq[*site]) {
			for x := range sites {
				if x.stays == spared {
					x.stays, more = nil, true
				}
			}
		}
		for _, f := range errs {
			for _, u := range s.unitsOf(f) {
				switchBack(slices.Values(s.reach(u)))
			}
		}
		if !more {
			switchBack(maps.Values(s.sites))
		}
		if !more {
			return errs[0].err
		}
		return nil
	}
}

// plan puts together what changes and what stays.
func (s *survey) plan(files map[string]*rewritten) *Plan {
	plan := &Plan{Root: s.m.root}
	for name, r := range files {
		plan.Files = append(plan.Files, File{s.m.name(name), s.m.text[name], r.formatted(s.m.text[name])})
	}
	slices.SortFunc(plan.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	for _, name := range s.m.skipped {
		plan.Skipped = append(plan.Skipped, s.m.name(name))
	}
	slices.Sort(plan.Skipped)
	for _, x := range s.sites {
		switch {
		case x.stays != nil && x.test:
			plan.Tests++
		case x.stays != nil:
			plan.Left = append(plan.Left, Left{s.m.position(x.at), x.old, x.stays.why, s.m.position(x.stays.at)})
		case x.name == "File":
			plan.Types++
		default:
			plan.Calls++
		}
	}
	slices.SortFunc(plan.Left, func(a, b Left) int {
		return cmp.Or(cmp.Compare(a.At.Filename, b.At.Filename), cmp.Compare(a.At.Offset, b.At.Offset))
	})
	return plan
}

// Patch returns what changes as a unified diff for git apply, to which names are relative to the top of the
// repository, if there is one.
func (p *Plan) Patch() []byte {
	git := exec.Command("git", "rev-parse", "--show-prefix")
	git.Dir = p.Root
	prefix, _ := git.Output()
	var b bytes.Buffer
	for _, f := range p.Files {
		unified(&b, strings.TrimSpace(string(prefix))+f.Name, string(f.Old), string(f.New))
	}
	return b.Bytes()
}
