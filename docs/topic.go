// Package docs holds the pages of the documentation, which "fapws help" prints. The tests of package docs do what the
// pages show: they write files, check applications and configuration files by "fapws check", and run the commands in
// blocks of type console. The commands must print the output on the page. The tests run the built executable
// (FAPWS_BIN, default ../build/fapws).
package docs

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed *.md
var files embed.FS

// Page returns the text of the page about a topic, or "" for an unknown topic. The topic is a name such as "cache", or
// a file such as "docs/cache.md".
func Page(topic string) string {
	text, _ := files.ReadFile(strings.TrimSuffix(path.Base(topic), ".md") + ".md")
	return string(text)
}

// Topics returns the names of all pages in alphabetical order, without the index.
func Topics() []string {
	names, _ := fs.Glob(files, "*.md") // the pattern is valid
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, ".md")
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "README" })
}
