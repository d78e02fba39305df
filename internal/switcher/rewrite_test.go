package switcher

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestImports has files in which os.Open, or os.Stat with a context, is all that is rewritten.
func TestImports(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"one, used on", "import \"os\"\n\nvar _, _ = os.Open, os.Stdin\n", "import (\n\t\"os\"\n\n\t\"github.com/ringfile/ringfile\"\n)\n\nvar _, _ = ringfile.Open, os.Stdin\n"},
		{"one, not used on", "import \"os\" // files\n\nvar _ = os.Open\n", "import (\n\t\"github.com/ringfile/ringfile\"\n) // files\n\nvar _ = ringfile.Open\n"},
		{"several alone", "import \"os\"\nimport \"fmt\"\n\nvar _, _ = os.Open, fmt.Print\n", "import (\n\t\"fmt\"\n\n\t\"github.com/ringfile/ringfile\"\n)\n\nvar _, _ = ringfile.Open, fmt.Print\n"},
		{"in a group", "import (\n\t\"fmt\"\n\t\"os\"\n)\n\nvar _, _ = os.Open, fmt.Print\n", "import (\n\t\"fmt\"\n\n\t\"github.com/ringfile/ringfile\"\n)\n\nvar _, _ = ringfile.Open, fmt.Print\n"},
		{"others there", "import (\n\t\"os\"\n\n\t\"a.b/c\"\n\t\"x.y/z\"\n)\n\nvar _, _, _ = os.Open, c.X, z.X\n", "import (\n\t\"a.b/c\"\n\t\"github.com/ringfile/ringfile\"\n\t\"x.y/z\"\n)\n\nvar _, _, _ = ringfile.Open, c.X, z.X\n"},
		{"another name", "import files \"os\"\n\nvar ringfile = files.Open\n", "import (\n\tringfile2 \"github.com/ringfile/ringfile\"\n)\n\nvar ringfile = ringfile2.Open\n"},
		{"there already", "import (\n\t\"os\"\n\n\trf \"github.com/ringfile/ringfile\"\n)\n\nvar _, _ = os.Open, rf.Open\n", "import (\n\trf \"github.com/ringfile/ringfile\"\n)\n\nvar _, _ = rf.Open, rf.Open\n"},
		{"there already, alone", "import rf \"github.com/ringfile/ringfile\"\nimport \"os\"\n\nvar _, _ = os.Open, rf.Open\n", "import rf \"github.com/ringfile/ringfile\"\n\nvar _, _ = rf.Open, rf.Open\n"},
		{"context", "import (\n\t\"os\"\n\t\"time\"\n)\n\nvar _, _ = time.Now, os.Stat(\"x\")\n", "import (\n\t\"context\"\n\t\"time\"\n\n\t\"github.com/ringfile/ringfile/fsys\"\n)\n\nvar _, _ = time.Now, fsys.Stat(context.Background(), \"x\")\n"},
		{"context alone", "import \"os\"\n\nvar _ = os.Stat(\"x\")\n", "import (\n\t\"context\"\n\n\t\"github.com/ringfile/ringfile/fsys\"\n)\n\nvar _ = fsys.Stat(context.Background(), \"x\")\n"},
		{"with C", "import \"C\"\nimport \"os\"\n\nvar _ = os.Open\n", "import \"C\"\nimport (\n\t\"github.com/ringfile/ringfile\"\n)\n\nvar _ = ringfile.Open\n"},
		{"not formatted", "import (\"os\"; \"fmt\")\nvar _, _ = os.Open, fmt.Print", "import (_ \"os\"; \"fmt\"\n\t\"github.com/ringfile/ringfile\"\n)\nvar _, _ = ringfile.Open, fmt.Print"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &module{fset: token.NewFileSet(), files: map[string]*ast.File{}, text: map[string][]byte{"x.go": []byte("package x\n\n" + c.old)}}
			f, err := parser.ParseFile(m.fset, "x.go", m.text["x.go"], parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			m.files["x.go"] = f
			s := &survey{m: m, uses: map[[2]string][]token.Pos{}}
			var sites []*site
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if ok {
					n = call.Fun
				}
				e, isSelector := n.(*ast.SelectorExpr)
				if !isSelector || e.X.(*ast.Ident).Name != "os" && e.X.(*ast.Ident).Name != "files" {
					return true
				}
				s.uses[[2]string{"x.go", "os"}] = append(s.uses[[2]string{"x.go", "os"}], e.Pos())
				switch e.Sel.Name {
				case "Open":
					sites = append(sites, &site{at: e.Pos(), end: e.End(), path: ringfilePath, name: "Open"})
				case "Stat":
					sites = append(sites, &site{at: e.Pos(), end: e.End(), path: fsysPath, name: "Stat", context: call.Lparen + 1})
				}
				return !ok
			})
			r := s.rewriteFile("x.go", sites)
			if got := string(r.formatted(m.text["x.go"])); got != "package x\n\n"+c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if got, want := r.before(bytes.Index(r.text, []byte("var"))), bytes.Index(m.text["x.go"], []byte("var")); got != want {
				t.Errorf("what was at %d is said to have been at %d", want, got)
			}
		})
	}
}
