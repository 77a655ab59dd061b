package docs

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// The test checks names in backquotes: files, identifiers, flags and commands.
func TestNamesOnPagesAboutTheCodeExist(t *testing.T) {
	s := readSources(t)
	for _, page := range []string{"../ARCHITECTURE.md", "../CONTRIBUTING.md"} {
		for i, line := range strings.Split(read(t, page), "\n") {
			for _, found := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1) {
				checktest.Truef(t, s.has(found[1]), "%s:%d: %s does not exist", page, i+1, found[0])
			}
		}
	}
}

// In ARCHITECTURE.md, a file in brackets behind a name, as in `Conn.Write` (`output.go`), declares the name.
func TestNamesAreDeclaredInTheFilesBesideThem(t *testing.T) {
	s := readSources(t)
	pair := regexp.MustCompile("`((?:\\w+\\.)?)(\\w+)`\\s\\(`([\\w/]+\\.(?:go|c))`")
	pairs := pair.FindAllStringSubmatch(read(t, "../ARCHITECTURE.md"), -1)
	checktest.Truef(t, len(pairs) > 20, "found only %d names with files", len(pairs))
	for _, found := range pairs {
		owner, name, file := strings.TrimSuffix(found[1], "."), found[2], found[3]
		declaration := `(?m)^(func|type) ` + name + `\b|^\t` + name + ` +\S|^\w[^;=]*\b` + name + `\(`
		if owner != "" {
			declaration = `(?m)^func \(\w+ \*?` + owner + `\) ` + name + `\(`
		}
		declared := regexp.MustCompile(declaration)
		checktest.Truef(t, slices.ContainsFunc(s.paths, func(path string) bool {
			return strings.HasSuffix("/"+path, "/"+file) && declared.MatchString(read(t, filepath.Join("..", path)))
		}), "ARCHITECTURE.md: %s does not declare %s%s", file, found[1], name)
	}
}

// Each package of the server must have a doc.go that describes it.
func TestPackageDocsNameOnlyFilesThatExist(t *testing.T) {
	s := readSources(t)
	fileName := regexp.MustCompile(`[\w.*/-]+\.(?:go|c|h|py|sh)\b`)
	for _, dir := range s.paths {
		code, _ := filepath.Glob(filepath.Join("..", dir, "*.go"))
		name := filepath.Base(dir)
		if len(code) == 0 || testsOnly(code) || !regexp.MustCompile(`^(runtime|pybridge|cmd/fapws/.*)(/|$)`).
			MatchString(dir) {
			continue
		}
		text := read(t, filepath.Join("..", dir, "doc.go"))
		checktest.Truef(t, strings.HasPrefix(text, "// Package "+name+" "),
			"%s/doc.go does not begin with: Package %s", dir, name)
		for _, file := range fileName.FindAllString(text, -1) {
			checktest.Truef(t, s.hasPath(file), "%s/doc.go: %s does not exist", dir, file)
		}
	}
}

func testsOnly(files []string) bool {
	return !slices.ContainsFunc(files, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
}

func TestMissingNameIsNoticed(t *testing.T) {
	s := readSources(t)
	for name, want := range map[string]bool{
		"docs/names_test.go": true, "docs/name_test.go": false,
		"names_test.go": true, "name_test.go": false,
		"runtime/http1": true, "runtime/http4": false,
		"values_*.go": true, "volues_*.go": false,
		"readSources": true, "readNothing": false,
		"http1.Request": true, "http1.NoRequest": false,
		"Request.Parse": true, "Request.NoParse": false,
		"core_mode": true, "core_nothing": false,
		"--workers": true, "--no-such-flag": false,
		"./build.sh bench": true, "./build.sh bunch": false,
		"go test -run TestNamesOnPagesAboutTheCodeExist": true, "go test -run TestNoNames": false,
	} {
		checktest.Equalf(t, s.has(name), want, "has(%q)", name)
	}
}

type sources struct {
	// Files and directories, relative to the root of the repository, and imported packages.
	paths []string
	words map[string]bool
	// Names declared in Go packages and types, by the name of the package or type.
	members map[string]map[string]bool
}

// repository is nil before the first call of readSources.
var repository *sources

func readSources(t *testing.T) *sources {
	t.Helper()
	if repository != nil {
		return repository
	}
	s := &sources{words: map[string]bool{}, members: map[string]map[string]bool{}}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, _ := filepath.Rel("..", name)
		if entry.IsDir() && (path == ".git" || path == "build") {
			return filepath.SkipDir
		}
		s.paths = append(s.paths, path)
		switch filepath.Ext(name) {
		case ".go":
			s.addGo(t, name)
		case ".c", ".h":
			s.addWords(cComment.ReplaceAllString(read(t, name), ""))
		case ".py", ".sh":
			s.addWords(hashComment.ReplaceAllString(read(t, name), ""))
		}
		return nil
	})
	checktest.Must(t, err)
	repository = s
	return s
}

