package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/bench/results"
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
			for _, c := range checktest.Try(commands(b)).Must(t) {
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
		term.typed(command{at: b.String(), typed: "fapws check --access-log off " + b.file, output: []string{"…"}})
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

func TestKubernetesManifestHasConsistentNumbers(t *testing.T) {
	page := read(t, "cluster.md")
	find := func(pattern string) string {
		t.Helper()
		found := regexp.MustCompile(pattern).FindStringSubmatch(page)
		checktest.Needf(t, found != nil, "the manifest has no %s", pattern)
		return found[1]
	}
	seconds := func(pattern string) time.Duration {
		return time.Duration(checktest.Try(strconv.Atoi(find(pattern))).Must(t)) * time.Second
	}
	var args []string
	checktest.Must(t, json.Unmarshal([]byte(find(`args: (\[.*\])`)), &args))
	config, err := exec.Command(fapwstest.Binary(t), append([]string{"--print-config"}, args[:len(args)-1]...)...).
		CombinedOutput()
	checktest.Mustf(t, err, "%s", config)
	setting := func(name string) string {
		t.Helper()
		found := regexp.MustCompile(`(?m)^` + name + ` +(\S+)`).FindSubmatch(config)
		checktest.Needf(t, found != nil, "no %s in\n%s", name, config)
		return string(found[1])
	}
	lasts := func(name string) time.Duration { return checktest.Try(time.ParseDuration(setting(name))).Must(t) }

	health, port := setting("health"), find(`containerPort: (\d+)`)
	i := slices.Index(args, "--bind")
	checktest.Truef(t, i >= 0 && args[i+1] == "0.0.0.0:"+port, "%q does not listen on port %s", args, port)
	for probe, path := range map[string]string{"startup": health + "/ready", "readiness": health + "/ready",
		"liveness": health} {
		find(`(` + probe + `Probe:\n +httpGet: \{path: ` + path + `, port: ` + port + `\}\n)`)
	}
	find(`(targetPort: ` + port + `)\n`)
	ends := seconds(`preStop:\n +sleep: \{seconds: (\d+)\}`) + lasts("shutdown-delay") + lasts("graceful-timeout")
	if grace := seconds(`terminationGracePeriodSeconds: (\d+)`); grace < ends+5*time.Second {
		t.Errorf("the end of a pod takes up to %v, and Kubernetes kills it after %v", ends, grace)
	}
}

// In the messages on trouble.md, "…" replaces the parts that fapws inserts.
func TestQuotedMessagesExist(t *testing.T) {
	source := messages(t)
	all := checktest.Try(blocks("trouble.md", read(t, "trouble.md"))).Must(t)
	var quoted []string
	for _, b := range all {
		text := strings.ReplaceAll(b.text, "\n  ", " ") // a message on two lines
		for line := range strings.Lines(text) {
			quoted = append(quoted, strings.TrimSpace(line))
		}
	}
	for _, found := range regexp.MustCompile(`(?m)^\|.*$`).FindAllString(read(t, "trouble.md"), -1) {
		for _, text := range regexp.MustCompile("`([a-zA-Z][^`={]* [^`={]*)`").FindAllStringSubmatch(found, -1) {
			quoted = append(quoted, text[1])
		}
	}
	for _, line := range quoted {
		if strings.HasPrefix(line, "fapws c") || strings.HasPrefix(line, "fapws A") {
			continue
		}
		line = strings.TrimPrefix(line, "fapws: ")
		for _, part := range strings.Split(regexp.MustCompile(`\b\d+\b`).ReplaceAllString(line, "…"), "…") {
			part = strings.Trim(part, " ();:,-")
			checktest.Truef(t, len(part) <= 3 || ofPython.MatchString(part) || hasTexts(source, part, 3),
				"%q of %q is not in the source", part, line)
		}
	}
}

// hasTexts reports whether source contains text as a whole, or in up to n pieces.
func hasTexts(source, text string, n int) bool {
	text = strings.Trim(text, " :-")
	if strings.Contains(source, text) {
		return true
	}
	for end := strings.LastIndex(text, " "); n > 1 && end > 8; end = strings.LastIndex(text[:end], " ") {
		if strings.Contains(source, strings.TrimRight(text[:end], ":;")) && hasTexts(source, text[end:], n-1) {
			return true
		}
	}
	return false
}

// ofPython matches parts of messages that come from Python.
var ofPython = regexp.MustCompile(`ModuleNotFoundError`)

// messages returns the source of fapws without tests, with "…" instead of each verb of fmt.
func messages(t *testing.T) string {
	t.Helper()
	var source strings.Builder
	source.WriteString(`"address already in use" "connection refused" "permission denied"`) // texts of the kernel
	for _, dir := range []string{"../cmd", "../runtime", "../pybridge", "../contrib/fapws"} {
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if ext := filepath.Ext(name); err == nil && (ext == ".go" || ext == ".c" || ext == ".py") &&
				!strings.HasSuffix(name, "_test.go") {
				source.WriteString(read(t, name))
			}
			return err
		})
		checktest.Must(t, err)
	}
	joined := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(source.String(), "")
	joined = strings.Join(regexp.MustCompile("\"[^\"\n]*\"|`[^`]*`").FindAllString(joined, -1), "\n")
	return regexp.MustCompile(`%[+]?[.0-9]*[a-z]|\{[^{}"\n]*\}`).ReplaceAllString(joined, "…")
}

