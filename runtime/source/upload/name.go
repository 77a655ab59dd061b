package upload

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name of a file, in bytes: most file systems take 255.
const maxName = 255

// checkName returns why a file may not have a name that a client has chosen; "": it may. A name is that of an entry of the
// directory itself, and not one of those that are hidden: partial uploads have such names.
func checkName(name string) (wrong string) {
	switch {
	case name == "":
		return "the file has no name"
	case len(name) > maxName:
		return "the file name is too long"
	case !utf8.ValidString(name):
		return "the file name is not UTF-8"
	case strings.ContainsAny(name, `/\`):
		return "the file name must not have slashes"
	case name[0] == '.':
		return "the file name must not begin with a dot"
	}
	for _, c := range name {
		if unicode.IsControl(c) {
			return "the file name must not have control characters"
		}
	}
	return ""
}
