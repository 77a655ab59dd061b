package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/samples"
)

func newSample(args []string, stdout io.Writer) error {
	dir, err := writeSample(args)
	if err != nil {
		return process.ExitUsage(fmt.Errorf("new: %w", err))
	}
	command, boot := samples.New[args[0]], ""
	if settings.IsFile(filepath.Join(dir, "fapws.toml")) {
		if boot, err = writeUnitInto(dir, samples.Units[args[0]]); err != nil {
			removeAllIn(dir)
			return process.ExitUsage(fmt.Errorf("new: %w", err))
		}
	}
	if os.Geteuid() == 0 {
		command = strings.Replace(command, "fapws", "fapws --user NAME", 1)
	}
	text := fmt.Sprintf("%s has the sample %s; start it with:\n  cd %s\n  %s\n%s", dir, args[0], shellWord(dir), command, boot)
	_, err = io.WriteString(stdout, text)
	return err
}

// writeUnitInto writes a systemd unit for the site in a directory into this directory, and returns the commands that start
// the service. A copy of the unit becomes the service, because the user of the service may change this directory.
//
// In the rules of README.md, the user and the directory of the service replace those of the sample.
func writeUnitInto(dir string, changes map[string]string) (commands string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	u := unit{name: filepath.Base(dir), dir: dir, grace: 30 * time.Second, changes: changes}
	if os.Geteuid() == 0 {
		u.account = unitName(u.name)
		commands = fmt.Sprintf("  sudo useradd --system %s\n  sudo chown -R %[1]s %s\n", u.account, shellWord(dir))
	}
	name, text := u.text()
	path := filepath.Join(dir, name+".service")
	if _, err := exec.LookPath("systemctl"); err != nil {
		commands = "to start it at boot, without systemd: fapws help device\n"
	} else {
		commands = fmt.Sprintf("to start it at boot, with systemd:\n%s  sudo cp %s /etc/systemd/system/\n"+
			"  sudo systemctl enable --now %s\n", commands, shellWord(path), name)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return "", err
	}
	readme := filepath.Join(dir, "README.md")
	rules, err := os.ReadFile(readme)
	if err != nil {
		return "", err
	}
	account := regexp.MustCompile(`(?m)^User=(.*)$`).FindStringSubmatch(text)[1]
	rules = []byte(strings.NewReplacer("here `console`", "here `"+account+"`", `user == "console"`, fmt.Sprintf("user == %q", account),
		"console ALL=", account+" ALL=", "/srv/console/", dir+"/").Replace(string(rules)))
	return commands, os.WriteFile(readme, rules, 0o644)
}

// shellWord returns text as one word of a shell command.
func shellWord(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune("/._-0123456789", r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
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
	if err = os.CopyFS(dir, samples.Open(args[0])); err == nil {
		err = cutLinks(filepath.Join(dir, "README.md"))
	}
	if err != nil {
		removeAllIn(dir)
	}
	return dir, err
}

// removeAllIn removes all files in a directory, for another try after a full disk. Errors are ignored, because the first error
// is reported.
func removeAllIn(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
	}
}

const (
	pageLink = `\[([^\]]*)\]\((?:\.\./)+docs/([\w-]+)\.md(?:#[\w-]*)?\)`
	// a link in brackets needs no second pair of them
	bracketed = "\\(([^()]*) \\(`fapws help ([\\w-]+)`\\)\\)"
	picture   = `(?m)^<picture>.*</picture>\n\n?`
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
	replace := func(pattern, replacement string) {
		text = regexp.MustCompile(pattern).ReplaceAll(text, []byte(replacement))
	}
	replace(picture, "")
	replace(pageLink, "$1 (`fapws help $2`)")
	replace(bracketed, "($1, `fapws help $2`)")
	return os.WriteFile(file, text, 0o644)
}
