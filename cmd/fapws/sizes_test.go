package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// The tests of this file require only that the named types exist. A count above its limit is a hint in the log (go test
// -v): nobody should move a method to another file for a count, but a type that grows asks whether it is two types.

// mostFields has a limit for the number of fields of each type that all features use. A feature that needs an additional
// field should keep it in a type of its own.
var mostFields = map[string]int{"runtime/exchange.Exchange": 40, "runtime/exchange.Head": 9, "runtime/exchange.Mount": 30,
	"runtime/exchange.Part": 12, "runtime/exchange.Request": 22, "runtime/source/app.call": 18}

// groups lists structs that only group fields of exchange.Exchange.
var groups = []string{"identity", "origin", "progress"}

const mostMethods = 62

var mostMethodsOf = map[string]int{
	"runtime/exchange.Exchange": 48,
	"runtime/live.Socket":       60,
	"cmd/fapws/worker.service":  58,
	"cmd/fapws/pool.Pool":       60,
}

// mostFiles is the limit for the number of files that contain a type's methods.
const mostFiles = 4

// mostInterfaces is the limit for the number of interfaces in the product. Interfaces that are declared in one line do not count.
const mostInterfaces = 31

// hint logs a count above its limit.
func hint(t *testing.T, n, most int, of string) {
	t.Helper()
	if n > most {
		t.Logf("%s: %d, more than %d", of, n, most)
	}
}

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
func TestTypesWithManyMethodsExist(t *testing.T) {
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
	check := func(unit string, counts map[string]int, most int, mostOf map[string]int) {
		for _, of := range slices.Sorted(maps.Keys(counts)) {
			limit, exception := mostOf[of]
			if !exception {
				limit = most
			}
			hint(t, counts[of], limit, of+", "+unit)
		}
		for of := range mostOf {
			checktest.Truef(t, counts[of] != 0, "%s does not exist", of)
		}
	}
	check("methods", methods, mostMethods, mostMethodsOf)
	check("files with methods", files, mostFiles, nil)
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

func TestTypesOfExchangesExist(t *testing.T) {
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
			hint(t, fieldsOf(structs, name), most, name+", fields")
		}
	}
}

// An interface with a single implementation is allowed only to separate the layers of arrows_test.go.
func TestInterfacesAreCounted(t *testing.T) {
	n := 0
	product(t, func(_ string, text []byte, _ *ast.File) {
		n += len(regexp.MustCompile(`(?m)^type \w+(?:\[.*?\])? interface \{|^\t\w+ interface \{`).FindAll(text, -1))
	})
	checktest.Truef(t, n > 0, "no interface was found")
	hint(t, n, mostInterfaces, "interfaces")
}
