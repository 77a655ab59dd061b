package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
)

// TestOtherSystems: all packages that need no C compile, with their tests, and what packages with C have in Go, for Linux on
// 32-bit and 64-bit x86 and ARM, for the BSDs and for macOS. They are
// type-checked from source, and only their own functions are: `go vet` would compile the
// standard library for each system before, which takes 50 seconds of CPU where this takes two.
func TestOtherSystems(t *testing.T) {
	t.Parallel()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // collections would take a third of the time
	sources := parsed{Fset: token.NewFileSet()}
	for _, system := range []string{"linux/arm64", "linux/arm", "linux/386", // linux/amd64 is what all other tests compile
		"freebsd/amd64", "openbsd/amd64", "netbsd/amd64", "dragonfly/amd64", "darwin/arm64"} {
		t.Run(system, func(t *testing.T) {
			goos, arch, _ := strings.Cut(system, "/")
			wrong := typeCheck(t, &sources, goos, arch)
			for _, name := range []string{"runtime", "runtime/eventloop", "runtime/source/programs", "cmd/fapws/pool", "cmd/fapws/confine"} {
				if _, ok := wrong[name]; !ok {
					t.Errorf("%s is not looked at", name)
				}
			}
			for name, errs := range wrong {
				if len(errs) > 0 {
					t.Errorf("%s: %s", name, strings.Join(errs, "\n"))
				}
			}
		})
	}
}

// parsed holds source files, most of which all systems share.
type parsed struct {
	Fset  *token.FileSet
	files sync.Map // of *ast.File, by name
}

// parse returns the declarations of a file, with the bodies of functions only below root.
func (p *parsed) parse(root, name string, src []byte) (*ast.File, error) {
	if file, ok := p.files.Load(name); ok {
		return file.(*ast.File), nil
	}
	file, err := parser.ParseFile(p.Fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return file, err
	}
	if !strings.HasPrefix(name, root+"/") {
		dropBodies(file)
	}
	p.files.Store(name, file)
	return file, nil
}

// typeCheck returns the errors of each package that needs no C, on a system.
func typeCheck(t *testing.T, sources *parsed, goos, arch string) map[string][]string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	config := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesSizes,
		Dir:   root,
		Tests: true,
		Env:   append(os.Environ(), "CGO_ENABLED=0", "GOARM=7", "GOOS="+goos, "GOARCH="+arch),
		Fset:  sources.Fset,
		ParseFile: func(_ *token.FileSet, name string, src []byte) (*ast.File, error) {
			return sources.parse(root, name, src)
		},
	}
	loaded, err := packages.Load(config, "./runtime/...", "./cmd/...")
	if err != nil {
		t.Fatal(err)
	}
	wrong := make(map[string][]string)
	for _, p := range loaded {
		if strings.HasSuffix(p.PkgPath, ".test") || needsC(p) {
			continue // a program that go test writes
		}
		name := strings.TrimSuffix(strings.TrimPrefix(p.PkgPath, "fapws/"), "_test")
		errs := wrong[name]
		for _, e := range p.Errors {
			errs = append(errs, e.Error())
		}
		wrong[name] = errs
	}
	return wrong
}

// dropBodies leaves only the signatures of functions.
func dropBodies(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}

// needsC reports whether p needs code in C without a counterpart in Go: Python, or a package that imports it, or runs the
// executable, which does. What packages with C have in Go is checked, and so are packages that use only that of them.
func needsC(p *packages.Package) bool {
	if strings.HasPrefix(p.PkgPath, "fapws/cmd/fapws/acceptance") {
		return true
	}
	for path, imported := range p.Imports {
		if path == "github.com/go-python/cpy3" || strings.HasPrefix(path, "fapws/") && needsC(imported) {
			return true
		}
	}
	return false
}
