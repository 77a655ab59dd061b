package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fapws/cmd/fapws/process"
	"fapws/samples"
)

func newSample(args []string, stdout io.Writer) error {
	dir, err := writeSample(args)
	if err != nil {
		return process.ExitUsage(fmt.Errorf("new: %w", err))
	}
	_, err = fmt.Fprintf(stdout, "%s has the sample %s; start it with: cd %[1]s && %[3]s\n", dir, args[0],
		samples.New[args[0]])
	return err
}

// writeSample copies a sample into a directory, which must be empty or not exist yet.
func writeSample(args []string) (dir string, err error) {
	names := strings.Join(slices.Sorted(maps.Keys(samples.New)), ", ")
	if len(args) != 2 {
		return "", fmt.Errorf("name a sample (%s) and a directory, such as: fapws new hello mysite", names)
	}
	dir = args[1]
	if samples.New[args[0]] == "" {
		return "", fmt.Errorf("there is no sample %s; there are %s", args[0], names)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case len(entries) > 0:
		return "", fmt.Errorf("%s is not empty; name a new directory", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if err = os.CopyFS(dir, samples.Open(args[0])); err != nil {
		return "", err
	}
	return dir, cutLinks(filepath.Join(dir, "README.md"))
}

var (
	pageLink = regexp.MustCompile(`\[([^\]]*)\]\((?:\.\./)+docs/([\w-]+)\.md(?:#[\w-]*)?\)`)
	picture  = regexp.MustCompile(`(?m)^<picture>.*</picture>\n\n?`)
)

// cutLinks replaces the links of a file to the documentation, which is not in the new directory, by the commands that
// print the pages. A missing file is not an error.
func cutLinks(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text = pageLink.ReplaceAll(picture.ReplaceAll(text, nil), []byte("$1 (`fapws help $2`)"))
	return os.WriteFile(file, text, 0o644)
}