var (
	cComment    = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	hashComment = regexp.MustCompile(`(?m)^\s*#.*$`)
	keyTag      = regexp.MustCompile(`key:"[^"]*"`) // tag of a field that contains a setting
	word        = regexp.MustCompile(`[A-Za-z_]\w*(?:-\w+)*`)
)

func (s *sources) addWords(text string) {
	for _, w := range word.FindAllString(text, -1) {
		s.words[w] = true
	}
}

// addGo adds the identifiers, imports and declarations of a Go file, and the keys in the tags of fields. It also adds
// strings without blanks, except for strings in tests.
func (s *sources) addGo(t *testing.T, name string) {
	text := []byte(read(t, name))
	files := token.NewFileSet()
	var scan scanner.Scanner
	scan.Init(files.AddFile(name, -1, len(text)), text, nil, 0)
	for _, tok, literal := scan.Scan(); tok != token.EOF; _, tok, literal = scan.Scan() {
		if tok == token.IDENT || tok == token.STRING && !strings.Contains(literal, " ") && !strings.HasSuffix(name,
			"_test.go") {
			s.addWords(literal)
		}
		s.addWords(keyTag.FindString(literal))
	}
	file := checktest.Try(parser.ParseFile(files, name, text, parser.SkipObjectResolution)).Must(t)
	for _, imported := range file.Imports {
		s.paths = append(s.paths, strings.Trim(imported.Path.Value, `"`))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			return false
		case *ast.FuncDecl:
			owner := file.Name.Name
			if n.Recv != nil {
				owner = typeName(n.Recv.List[0].Type)
			}
			s.add(owner, n.Name)
		case *ast.ValueSpec:
			s.add(file.Name.Name, n.Names...)
		case *ast.TypeSpec:
			s.add(file.Name.Name, n.Name)
			ast.Inspect(n.Type, func(within ast.Node) bool {
				if field, isField := within.(*ast.Field); isField {
					s.add(n.Name.Name, field.Names...)
				}
				return true
			})
		}
		return true
	})
}

func (s *sources) add(owner string, names ...*ast.Ident) {
	if s.members[owner] == nil {
		s.members[owner] = map[string]bool{}
	}
	for _, name := range names {
		s.members[owner][name.Name] = true
	}
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var (
	pathName   = regexp.MustCompile(`^[\w.*-]*(/[\w.*{},-]*)+$|^[\w*-]+\.(go|c|h|py|sh|md|toml|txtar)$`)
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\(\))?$`)
	flags      = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
	buildWords = regexp.MustCompile(`\./build\.sh ([a-z]+)`)
	testNames  = regexp.MustCompile(`-(?:run|bench) (\w+)`)
)

// has reports whether name exists in the repository. name is an identifier, a command, or a path; the first
// directories of a path may be missing. Absolute paths are outside of the repository.
func (s *sources) has(name string) bool {
	switch {
	case strings.HasPrefix(name, "/"):
		return true
	case pathName.MatchString(name):
		return s.hasPath(name)
	case identifier.MatchString(name):
		return s.hasIdentifier(strings.TrimSuffix(name, "()"))
	}
	for _, found := range flags.FindAllStringSubmatch(name, -1) {
		if !s.words[found[1]] {
			return false
		}
	}
	for _, found := range buildWords.FindAllStringSubmatch(name, -1) {
		if found[1] != "help" && !s.words["word_"+found[1]] {
			return false
		}
	}
	for _, found := range testNames.FindAllStringSubmatch(name, -1) {
		if !s.hasTest(found[1]) {
			return false
		}
	}
	return true
}

// hasPath reports whether a path ends with name, which may contain the patterns "*" and "{a,b}".
func (s *sources) hasPath(name string) bool {
	name = strings.Trim(strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/..."), "/")
	pattern := regexp.MustCompile(`\\[{*}]|,`).ReplaceAllStringFunc(regexp.QuoteMeta(name), func(special string) string {
		return map[string]string{`\*`: `[^/]*`, `\{`: "(", `\}`: ")", ",": "|"}[special]
	})
	return slices.ContainsFunc(s.paths, regexp.MustCompile("(^|/)"+pattern+"$").MatchString)
}

// hasIdentifier reports whether all parts of a name exist. A part that follows a package or an exported type must be
// declared in this package or type.
func (s *sources) hasIdentifier(name string) bool {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		if !s.words[part] && !s.words["word_"+part] {
			return false
		}
		if i == 0 || parts[0] == "fapws" { // the Python package
			continue
		}
		members := s.members[parts[i-1]]
		if members != nil && (ast.IsExported(parts[i-1]) || ast.IsExported(part)) && !members[part] {
			return false
		}
	}
	return true
}

// hasTest reports whether -run or -bench with this name runs a test or a benchmark.
func (s *sources) hasTest(name string) bool {
	for w := range s.words {
		if (strings.HasPrefix(w, "Test") || strings.HasPrefix(w, "Benchmark")) && strings.Contains(w, name) {
			return true
		}
	}
	return false
}
