package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// The limits of this file leave some room. A type that reaches its limit may be two types; nobody should move a method to
// another file for a count.

// mostFields has a limit for the number of fields of each type that all features use. A feature that needs an additional
// field should keep it in a type of its own.
var mostFields = map[string]int{"runtime/exchange.Exchange": 45, "runtime/exchange.Head": 12, "runtime/exchange.Mount": 34,
	"runtime/exchange.Part": 14, "runtime/exchange.Request": 26, "runtime/source/app.call": 22}

// groups lists structs that only group fields of exchange.Exchange.
var groups = []string{"identity", "origin", "progress"}

// mostMethods is the limit for the number of methods of a type.
const mostMethods = 72

// mostFiles is the limit for the number of files that contain a type's methods.
const mostFiles = 8

// mostInterfaces is the limit for the number of interfaces in the product. Interfaces that are declared in one line do not count.
const mostInterfaces = 34

func product(t *testing.T, do func(dir string, text []byte, f *ast.File)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			skipped := []string{"bench", "build", "docs", "samples"}
			if slices.Contains(skipped, rel) || entry.Name() == "acceptance" || len(rel) > 1 && entry.Name()[0] == '.' {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err == nil {
			do(filepath.Dir(rel), text, f)
		}
		return err
	})
	checktest.Must(t, err)
}

// receiverOf returns the name of the type to which a method belongs, or "" for a function.
func receiverOf(d ast.Decl) string {
	method, ok := d.(*ast.FuncDecl)
	if !ok || method.Recv == nil {
		return ""
	}
	of := method.Recv.List[0].Type
	for {
		switch e := of.(type) {
		case *ast.StarExpr:
			of = e.X
		case *ast.IndexExpr:
			of = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// A type with many methods should be several types, and a reader should find its methods in a few files.
func TestSizesOfTypesAreLimited(t *testing.T) {
	methods, files := map[string]int{}, map[string]int{}
	product(t, func(dir string, _ []byte, f *ast.File) {
		here := map[string]bool{}
		for _, d := range f.Decls {
			if of := receiverOf(d); of != "" {
				methods[dir+"."+of]++
				here[dir+"."+of] = true
			}
		}
		for of := range here {
			files[of]++
		}
	})
	for of, n := range methods {
		checktest.Truef(t, n <= mostMethods, "%s has %d methods, more than %d", of, n, mostMethods)
		checktest.Truef(t, files[of] <= mostFiles, "%s has methods in %d files, more than %d", of, files[of], mostFiles)
	}
}

// fieldsOf returns the number of fields in a struct, including fields in its groups, which are in the same package.
func fieldsOf(structs map[string]*ast.StructType, name string) (n int) {
	for _, field := range structs[name].Fields.List {
		of, _ := field.Type.(*ast.Ident)
		group := ""
		if of != nil && slices.Contains(groups, of.Name) {
			group = name[:strings.LastIndexByte(name, '.')+1] + of.Name
		}
		switch {
		case group != name && structs[group] != nil:
			n += fieldsOf(structs, group)
		default:
			n += max(1, len(field.Names))
		}
	}
	return n
}

func TestFieldsOfExchangesAreLimited(t *testing.T) {
	structs := map[string]*ast.StructType{}
	product(t, func(dir string, _ []byte, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[dir+"."+spec.Name.Name] = s
				}
			}
			return true
		})
	})
	for _, group := range groups {
		checktest.Truef(t, structs["runtime/exchange."+group] != nil, "%s does not exist", group)
	}
	for name, most := range mostFields {
		if checktest.Truef(t, structs[name] != nil, "%s does not exist", name); structs[name] != nil {
			n := fieldsOf(structs, name)
			checktest.Truef(t, n <= most, "%s has %d fields, more than %d", name, n, most)
		}
	}
}

// An interface with a single implementation is allowed only to separate the layers of arrows_test.go.
func TestInterfacesAreLimited(t *testing.T) {
	n := 0
	product(t, func(_ string, text []byte, _ *ast.File) {
		n += len(regexp.MustCompile(`(?m)^type \w+(?:\[.*?\])? interface \{|^\t\w+ interface \{`).FindAll(text, -1))
	})
	checktest.Truef(t, n > 0, "no interface was found")
	checktest.Truef(t, n <= mostInterfaces, "%d interfaces, more than %d", n, mostInterfaces)
}