var update = flag.Bool("update", false, "write the pages that are made from the program")

func TestPythonAPIPageHasTheDocstringsOfPackageFapws(t *testing.T) {
	made := filepath.Join(t.TempDir(), "python-api.md")
	cmd := exec.Command(fapwstest.Binary(t), "check", "--bind", "127.0.0.1:0", "python_api.py")
	// The package in the program has no docstrings.
	cmd.Env = append(os.Environ(), "PYTHON_API="+made, "FAPWS_ALLOW_ROOT=1", "_FAPWS_PACKAGE=../contrib")
	out, err := cmd.CombinedOutput()
	checktest.Mustf(t, err, "%s", out)
	generated(t, "python-api.md", read(t, made))
}

const settingsIntroduction = `# Settings

A setting comes from the first of these that has it: flag, environment, configuration file, script, default.

`

// settingsNotes come before the table of all settings.
const settingsNotes = `
## Flags, files and environment variables

- ` + "`fapws app.py --print-config`" + ` shows each setting with its value and source.
- ` + "`fapws --help`" + ` shows the common flags, ` + "`fapws --help all`" + ` every flag.
- Every flag is a key at the top of ` + "`fapws.toml`" +
	`. The [other keys](keys.md) describe hosts and routes.
- SIZE is in bytes or takes K, M, G or T. TIME is in seconds or takes ms, s, m, h or d. ` +
	"`--no-compress` or `--compress=no`" + ` turns a switch off.
- Relative paths of flags and variables start at the working directory, also if the script changes it. Paths in the
  file start at its directory.
- fapws warns of a misspelled ` + "`FAPWS_`" + ` variable.
- ` + "`--env-file .env`" + ` sets variables for the application (` + "`NAME=value`" + `, with quotes, ` +
	"`${NAME}`, `${NAME:-default}` and `${NAME:+text}`" + `),
  except variables that are already set. A reload reads the file again.
`

const keysIntroduction = `# Keys of fapws.toml

The keys of hosts and routes, and some at the top of the file. Every [flag](settings.md) is also a key at the top. [A whole site](site.md) has examples.

Two Django sites on one server, with the keys that people look for first:

` + "```text" + `
bind = [":80", "https://:443"]  # for all hosts
tls = "acme"              # or certfile, keyfile
https-redirect = true     # also in a host
access-log = "access.log" # also in a host
timeout = "30s"           # also in host, route
max-body-size = "20M"     # also in host, route

[[host]]
name = ["shop.example.org", "www.example.org"]
application = "shop"
access-log = "shop.log"
hsts = "1y"
[[host.route]]
prefix = "/static/"
files = "shop/static"     # from collectstatic
expires = ["*.????????????.*=immutable"]
[[host.route]]
prefix = "/upload/"
application = "shop"
max-body-size = "200M"
timeout = "5m"

[[host]]
name = "blog.example.org"
application = "blog"

[application.shop]
app = "mysite.wsgi"
chdir = "shop"

[application.blog]
app = "mysite.wsgi"
chdir = "blog"
` + "```" + `

`

func TestFirstExampleOfTheKeysIsAccepted(t *testing.T) {
	_, example, _ := strings.Cut(read(t, "keys.md"), "```text\n")
	example, _, _ = strings.Cut(example, "```\n")
	dir := t.TempDir()
	for _, name := range []string{"shop/static/a.css", "shop/mysite/wsgi.py", "blog/mysite/wsgi.py"} {
		fapwstest.Write(t, filepath.Join(dir, name), "def application(environ, start_response): pass\n")
	}
	fapwstest.Write(t, dir+"/fapws.toml", example)
	code, out, errors := fapwstest.Command{Dir: dir, Flags: []string{"check", "--allow-root"}}.Run(t)
	checktest.Truef(t, code == 0 && strings.Contains(out, "2 hosts, 2 routes"), "%d: %s%s", code, out, errors)
}

