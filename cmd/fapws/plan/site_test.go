package plan

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
	"fapws/runtime/source/static"
)

func settled(t testing.TB, dir, text string) (*SiteConfig, *settings.Settings, error) {
	t.Helper()
	f, err := settings.ParseTOML("f", dir, []byte(text), KeyDocs)
	if err != nil {
		return nil, nil, err
	}
	set := checktest.Try(settings.New(settings.Flags{}, func(string) (string, bool) { return "", false })).Must(t)
	wrong := []error{set.ReadFile(f, FileKeys())}
	c := readSites(f, func(err error) { wrong = append(wrong, err) })
	return c, set, settings.JoinPath(wrong...)
}

// build builds the sites from the text of a configuration file. For each application, PATHS contains /x and /.
func build(t testing.TB, dir, text string) (*Built, error) {
	t.Helper()
	c, set, err := settled(t, dir, text)
	if c == nil {
		return nil, err
	}
	conf, _ := set.Config()
	contents := &pybridge.Contents{}
	for range c.Apps() {
		contents.Apps = append(contents.Apps, pybridge.Content{Table: []pybridge.Mount{{Prefix: "/x"}, {Prefix: ""}},
			Class: "an application"})
	}
	p := &Plan{Command: &settings.CommandLine{}, Site: c, Settings: set}
	built, more := newBuilder(p, &conf,
		&Parts{Contents: contents, Programs: &Programs{}, Log: func(logfile.Level, string) {}}).build()
	return built, settings.JoinPath(err, more)
}

func shown(b *Built) string {
	var list []string
	for _, s := range b.Sites {
		line := strings.Join(s.Names, ",") + ":"
		for _, m := range s.Table {
			what := ""
			switch s := m.Source.(type) {
			case nil:
			case *static.Source:
				if what = "=files"; s.Declines() {
					what = "=files?"
				}
			default:
				what = "=fixed"
			}
			if m.Within != "" {
				what += "<" + m.Within
			}
			line += " " + m.Prefix + m.Match + what
		}
		list = append(list, line)
	}
	return strings.Join(list, "; ")
}

func TestConfigurationBuildsSitesAndRoutes(t *testing.T) {
	dir := t.TempDir()
	checktest.Must(t, os.Mkdir(dir+"/a", 0o755), os.Mkdir(dir+"/b", 0o755))
	for text, want := range cases(t, "sites.txt") {
		built, err := build(t, dir, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		checktest.Equalf(t, strings.TrimSpace(shown(built)), want, "%q", text)
		built.Close()
	}
}

func TestConfigurationErrorsNameLineAndCause(t *testing.T) {
	dir := t.TempDir()
	for text, want := range cases(t, "errors.txt") {
		want = strings.ReplaceAll(want, "$DIR", dir)
		_, err := build(t, dir, text)
		got := fmt.Sprint(err)
		checktest.Truef(t, strings.Contains("\n"+got, "\n"+want), "%q:\n got %s\nwant %s", text, got, want)
	}
}

// cases iterates over the entries of a file in testdata: the text of a configuration file, which may be a literal of
// Go, and what is wanted.
func cases(t *testing.T, file string) iter.Seq2[string, string] {
	t.Helper()
	all := checktest.Try(os.ReadFile("testdata/" + file)).Must(t)
	return func(yield func(text, want string) bool) {
		for one := range settings.Texts(string(all)) {
			text, err := strconv.Unquote(one.Head)
			if err != nil {
				text = one.Head
			}
			if !yield(text, one.Text) {
				return
			}
		}
	}
}

// FuzzConfig checks that no configuration file causes a panic, and that each mistake is reported in one line with its
// position.
func FuzzConfig(f *testing.F) {
	f.Add("bind = ':80'\nworkers = 2\napp = 'app.py'\nstatic = ['/s=.']\ntypes = { a = 'b/c' }\n")
	f.Add("[[host]]\nname = ['a.lan', '*.b']\nroot = '.'\nautoindex = true\nexpires = ['*=1h']\nerror-page = { 404 = " +
		"'/x' }\nheaders = { A = 'b' }\n" +
		"allow = 'all'\ndeny = ['::1']\nauth = { realm = 'x', users = 'y' }\ncache = { ttl = '1s', stale = 2, vary = " +
		"['A'], query = true, status = [200] }\n")
	f.Add("[[host]]\n[[host.route]]\nprefix = '/'\nmatch = '*.php'\nphp = 'php-cgi'\n[[host.route]]\nredirect = " +
		"'/x'\nstatus = 301\n[[host.route]]\nproxy = 'http://a'\nmethods = ['GET']")
	f.Add("static = ['no-slash=.', 'x=none']")
	f.Add("[[host]]\n[[host.route]]\nprefix = '/u'\nupload = { to = 'a', max-size = '1M', sync = 'none', mode = " +
		"'0600', channel = 'c', expires = '1h', max-active = 1, replace = false, resumable = true, origins = ['*'] }")
	f.Add("[[host]]\n[[host.route]]\ncgi = true\n[[host.route]]\nfastcgi = 'unix:/x'\n[[host.route]]\nssi = " +
		"true\nfiles = '.'\n[[host.route]]\nrewrite = '/a$1'\ncache = '60s'\ntimeout = 1.5")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "..") || strings.Contains(text, "/") && len(text) > 4096 {
			return
		}
		built, err := build(t, dir, text)
		if built != nil {
			built.Close()
		}
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			var n int
			_, err := fmt.Sscanf(line, "f:%d:", &n)
			checktest.Needf(t, err == nil && n >= 1 && !strings.ContainsAny(line, "\r\x00\x1b"), "%q: %q", text, line)
		}
	})
}

