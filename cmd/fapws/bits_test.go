package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
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

// Some constants do not fit into an int on 32-bit machines. This test only checks types, because the compiler would also
// compile Go's library for a 32-bit processor. Cross builds compile the whole server.
func TestRuntimeFitsInto32Bits(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,CgoFiles,ImportMap", "fapws/runtime/...")
	list.Env = append(os.Environ(), "CGO_ENABLED=1", "GOARCH=arm", "GOARM=7")
	decoder := json.NewDecoder(bytes.NewReader(checktest.Try(list.Output()).Must(t)))
	c := checked{"unsafe": types.Unsafe}
	for {
		var s source
		err := decoder.Decode(&s)
		if errors.Is(err, io.EOF) {
			break
		}
		checktest.Must(t, err)
		if s.ImportPath != "unsafe" {
			s.check(t, c)
		}
	}
}

// checked contains the packages that were checked, by their path. It implements types.Importer.
type checked map[string]*types.Package

func (c checked) Import(path string) (*types.Package, error) {
	if p := c[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("package %s is not yet checked", path)
}

// source is what "go list -deps -json" prints of a package.
type source struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	ImportMap  map[string]string
}

// check checks the types of the package for a 32-bit processor, and adds the package to c. It checks the functions only
// in packages of this module.
func (s source) check(t *testing.T, c checked) {
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range append(s.GoFiles, s.CgoFiles...) {
		parsed = append(parsed, checktest.Try(parser.ParseFile(files, filepath.Join(s.Dir, name), nil,
			parser.SkipObjectResolution)).Must(t))
	}
	for written, path := range s.ImportMap {
		c[written] = c[path]
	}
	config := types.Config{
		Importer:         c,
		Sizes:            types.SizesFor("gc", "arm"),
		FakeImportC:      true,
		IgnoreFuncBodies: !strings.HasPrefix(s.ImportPath, "fapws/"),
	}
	p, err := config.Check(s.ImportPath, files, parsed, nil)
	checktest.Must(t, err)
	c[s.ImportPath] = p
}