// A line of a table has at most 15 words, and a sentence at most 30 and one semicolon.
func TestSettingsPagesHaveShortSentences(t *testing.T) {
	words := func(text string) int { return len(strings.Fields(text)) }
	for _, page := range []string{"settings.md", "keys.md"} {
		text := fenced.ReplaceAllString(read(t, page), "")
		for _, row := range regexp.MustCompile("(?m)^\\| \\[`(--.*?)`\\]\\(.*?\\) \\| (.*) \\| .* \\|$").FindAllStringSubmatch(text, -1) {
			checktest.Truef(t, words(row[2]) <= 15, "%s: %d words: %s", row[1], words(row[2]), row[2])
		}
		for _, paragraph := range strings.Split(text, "\n\n") {
			if strings.HasPrefix(paragraph, "|") {
				continue
			}
			for _, item := range regexp.MustCompile(`(?m)^- `).Split(paragraph, -1) {
				if strings.HasPrefix(item, "example: ") {
					continue
				}
				for _, sentence := range regexp.MustCompile(`\.\s+|\.$`).Split(item, -1) {
					checktest.Truef(t, words(sentence) <= 30 && strings.Count(sentence, "; ") < 2, "%s: %d words: %s", page,
						words(sentence), sentence)
				}
			}
		}
	}
}

func TestSettingsPageHasTheDescriptionsOfTheProgram(t *testing.T) {
	var page strings.Builder
	page.WriteString(settingsIntroduction)
	const all = "\n## All settings\n"
	page.WriteString(strings.Replace(string(internal(t, "settings")), all, settingsNotes+all, 1))
	page.WriteString("Next: [Keys of fapws.toml](keys.md)\n")
	generated(t, "settings.md", page.String())
	for _, m := range regexp.MustCompile(`(?s)\n### --(\S+)\n(.*?)\n\n`).FindAllStringSubmatch(page.String(), -1) {
		_, rest, _ := strings.Cut(page.String(), "\n### --"+m[1]+"\n")
		rest, _, _ = strings.Cut(rest, "\n#")
		if see := regexp.MustCompile(`- see \[[^]]*\]\(([\w-]+\.md)`).FindStringSubmatch(rest); see != nil {
			checktest.Truef(t, strings.Contains(strings.ReplaceAll(read(t, see[1]), "_", "-"), m[1]) ||
				strings.Contains(read(t, see[1]), "FAPWS_"+strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))),
				"%s, to which --%s leads, does not name it", see[1], m[1])
		}
	}
	page.Reset()
	page.WriteString(keysIntroduction)
	page.Write(internal(t, "keys"))
	page.WriteString("Next: [Python API](python-api.md)\n")
	generated(t, "keys.md", page.String())
}

func TestPerformancePageHasTheStoredResults(t *testing.T) {
	stored, err := results.Load("../bench/results/page.json")
	if errors.Is(err, fs.ErrNotExist) { // no measurement of this version is fit for the page
		stored, err = new(results.Results), nil
	}
	checktest.Must(t, err)
	page, plots, err := stored.Page()
	checktest.Must(t, err)
	generated(t, "performance.md", string(page))
	for name, plot := range plots {
		generated(t, filepath.Join("images", name), string(plot))
	}
	made, _ := filepath.Glob("images/performance-*.svg")
	for _, file := range made {
		if *update && plots[filepath.Base(file)] == nil {
			os.Remove(file)
		}
	}
	made, _ = filepath.Glob("images/performance-*.svg")
	checktest.Equalf(t, len(made), len(plots), "images has %v; plots of the page", made)
}

func internal(t *testing.T, topic string) []byte {
	t.Helper()
	out, err := exec.Command(fapwstest.Binary(t), "internal", topic).Output()
	checktest.Needf(t, err == nil && bytes.HasPrefix(out, []byte("## ")), "fapws internal %s: %v\n%s", topic, err, out)
	return out
}

func generated(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		checktest.Must(t, os.WriteFile(name, []byte(want), 0o644))
		return
	}
	checktest.Equalf(t, read(t, name), want, "%s is out of date: go test ./docs -update", name)
}
