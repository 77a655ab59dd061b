package main

import (
	"bytes"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

const centre = "fapws/runtime/exchange"

// An exchange passes through many packages. If all of them could change its fields, no reader could say when a field has
// which value.
func TestFieldsOfAnExchangeAreWrittenByItsPackageAlone(t *testing.T) {
	var own map[types.Object]bool
	eachPackage(t, func(p *checkedPackage) {
		if own == nil {
			own = map[types.Object]bool{}
			exchange := checktest.Try(p.imports.Import(centre)).Must(t)
			for _, name := range []string{"Exchange", "Response"} {
				fieldsIn(exchange.Scope().Lookup(name).Type(), own)
			}
		}
		if p.path == centre {
			return
		}
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				for _, to := range written(n) {
					if s := p.info.Selections[to]; s != nil && own[s.Obj()] {
						t.Errorf("%v writes the field %s of an exchange; call a method", p.fset.Position(to.Pos()), s.Obj().Name())
					}
				}
				return true
			})
		}
	})
}

type checkedPackage struct {
	path    string
	fset    *token.FileSet
	files   []*ast.File
	info    types.Info
	imports types.Importer
}

// eachPackage calls visit with each package of the executable, after its types were checked.
func eachPackage(t *testing.T, visit func(p *checkedPackage)) {
	t.Helper()
	out := checktest.Try(exec.Command("go", "list", "-export", "-deps", "-f",
		"{{.ImportPath}}\t{{.Export}}\t{{.Dir}}\t{{join .GoFiles \" \"}} {{join .CgoFiles \" \"}}", "fapws/cmd/fapws").Output()).Must(t)
	exports, sources := map[string]string{}, map[string][]string{}
	for line := range bytes.Lines(out) {
		f := strings.Split(strings.TrimSpace(string(line)), "\t")
		if exports[f[0]] = f[1]; strings.HasPrefix(f[0], "fapws/") {
			for _, name := range strings.Fields(f[3]) {
				sources[f[0]] = append(sources[f[0]], filepath.Join(f[2], name))
			}
		}
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for path, names := range sources {
		p := &checkedPackage{path: path, fset: fset, imports: imports, info: types.Info{
			Selections: map[*ast.SelectorExpr]*types.Selection{}, Uses: map[*ast.Ident]types.Object{},
			Types: map[ast.Expr]types.TypeAndValue{}}}
		for _, name := range names {
			p.files = append(p.files, checktest.Try(parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)).Must(t))
		}
		// C functions have no types here
		cfg := types.Config{Importer: imports, FakeImportC: true, Error: func(error) {}}
		_, _ = cfg.Check(path, fset, p.files, &p.info)
		visit(p)
	}
}

// fieldsIn adds the fields of a struct to all, and those of structs that it embeds without a pointer.
func fieldsIn(of types.Type, all map[types.Object]bool) {
	s, _ := of.Underlying().(*types.Struct)
	for i := 0; s != nil && i < s.NumFields(); i++ {
		f := s.Field(i)
		if all[f] = true; f.Embedded() {
			fieldsIn(f.Type(), all)
		}
	}
}

// written returns the selectors that the statement or expression n assigns to, or whose address n takes.
func written(n ast.Node) (to []*ast.SelectorExpr) {
	var places []ast.Expr
	switch n := n.(type) {
	case *ast.AssignStmt:
		places = n.Lhs
	case *ast.IncDecStmt:
		places = []ast.Expr{n.X}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			places = []ast.Expr{n.X}
		}
	}
	for _, e := range places {
		if s, ok := e.(*ast.SelectorExpr); ok {
			to = append(to, s)
		}
	}
	return to
}