func TestKeysOfTheConfigurationAreDocumented(t *testing.T) {
	for _, k := range KeyDocs() {
		checktest.Truef(t, k.Help != "" && !strings.HasSuffix(k.Help, ".") && k.Value != "", "%s: %+v", k.Key, k)
	}
}

func TestNearestLoginOrAuthApplies(t *testing.T) {
	dir := t.TempDir()
	checktest.Must(t, os.WriteFile(filepath.Join(dir, "users"), []byte("ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"), 0o600))
	const auth, login, off = "auth = { users = \"users\" }\n", "login = \"users\"\n", "login = false\n"
	for _, test := range []struct{ top, host, route, want string }{
		{login, "", "", "login"}, {"", login, "", "login"}, {"", "", login, "login"}, {login, auth, "", "auth"},
		{auth, login, "", "login"},
		{login, "", auth, "auth"}, {login, auth, login, "login"}, {auth, "", off, ""}, {login, off, "", ""},
		{login, off, auth, "auth"},
		{"", "", auth + login, "auth and login exclude each other"},
		{"", login, "login = \"other\"\n", "a host has one file of users for login"},
		{"", "login = true\n", "", "a file of users such as"}, {"", "login = { title = \"x\" }\n", "", "needs users"},
		{"", "login = { users = \"users\", logo = \"users\" }\n", "", "is not an image"},
	} {
		c, set, err := settled(t, dir, test.top+"[[host]]\n"+test.host+"[[host.route]]\nprefix = \"/\"\nstatus = 204\n"+
			test.route)
		if c != nil {
			conf, _ := set.Config()
			_, more := newBuilder(&Plan{Site: c, Settings: set}, &conf,
				&Parts{Programs: &Programs{}, Log: func(logfile.Level, string) {}}).build()
			err = settings.JoinPath(err, more)
		}
		if len(test.want) > 5 {
			checktest.Truef(t, err != nil && strings.Contains(err.Error(), test.want) && !strings.Contains(err.Error(), "\n"),
				"%q: %v", test, err)
			continue
		}
		got := ""
		switch r := c.Hosts[0].Routes[0].Rules; {
		case r.Auth != nil:
			got = "auth"
		case r.Login.wanted():
			got = "login"
		}
		checktest.Truef(t, err == nil && got == test.want, "%q: %q %v", test, got, err)
	}
}

func TestKeyOfTheFileThatIsTypedAsAFlagIsNamed(t *testing.T) {
	for _, doc := range KeyDocs() {
		_, err := settings.ParseCommand([]string{"--" + doc.Key + "=value", "app.py"}, KeyDocs)
		if err == nil || !strings.HasPrefix(err.Error(), "unknown flag") {
			continue // also a flag
		}
		advice := []string{"fapws.toml", "[[host.route]]", "fapws DIR", "name the application itself",
			"--env-file"}
		checktest.Truef(t, slices.ContainsFunc(advice, func(one string) bool { return strings.Contains(err.Error(), one) }),
			"--%s: %v", doc.Key, err)
	}
}

// A directive of nginx that docs/migrate.md translates is answered in fapws.toml, too.
func TestDirectivesOfNginxAreAnsweredWithOurKeys(t *testing.T) {
	page := string(checktest.Try(os.ReadFile("../../../docs/migrate.md")).Must(t))
	_, page, _ = strings.Cut(page, "| nginx | fapws.toml |")
	page, _, _ = strings.Cut(page, "\n## ")
	words := strings.Fields("root alias listing include internal sendfile worker_processes send_timeout proxy_buffers least_conn")
	for row := range strings.Lines(page) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, code := range regexp.MustCompile("`([a-z][a-z0-9_]+)[^`]*`").FindAllStringSubmatch(cell, -1) {
			for statement := range strings.FieldsFuncSeq(code[0], func(c rune) bool { return strings.ContainsRune("`;{}", c) }) {
				if word, _, _ := strings.Cut(strings.TrimSpace(statement), " "); regexp.MustCompile(`^[a-z_]+$`).MatchString(word) &&
					!slices.Contains([]string{"certbot", "nginx", "server"}, word) {
					words = append(words, word)
				}
			}
		}
	}
	checktest.Truef(t, len(words) > 60, "%q", words)
	set := checktest.Try(settings.New(settings.Flags{}, func(string) (string, bool) { return "", false })).Must(t)
	for _, word := range words {
		text := fmt.Sprintf("[[host]]\nroot = '.'\n[[host.route]]\nprefix = '/x/'\nfiles = '.'\n%s = 'x'", word)
		f := checktest.Try(settings.ParseTOML("f", t.TempDir(), []byte(text), KeyDocs)).Must(t)
		f.Misplaced = func(table, key string) string { return misplaced(set, table, key) }
		readSites(f, func(err error) {
			checktest.Truef(t, !strings.HasSuffix(err.Error(), "unknown key "+word+" of [[host.route]]"), "%v", err)
		})
	}
}

// The table of a host does not grow with the product of its routes and of its rules for other paths.
func TestRulesAddNoMountsForOtherPaths(t *testing.T) {
	const routes = 50
	text := "[[host]]\n"
	for i := range routes {
		text += fmt.Sprintf("[[host.route]]\nprefix = \"/rules%d/\"\nheaders = { A = \"b\" }\n", i)
	}
	for i := range routes {
		text += fmt.Sprintf("[[host.route]]\nprefix = \"/rules%d/x\"\nstatus = 404\n", i)
	}
	built := checktest.Try(build(t, t.TempDir(), text)).Must(t)
	checktest.Equalf(t, len(built.Sites[0].Table), 2*routes, "mounts")
}
