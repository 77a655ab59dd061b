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

// mostFields limits the number of fields in types that all features use. A feature that needs an additional field must
// keep it in a type of its own.
var mostFields = map[string]int{"runtime/exchange.Exchange": 38, "runtime/exchange.Head": 9, "runtime/exchange.Part": 12,
	"runtime/exchange.Request": 22, "runtime/source/app.call": 18}

// groups lists structs that only group fields of the types in mostFields.
var groups = []string{"identity", "Identity", "flags", "waiting", "response", "origin"}

const mostMethods = 62

var mostMethodsOf = map[string]int{
	"runtime/exchange.Exchange": 48,
	"runtime/live.Socket":       60,
	"cmd/fapws/worker.service":  58,
	"cmd/fapws/pool.Pool":       60,
}

// mostFiles limits the number of files that contain a type's methods.
const mostFiles = 4

// mostInterfaces limits the number of interfaces in the product. Interfaces that are declared in one line do not count.
const mostInterfaces = 31

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
func TestTypesHaveFewMethodsInFewFiles(t *testing.T) {
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
	check := func(what string, counts map[string]int, most int, mostOf map[string]int) {
		for _, of := range slices.Sorted(maps.Keys(counts)) {
			limit, exception := mostOf[of]
			if !exception {
				limit = most
			}
			n := counts[of]
			checktest.Truef(t, n <= limit, "%s: %d %s, at most %d are allowed; split the type", of, n, what, limit)
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

func TestTypesOfExchangesHaveFewFields(t *testing.T) {
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
	for name, most := range mostFields {
		if structs[name] == nil {
			t.Errorf("%s does not exist", name)
		} else if n := fieldsOf(structs, name); n > most {
			t.Errorf("%s: %d fields, at most %d are allowed", name, n, most)
		}
	}
}

// An interface with a single implementation is allowed only to separate the layers of arrows_test.go.
func TestInterfacesAreFew(t *testing.T) {
	n := 0
	product(t, func(_ string, text []byte, _ *ast.File) {
		n += len(regexp.MustCompile(`(?m)^type \w+(?:\[.*?\])? interface \{|^\t\w+ interface \{`).FindAll(text, -1))
	})
	checktest.Truef(t, n <= mostInterfaces, "%d interfaces, at most %d are allowed", n, mostInterfaces)
}
