package pybridge

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// A section begins with a line such as "--- core_flow.c ---" and lists the functions and variables of that file that
// other files use. All other functions and variables are static, and no .c file declares what another file defines.
func TestHeadersListWhatTheirFilesDefine(t *testing.T) {
	defines, mentions := map[string][]string{}, map[string]int{}
	word := regexp.MustCompile(`\w+`)
	for _, file := range sources(t, "*.c", "*.h", "*.go") {
		text := strings.Join(lines(t, file), "\n") + "\n"
		if strings.HasSuffix(file, ".go") {
			for _, exported := range regexp.MustCompile(`(?m)^//export (\w+)$`).FindAllStringSubmatch(text, -1) {
				defines[file] = append(defines[file], exported[1])
			}
		} else if text = comment.ReplaceAllString(text, ""); strings.HasSuffix(file, ".c") {
			var declares []string
			defines[file], declares = globals(text)
			for _, name := range declares {
				checktest.Truef(t, !ours.MatchString(name), "%s declares %s, which only the header of its file should", file, name)
			}
		}
		here := map[string]bool{}
		for _, name := range word.FindAllString(text, -1) {
			if strings.HasSuffix(file, ".h") || !here[name] {
				mentions[name]++
			}
			here[name] = true
		}
	}
	listed := map[string]string{}
	for _, header := range sources(t, "*.h") {
		began := map[string]bool{}
		for _, s := range sectionsOf(strings.Join(lines(t, header), "\n") + "\n") {
			checktest.Truef(t, !began[s.file] || s.file == "", "%s has several sections %s", header, s.file)
			began[s.file] = true
			_, declares := globals(s.text)
			for _, name := range declares {
				other, is := listed[name]
				checktest.Truef(t, !is, "%s: %s is also declared in section %s", header, name, other)
				listed[name] = s.file
				checktest.Truef(t, slices.Contains(defines[s.file], name),
					"%s: section %q declares %s, which that file does not define", header, s.file, name)
			}
		}
	}
	for file, names := range defines {
		for _, name := range names {
			if replacesLibc[name] {
				continue
			}
			if _, is := listed[name]; !is {
				t.Errorf("%s defines %s, which no header declares: it should be static", file, name)
			} else if mentions[name] < 3 {
				t.Errorf("%s defines %s, which no other file uses: it should be static", file, name)
			}
		}
	}
}

var (
	comment   = regexp.MustCompile(`(?s)/\*.*?\*/|"(\\.|[^"\\\n])*"`)
	directive = regexp.MustCompile(`(?m)^#(.*\\\n)*.*\n`)
	heading   = regexp.MustCompile(`(?m)^/\* --- (\w+\.(?:c|go))\b.*\n|^/\* =====*\n`)
	ours      = regexp.MustCompile(`^(core|wsgi|asgi|live)_`)
	function  = regexp.MustCompile(`(?m)^(\w[\w *]*[ *])(\w+)\([^;{}]*\)[^;{}]*([;{])`)
	variables = regexp.MustCompile(`(?m)^(\w[\w *]*[ *])(\w+(?:, \*?\w+)*)(?:\[[^\]]*\])*(?:;| =)`)
	private   = regexp.MustCompile(`\b(static|typedef|struct|enum|return)\b`)
)

// section is a part of a header that lists what a C file defines; between such parts, file is "".
type section struct{ file, text string }

func sectionsOf(header string) (all []section) {
	at, file := 0, ""
	for _, found := range append(heading.FindAllStringSubmatchIndex(header, -1), []int{len(header), 0, 0, 0}) {
		text := header[at:found[0]]
		if end := strings.Index(text, "*/"); end >= 0 && at > 0 && !strings.Contains(text[:end], "/*") {
			text = text[end+2:]
		}
		all = append(all, section{file, comment.ReplaceAllString(text, "")})
		if found[3] > 0 {
			file = header[found[2]:found[3]]
		} else {
			file = ""
		}
		at = found[1]
	}
	return all
}

// globals returns the names that C code defines, and the names that it only declares. The code must contain no comments
// and no strings. globals skips static names and types. Only names at the beginning of a line are at the top level.
func globals(code string) (defines, declares []string) {
	code = directive.ReplaceAllString(code, "")
	add := func(prefix, names string, declared bool) {
		for name := range strings.SplitSeq(names, ", ") {
			switch name = strings.TrimPrefix(name, "*"); {
			case private.MatchString(prefix):
			case declared:
				declares = append(declares, name)
			default:
				defines = append(defines, name)
			}
		}
	}
	for _, found := range function.FindAllStringSubmatch(code, -1) {
		add(found[1], found[2], found[3] == ";")
	}
	for _, found := range variables.FindAllStringSubmatch(code, -1) {
		add(found[1], found[2], strings.HasPrefix(found[1], "extern "))
	}
	return defines, declares
}
