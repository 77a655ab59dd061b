package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

// languages lists the types of code blocks. The tests ignore blocks of type text, such as lists of files, and of type
// py, which contain parts of Python scripts.
var languages = []string{"console", "python", "toml", "html", "ini", "sh", "text", "py"}

func TestPagesWorkAsWritten(t *testing.T) {
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			text := read(t, page)
			needFrameworks(t, text)
			all := checktest.Try(blocks(page, text)).Must(t)
			term := newTerminal(t)
			if page == "tools.md" {
				term.activate(fapwstest.Today(t))
			}
			term.carryOutAll(all)
		})
	}
}

var framework = regexp.MustCompile(`(?m)^(?:from|import) (flask|fastapi|django)\b`)

// needFrameworks checks that Python has the frameworks of a page. If not, the test fails with the system's Python, and
// is skipped with any other Python.
func needFrameworks(t *testing.T, text string) {
	t.Helper()
	for _, found := range framework.FindAllStringSubmatch(text, -1) {
		fapwstest.NeedModule(t, found[1])
	}
}

func (term *terminal) carryOutAll(all []block) {
	t := term.t
	for i, b := range all {
		switch {
		case !slices.Contains(languages, b.lang):
			t.Errorf("%s: a block of type %q; there are %s", b, b.lang, strings.Join(languages, ", "))
		case b.lang == "console":
			typed := checktest.Try(commands(b)).Must(t)
			for _, c := range typed {
				term.typed(c)
			}
		case b.file != "":
			term.write(b)
			if !isUsed(b.file, all[i+1:]) {
				term.check(b)
			}
		case b.lang != "text" && b.lang != "py":
			t.Errorf("%s: a block of type %s without the name of a file", b, b.lang)
		}
	}
}

func isUsed(file string, later []block) bool {
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	return slices.ContainsFunc(later, func(b block) bool { return b.lang == "console" && strings.Contains(b.text, name) })
}

// check runs "fapws check" for a file if no command of the page uses the file.
func (term *terminal) check(b block) {
	switch filepath.Ext(b.file) {
	case ".py":
		term.typed(command{at: b.String(), typed: "fapws check " + b.file, output: []string{"…"}})
	case ".toml":
		term.typed(command{at: b.String(), typed: "fapws check -c " + b.file, output: []string{"…"}})
	case ".service":
		term.checkUnit(b)
	}
}

var (
	execLine = regexp.MustCompile(`(?m)^Exec\w+=(?:\S+/)?fapws(.*)$`)
	dirLine  = regexp.MustCompile(`(?m)^WorkingDirectory=.*$`)
)

// checkUnit checks a unit with systemd, and the fapws flags in the unit with fapws. checkUnit first replaces the
// executable and the working directory in the unit by the executable and the directory of the test.
func (term *terminal) checkUnit(b block) {
	program := fapwstest.Binary(term.t)
	unit := dirLine.ReplaceAllString(execLine.ReplaceAllString(b.text, "ExecStart="+program+"$1"), "WorkingDirectory="+
		term.folder)
	term.write(block{file: b.file, text: strings.Replace(unit, "ExecStart="+program+" ctl", "ExecReload="+program+
		" ctl", 1)})
	term.typed(command{at: b.String(), typed: "systemd-analyze verify ./" + b.file})
	found := execLine.FindStringSubmatch(b.text)
	checktest.Needf(term.t, found != nil && strings.HasPrefix(found[0], "ExecStart="), "%s: a unit without ExecStart", b)
	flags, _, _ := strings.Cut(found[1], " mysite.wsgi")
	term.typed(command{at: b.String(), typed: "fapws --print-config" + flags, output: []string{"…"}})
}

var (
	link   = regexp.MustCompile(`(?:\]\(|\b(?:href|src|srcset)=")([^)"\s]+)[)"]`)
	header = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```")
)

func anchor(heading string) string {
	heading = strings.ToLower(strings.TrimSpace(heading))
	heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, "")
	return strings.ReplaceAll(heading, " ", "-")
}

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, page), ""), -1) {
			target, fragment, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			if target == "" {
				target = filepath.Base(page)
			}
			name := filepath.Join(filepath.Dir(page), target)
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %s leads nowhere", page, found[0])
				continue
			}
			if fragment == "" {
				continue
			}
			headings := header.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, name), ""), -1)
			checktest.Truef(t, slices.ContainsFunc(headings, func(h []string) bool { return anchor(h[1]) == fragment }),
				"%s: %s has no such heading", page, found[0])
		}
	}
}

// README.md has the title of each page, and the last line of each page links to the next page in that order.
func TestIndexListsEachPage(t *testing.T) {
	listed := regexp.MustCompile(`(?m)^- \[(.+)\]\((\w[\w-]*\.md)\): `).FindAllStringSubmatch(read(t, "README.md"), -1)
	for _, page := range pages(t) {
		checktest.Truef(t, strings.HasSuffix(page, "README.md") || slices.ContainsFunc(listed, func(l []string) bool {
			return l[2] == page
		}), "README.md does not list %s", page)
	}
	for i, l := range listed {
		text := read(t, l[2])
		checktest.Equalf(t, header.FindStringSubmatch(text)[1], l[1], "README.md: %s has the title", l[0])
		want := "\nBack to [all pages](README.md)\n"
		if i+1 < len(listed) {
			want = "\nNext: [" + listed[i+1][1] + "](" + listed[i+1][2] + ")\n"
		}
		checktest.Truef(t, strings.HasSuffix(text, want), "%s does not end with %q", l[2], want)
	}
}
