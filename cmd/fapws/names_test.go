package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// functionWords are English words that are not nouns. In a comment, a parameter with such a name reads as a word of the
// sentence.
var functionWords = strings.Fields("after again all any at before but by did down every from how in it left look mine more of " +
	"off on only others ours out over said same since so some then there until up what where who why with within without")

// Names of parameters and results are nouns.
func TestNamesOfParametersAreNouns(t *testing.T) {
	forbidden := map[string]bool{}
	for _, word := range functionWords {
		forbidden[word] = true
	}
	files := token.NewFileSet()
	for _, root := range []string{"../../bench", "../../cmd", "../../pybridge", "../../runtime"} {
		checktest.Must(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				function, ok := node.(*ast.FuncType)
				if !ok {
					return true
				}
				fields := function.Params.List
				if function.Results != nil {
					fields = append(fields[:len(fields):len(fields)], function.Results.List...)
				}
				for _, field := range fields {
					for _, name := range field.Names {
						checktest.Truef(t, !forbidden[name.Name], "%v: %s is not a noun", files.Position(name.Pos()), name.Name)
					}
				}
				return true
			})
			return nil
		}))
	}
}
